"""The options of `align train`, and what stands for those that are not given."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from encoder.datasets import DATASETS
from retrieval.cli.options import Command, NumberRange

SCRATCH, ALIGN_MINI, NONE = "scratch", "align-mini", "none"

_POSITIVE = click.IntRange(min=1)
_RATE = NumberRange(min=0, min_open=True)
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
_FILE = click.Path(path_type=Path, exists=True)

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.argument("dataset", type=click.Choice(DATASETS)),
    click.option("--annotations", type=_FILE, help="Captions, as for align evaluate."),
    click.option("--images", type=_FOLDER, help="Folder of the pictures."),
    click.option("--split", default="train", show_default=True, help="Pictures to train on."),
    click.option(
        "--val-split",
        default="val",
        show_default=True,
        help="Pictures to measure recall on; none keeps the last weights, not the best.",
    ),
    click.option("--val-annotations", type=_FILE, help="Their captions, where in another file."),
    click.option("--val-images", type=_FOLDER, help="Their folder, where another."),
    click.option("--pictures", type=_POSITIVE, help="Train on the first so many; scenes to draw."),
    click.option(
        "--val-pictures", type=_POSITIVE, default=1000, show_default=True, help="At most so many."
    ),
    click.option(
        "--allow-missing", is_flag=True, help="Leave out the pictures that cannot be read."
    ),
    click.option(
        "--from",
        "source",
        required=True,
        metavar="MODEL|scratch",
        help="Weights to start from: align-mini, a folder or a hub id; or fresh ones.",
    ),
    click.option(
        "--preset",
        type=click.Choice(["mini", "base", ALIGN_MINI]),
        help="Sizes of a model from scratch: those of align-mini or of align-base. align-mini makes"
        " it again, from scenes. [default: mini]",
    ),
    click.option("--image-size", type=_POSITIVE, help="Side in pixels of a model from scratch."),
    click.option(
        "--out",
        type=click.Path(path_type=Path, file_okay=False),
        required=True,
        help="Folder to write.",
    ),
    click.option(
        "--epochs", type=_RATE, help="Times that every picture is seen. [default: 5 or 30]"
    ),
    click.option(
        "--batch-size",
        type=_POSITIVE,
        default=128,
        show_default=True,
        help="Pictures that are told apart in a step.",
    ),
    click.option(
        "--micro-batch",
        type=_POSITIVE,
        help="Pictures in memory at once, in each process; by default all, of a large model 8.",
    ),
    click.option(
        "--learning-rate", type=_RATE, help="The highest. [default: 1e-5, from scratch 1e-3]"
    ),
    click.option("--image-lr", type=_RATE, help="Of the picture tower, if not the same."),
    click.option("--text-lr", type=_RATE, help="Of the text tower, if not the same."),
    click.option(
        "--warmup",
        type=click.IntRange(min=0),
        help="Steps up to it. [default: 200, at most a tenth]",
    ),
    click.option(
        "--paraphrase-steps",
        type=click.IntRange(min=0),
        help="First steps, on the text tower alone: two captions of one picture are a pair."
        " [default: from scratch 150, at most a fifth]",
    ),
    click.option(
        "--freeze", type=click.Choice(["image", "text"]), help="Tower that stays as it is."
    ),
    click.option(
        "--ema",
        type=NumberRange(0, 1, max_open=True),
        default=0.0,
        show_default=True,
        help="Keep a running mean of the weights, with this share of it at each step.",
    ),
    click.option(
        "--min-crop",
        type=NumberRange(0, 1, min_open=True),
        help="Smallest share of a picture that is shown; 1 shows it whole."
        " [default: 0.6, from scratch 0.8]",
    ),
    click.option(
        "--flip/--no-flip", default=None, help="Mirror half of the pictures. [default: flip]"
    ),
    click.option(
        "--precision",
        type=click.Choice(["float32", "bfloat16"]),
        help="Of the towers. [default: bfloat16 on CUDA, else float32]",
    ),
    click.option(
        "--save-every",
        type=_POSITIVE,
        default=250,
        show_default=True,
        help="Steps between saved states, each with its recall.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Of fresh weights, the order of pictures and what is shown of them.",
    ),
)


@dataclass(frozen=True)
class Asked:
    """What the options say; None stands for the recipe's."""

    dataset: str
    annotations: Path | None
    images: Path | None
    split: str
    val_split: str
    val_annotations: Path | None
    val_images: Path | None
    pictures: int | None
    val_pictures: int
    allow_missing: bool
    source: str
    preset: Literal["mini", "base", "align-mini"] | None
    image_size: int | None
    out: Path
    epochs: float | None
    batch_size: int
    micro_batch: int | None
    learning_rate: float | None
    image_lr: float | None
    text_lr: float | None
    warmup: int | None
    paraphrase_steps: int | None
    freeze: Literal["image", "text"] | None
    ema: float
    min_crop: float | None
    flip: bool | None
    precision: Literal["float32", "bfloat16"] | None
    save_every: int
    seed: int
    device: str


@dataclass(frozen=True)
class Recipe:
    """What stands for the options that are not given."""

    pictures: int | None
    epochs: float
    learning_rate: float
    paraphrase_steps: int
    min_crop: float
    flip: bool


FINE_TUNING = Recipe(None, 5, 1e-5, 0, 0.6, True)
FROM_SCRATCH = Recipe(None, 30, 1e-3, 150, 0.8, True)
OF_ALIGN_MINI = Recipe(80_000, 7.2, 1e-3, 200, 1.0, False)


def training_options(command: Command) -> Command:
    """All but the device."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
