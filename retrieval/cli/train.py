"""`align train`"""

import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from encoder.errors import AlignError
from retrieval.cli.names import shown
from retrieval.cli.options import device_option
from retrieval.cli.output import ProgressBar, count, say
from retrieval.cli.training_data import TrainingData, decoded, precision
from retrieval.cli.training_options import (
    ALIGN_MINI,
    FINE_TUNING,
    FROM_SCRATCH,
    NONE,
    OF_ALIGN_MINI,
    OF_TOWERS,
    SCRATCH,
    Asked,
    Recipe,
    training_options,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from encoder import Encoder
    from encoder.datasets import Dataset
    from encoder.training import (
        Start,
        Step,
        TrainingSettings,
    )


BATCH_SIZE = 128
FEW = 32
"""With fewer pictures at once, what batch norms do in training and in evaluation lies far apart."""


@click.command()
@training_options
@device_option
def command(**options: Any) -> None:
    """Train a model on the pictures and captions of DATASET: from a checkpoint, from scratch, or
    from two towers that were trained apart.

    OUT becomes a checkpoint for align index --model. It holds the weights with the best recall on
    --val-split. After an interruption, run the same command again: training goes on from the last
    saved step. Under torchrun it runs on several GPUs; see docs/training.md.
    """
    asked = Asked(**options)
    recipe = _recipe(asked)

    from encoder.training import alone, join, still_stages, train

    with join(asked.device) as (world, device), ExitStack() as stack:
        dataset = _opened(asked, recipe, train=True)
        batch_size = _batch_size(asked.batch_size, len(dataset), world.size)
        if world.first and asked.batch_size is None and batch_size < BATCH_SIZE:
            say(f"a step compares {batch_size:,} pictures, because there are only {len(dataset):,}")
        cuda = device.type == "cuda"
        # Wrong settings are refused before pictures are decoded.
        _settings(asked, recipe, len(dataset), cuda, batch_size, asked.micro_batch)
        stack.enter_context(alone(asked.out, world))
        with world.in_turn():
            start = _start(asked, dataset)
            vision = start.model.config.vision_config
            still_stages(asked.freeze, asked.frozen_stages, len(vision.num_block_repeats))
            if asked.stored_size:
                vision.require_room(asked.stored_size, asked.stored_size)
            prepared = TrainingData(asked, recipe, dataset, start, cuda)
            data, second = prepared.pairs()
            evaluate, measured = _evaluation(asked, recipe, start)
        batch_size = _batch_size(asked.batch_size, len(data), world.size)  # some may be left out
        micro_batch = asked.micro_batch or start.micro_batch(batch_size // world.size)
        settings = _settings(asked, recipe, len(data), cuda, batch_size, micro_batch)
        talk = _Talk(settings)
        if world.first:
            among = f", {world.size} processes" if world.size > 1 else ""
            say(
                f"training on {count(len(data), 'picture')} for {count(settings.steps, 'step')} of"
                f" {settings.batch_size:,}, {settings.precision} on {device}{among}"
            )
        train(
            start,
            data,
            settings,
            asked.out,
            second=second,
            classes=prepared.classes,
            texts=prepared.texts,
            evaluate=evaluate,
            measured=measured,
            report=talk.step,
            device=device,
            world=world,
        )
        talk.bar.finish()
        if world.first:
            click.echo(shown(asked.out))


def _batch_size(asked: int | None, pictures: int, processes: int) -> int:
    """The size of a batch, found before any picture is decoded. Raises AlignError if there are
    fewer pictures."""
    size = asked or min(BATCH_SIZE, pictures // processes * processes)
    if pictures < size or size < 2:
        raise AlignError(
            f"{count(pictures, 'picture')} are fewer than one batch of {max(size, 2):,}: give more"
            " pictures or a smaller --batch-size"
        )
    return size


def _recipe(asked: Asked) -> Recipe:
    """The defaults of the options. Raises UsageError if the options given exclude each other."""
    if not asked.labelled_folders and (asked.labelled or asked.templates):
        raise click.UsageError("--labelled and --template are for --labels FOLDER")
    if any("{}" not in template for template in asked.templates):
        raise click.UsageError("a --template needs {} in the place of the label")
    if asked.kept_views and not asked.frozen_stages and asked.freeze != "towers":
        raise click.UsageError("--kept-views is for --freeze-stages or --freeze towers")
    if (asked.class_names is None) != (asked.classifier is None):
        raise click.UsageError("--classifier and --class-names belong together: give both")
    towers = [tower for tower in (asked.image_tower, asked.text_tower) if tower]
    if len(towers) + 2 * (asked.source is not None) != 2:
        raise click.UsageError("give either --from, or both --image-tower and --text-tower")
    if asked.preset == ALIGN_MINI:
        if asked.source != SCRATCH or asked.dataset != "scenes":
            raise click.UsageError(f"--preset {ALIGN_MINI} is for: scenes --from {SCRATCH}")
        return OF_ALIGN_MINI
    if asked.source == SCRATCH:
        return FROM_SCRATCH
    if asked.source is None and asked.preset is None:
        return OF_TOWERS
    if asked.preset is not None or asked.image_size is not None:
        raise click.UsageError(
            f"--preset and --image-size are for --from {SCRATCH}: a checkpoint brings its own sizes"
        )
    return FINE_TUNING


def _opened(asked: Asked, recipe: Recipe, train: bool) -> "Dataset":
    from encoder.datasets import open_dataset

    if train:
        annotations, images = asked.annotations, asked.images
        split, limit = asked.split, asked.pictures or recipe.pictures
    else:
        annotations = asked.val_annotations or asked.annotations
        images = asked.val_images or asked.images
        split, limit = asked.val_split, asked.val_pictures
    return open_dataset(
        asked.dataset, annotations=annotations, images=images, split=split, limit=limit
    )


def _start(asked: Asked, dataset: "Dataset") -> "Start":
    from encoder.training import (
        claim,
        from_checkpoint,
        from_scratch,
        from_towers,
        scene_captions,
    )

    run = claim(asked.out)
    if asked.image_tower and asked.text_tower:
        size = asked.image_size or 224
        return from_towers(asked.image_tower, asked.text_tower, image_size=size, seed=asked.seed)
    if asked.source and asked.source != SCRATCH:
        return from_checkpoint(asked.source)
    mini = asked.preset == ALIGN_MINI
    return from_scratch(
        scene_captions(dataset) if mini else dataset.all_captions(),
        run,
        "base" if asked.preset == "base" else "mini",
        asked.image_size,
        asked.seed,
    )


def _evaluation(
    asked: Asked, recipe: Recipe, start: "Start"
) -> "tuple[Callable[[Encoder], Mapping[str, float]], str]":
    """A function that measures an encoder's recall, and the identity of the pictures for it."""
    from retrieval.evaluation import dataset_recall

    if asked.val_split == NONE:
        return lambda encoder: {}, NONE
    dataset = _opened(asked, recipe, train=False)
    preprocessor = start.preprocessor
    if asked.stored_size:
        preprocessor = preprocessor.at_size(asked.stored_size)
    pictures = decoded(asked, dataset, preprocessor, "validation")
    rows = [pictures.pixels(i) for i in range(len(pictures))]
    measure = dataset_recall(replace(dataset, examples=pictures.examples), rows)
    return measure, pictures.identity


def _settings(
    asked: Asked,
    recipe: Recipe,
    pictures: int,
    cuda: bool,
    batch_size: int,
    micro_batch: int | None,
) -> "TrainingSettings":
    from encoder.training import TrainingSettings

    frozen_norms = asked.frozen_norms
    if frozen_norms is None:
        frozen_norms = asked.source != SCRATCH and (micro_batch or batch_size) < FEW
    labelled = (asked.labelled or max(2, batch_size // 5)) if asked.labelled_folders else 0
    per_epoch = max(1, pictures // max(1, batch_size - labelled))
    steps = max(1, round((asked.epochs or recipe.epochs) * per_epoch))
    warmup, paraphrase = asked.warmup, asked.paraphrase_steps
    if paraphrase is None:
        paraphrase = (
            0 if asked.freeze in ("text", "towers") else min(recipe.paraphrase_steps, steps // 5)
        )
    return TrainingSettings(
        steps=steps,
        batch_size=batch_size,
        captions=asked.captions,
        labelled=labelled,
        labelled_weight=asked.labelled_weight,
        class_weight=asked.class_weight if asked.classifier else 0.0,
        micro_batch=micro_batch,
        learning_rate=asked.learning_rate or recipe.learning_rate,
        image_learning_rate=asked.image_lr,
        text_learning_rate=asked.text_lr,
        head_learning_rate=asked.head_lr,
        warmup=min(200, steps // 10) if warmup is None else warmup,
        paraphrase_steps=paraphrase,
        freeze=asked.freeze,
        frozen_stages=asked.frozen_stages,
        kept_views=asked.kept_views,
        frozen_norms=frozen_norms,
        elementwise_dropout=asked.elementwise_dropout,
        head_dropout=asked.head_dropout,
        ema=asked.ema,
        precision=precision(asked, cuda),
        seed=asked.seed,
        save_every=asked.save_every,
        stored_size=asked.stored_size,
        stored_as=asked.stored_as or ("float16" if asked.preset == ALIGN_MINI else "float32"),
    )


class _Talk:
    """Messages on stderr: a bar if it is a terminal, and a line for every measured recall."""

    def __init__(self, settings: "TrainingSettings") -> None:
        self._steps, self._began = settings.steps, time.monotonic()
        self._first: int | None = None
        self.bar = ProgressBar("step")

    def step(self, step: "Step") -> None:
        if self._first is None:
            self._first = step.step - 1
            self.bar.start(self._steps, "training", done=self._first)
        self.bar.advance(1)
        self.bar.note(f"loss {step.loss:.3f}, {step.images_per_second:.0f} images/s")
        if step.recall is None:
            return
        each = (time.monotonic() - self._began) / (step.step - self._first)
        left = each * (self._steps - step.step) / 60
        recalls = [f"{name} {value:.3f}" for name, value in step.recall.items() if name != "rsum"]
        rsum = [f"rsum {step.recall['rsum']:.1f}"] if "rsum" in step.recall else []
        said = [
            f"step {step.step:,} of {self._steps:,}: loss {step.loss:.3f}",
            f"temperature {step.temperature:.4f}",
            f"{step.images_per_second:.0f} images/s",
            *recalls,
            *rsum,
            f"{left:.0f} minutes left" if left else "done",
        ]
        say(", ".join(said) + (" (the best so far)" if step.best and rsum else ""))
