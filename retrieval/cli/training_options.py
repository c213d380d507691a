"""The options of `align train`, and their defaults."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from encoder.datasets import DATASETS
from retrieval.cli.options import Command, NumberRange

SCRATCH, ALIGN_MINI, NONE = "scratch", "align-mini", "none"

_POSITIVE = click.IntRange(min=1)
_SIDE = click.IntRange(16, 1024)
_RATE = NumberRange(min=0, min_open=True)
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
_FILE = click.Path(path_type=Path, exists=True)

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.argument("dataset", type=click.Choice(DATASETS)),
    click.option("--annotations", type=_FILE, help="File of the captions, as for align evaluate."),
    click.option("--images", type=_FOLDER, help="Folder of the pictures."),
    click.option("--split", default="train", show_default=True, help="Split to train on."),
    click.option(
        "--val-split",
        default="val",
        show_default=True,
        help="Split to measure recall on; none keeps the last weights instead of the best.",
    ),
    click.option(
        "--val-annotations", type=_FILE, help="File of the captions of --val-split, if another."
    ),
    click.option(
        "--val-images", type=_FOLDER, help="Folder of the pictures of --val-split, if another."
    ),
    click.option(
        "--pictures", type=_POSITIVE, help="How many pictures to train on, or scenes to draw."
    ),
    click.option(
        "--val-pictures",
        type=_POSITIVE,
        default=1000,
        show_default=True,
        help="At most so many pictures of --val-split.",
    ),
    click.option(
        "--captions",
        type=_POSITIVE,
        default=1,
        show_default=True,
        help="Captions of each picture in a step, drawn at random.",
    ),
    click.option(
        "--labels",
        "labelled_folders",
        type=_FOLDER,
        multiple=True,
        help="Also train on the labelled pictures of this folder. A label is the name of a folder"
        " in it, or of a file. May be given several times.",
    ),
    click.option(
        "--labelled",
        type=_POSITIVE,
        help="How many pictures of each batch have labels. [default: with --labels a fifth]",
    ),
    click.option(
        "--labelled-weight",
        type=_RATE,
        default=0.5,
        show_default=True,
        help="How much the loss of labelled pictures counts; that of the others counts 1.",
    ),
    click.option(
        "--template",
        "templates",
        multiple=True,
        help='Words for a label, such as "a photo of a {}". May be given several times.'
        " [default: this one and {}]",
    ),
    click.option(
        "--allow-missing", is_flag=True, help="Leave out the pictures that cannot be read."
    ),
    click.option(
        "--from",
        "source",
        metavar="MODEL|scratch",
        help="Weights to start from: align-small, align-mini, a folder or a hub id; scratch means"
        " fresh ones.",
    ),
    click.option(
        "--image-tower",
        type=_FILE,
        help="Instead of --from, with --text-tower: weights of EfficientNet-Lite (lite0 to lite4)"
        " as a .pth or .safetensors file.",
    ),
    click.option(
        "--text-tower",
        type=_FILE,
        help="A BERT: a folder or a zip file with config.json, tokenizer.json and"
        " model.safetensors.",
    ),
    click.option(
        "--classifier",
        type=_FILE,
        help="Weights of EfficientNet-Lite, as for --image-tower: pictures with captions are taught"
        " to agree with its classifier, too, through --class-names.",
    ),
    click.option(
        "--class-names",
        type=_FILE,
        help="File with the names of the classes of --classifier, one a line, in their order.",
    ),
    click.option(
        "--class-weight",
        type=_RATE,
        default=0.3,
        show_default=True,
        help="How much the loss of --classifier counts.",
    ),
    click.option(
        "--preset",
        type=click.Choice(["mini", "base", ALIGN_MINI]),
        help="Size of a model from scratch: mini is that of align-mini, base that of align-base;"
        " align-mini makes align-mini itself again, from scenes. [default: mini]",
    ),
    click.option(
        "--image-size",
        type=_SIDE,
        help="Side in pixels of a model from scratch or of two towers. [default: 112, of base 289,"
        " of two towers 224]",
    ),
    click.option(
        "--out",
        type=click.Path(path_type=Path, file_okay=False),
        required=True,
        help="Folder of the new checkpoint.",
    ),
    click.option(
        "--epochs",
        type=_RATE,
        help="Passes over all pictures. [default: 5, from scratch 30, of two towers 20]",
    ),
    click.option(
        "--batch-size",
        type=_POSITIVE,
        help="Pictures that a step compares with each other. [default: 128, or all if there are"
        " fewer]",
    ),
    click.option(
        "--micro-batch",
        type=_POSITIVE,
        help="Pictures in memory at once, in each process. [default: all, for a large model 8]",
    ),
    click.option(
        "--learning-rate",
        type=_RATE,
        help="Highest learning rate. [default: 1e-5, from scratch and of two towers 1e-3]",
    ),
    click.option(
        "--image-lr",
        type=_RATE,
        help="Highest learning rate of the picture tower. [default: --learning-rate]",
    ),
    click.option(
        "--text-lr",
        type=_RATE,
        help="Highest learning rate of the text tower. [default: --learning-rate]",
    ),
    click.option(
        "--head-lr",
        type=_RATE,
        help="Highest learning rate of the text projection and the last stage of the picture tower."
        " [default: those of their towers]",
    ),
    click.option(
        "--warmup",
        type=click.IntRange(min=0),
        help="Steps until the learning rate is highest. [default: 200, at most a tenth of all]",
    ),
    click.option(
        "--paraphrase-steps",
        type=click.IntRange(min=0),
        help="Steps at the start that train only the text tower, with two captions of one picture"
        " as a pair. [default: 0, from scratch 150, at most a fifth of all]",
    ),
    click.option(
        "--freeze",
        type=click.Choice(["image", "text", "towers"]),
        help="Tower not to train; towers: both, except for what projects them into the common"
        " space.",
    ),
    click.option(
        "--freeze-stages",
        "frozen_stages",
        type=click.IntRange(min=0),
        default=0,
        help="Stages at the beginning of the picture tower not to train.",
    ),
    click.option(
        "--kept-views",
        type=click.IntRange(min=0),
        default=0,
        help="Draw so many views of each picture once and keep what the frozen stages make of them,"
        " instead of drawing a view each time. With --freeze towers texts are kept, too. Takes"
        " disk, saves time.",
    ),
    click.option(
        "--freeze-norms/--no-freeze-norms",
        "frozen_norms",
        default=None,
        help="Keep the statistics of the batch norms, as few pictures at once need it. [default:"
        " with less than 32 at once, but not from scratch]",
    ),
    click.option(
        "--elementwise-dropout",
        is_flag=True,
        help="Leave out single numbers in the picture tower while training, as transformers does,"
        " instead of what a block adds to a picture.",
    ),
    click.option(
        "--head-dropout",
        type=NumberRange(0, 1, max_open=True),
        default=0.0,
        show_default=True,
        help="Share of channels to leave out in the last stage of the picture tower while training;"
        " few pictures need more.",
    ),
    click.option(
        "--ema",
        type=NumberRange(0, 1, max_open=True),
        default=0.0,
        show_default=True,
        help="Keep a running mean of the weights; each step keeps this share of the mean.",
    ),
    click.option(
        "--min-crop",
        type=NumberRange(0, 1, min_open=True),
        help="Smallest share of a picture that a crop shows; 1 shows whole pictures."
        " [default: 0.6, from scratch 0.8]",
    ),
    click.option(
        "--flip/--no-flip", default=None, help="Mirror half of the pictures. [default: flip]"
    ),
    click.option(
        "--precision",
        type=click.Choice(["float32", "bfloat16"]),
        help="Number format of the towers. [default: bfloat16 on CUDA, else float32]",
    ),
    click.option(
        "--stored-as",
        type=click.Choice(["float32", "float16"]),
        help="Number format of the weights in the checkpoint. [default: float32]",
    ),
    click.option(
        "--stored-size",
        type=_SIDE,
        help="Side in pixels of the pictures that the checkpoint takes; a quarter more than in"
        " training may find more. [default: as in training]",
    ),
    click.option(
        "--save-every",
        type=_POSITIVE,
        default=250,
        show_default=True,
        help="Steps between saved states; each measures recall.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Seed of fresh weights, of the order of pictures, and of crops and flips.",
    ),
)


@dataclass(frozen=True)
class Asked:
    """The values of the options; None means the value of the recipe."""

    dataset: str
    annotations: Path | None
    images: Path | None
    split: str
    val_split: str
    val_annotations: Path | None
    val_images: Path | None
    pictures: int | None
    val_pictures: int
    captions: int
    labelled_folders: tuple[Path, ...]
    labelled: int | None
    labelled_weight: float
    templates: tuple[str, ...]
    allow_missing: bool
    source: str | None
    image_tower: Path | None
    text_tower: Path | None
    classifier: Path | None
    class_names: Path | None
    class_weight: float
    preset: Literal["mini", "base", "align-mini"] | None
    image_size: int | None
    out: Path
    epochs: float | None
    batch_size: int | None
    micro_batch: int | None
    learning_rate: float | None
    image_lr: float | None
    text_lr: float | None
    head_lr: float | None
    warmup: int | None
    paraphrase_steps: int | None
    freeze: Literal["image", "text", "towers"] | None
    frozen_stages: int
    kept_views: int
    frozen_norms: bool | None
    elementwise_dropout: bool
    head_dropout: float
    stored_as: Literal["float32", "float16"] | None
    stored_size: int | None
    ema: float
    min_crop: float | None
    flip: bool | None
    precision: Literal["float32", "bfloat16"] | None
    save_every: int
    seed: int
    device: str


@dataclass(frozen=True)
class Recipe:
    """Defaults of the options."""

    pictures: int | None
    epochs: float
    learning_rate: float
    paraphrase_steps: int
    min_crop: float
    flip: bool


FINE_TUNING = Recipe(None, 5, 1e-5, 0, 0.6, True)
FROM_SCRATCH = Recipe(None, 30, 1e-3, 150, 0.8, True)
OF_TOWERS = Recipe(None, 20, 1e-3, 0, 0.6, True)
OF_ALIGN_MINI = Recipe(80_000, 7.2, 1e-3, 200, 1.0, False)


def training_options(command: Command) -> Command:
    """Every option of `align train` except --device."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
