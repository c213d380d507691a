"""`align train`"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import click

from retrieval.cli.options import Command, device_option
from retrieval.cli.output import ProgressBar


@click.group()
def command() -> None:
    """Train a model on pictures with captions."""


def _number(name: str, default: int, help: str) -> Callable[[Command], Command]:
    return click.option(
        name, type=click.IntRange(min=1), default=default, show_default=True, help=help
    )


@command.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@_number("--pictures", 80_000, "Scenes to draw.")
@_number("--steps", 4500, "Batches to train on.")
@_number("--batch-size", 128, "Pictures a batch.")
@click.option("--learning-rate", default=1e-3, show_default=True, help="The highest.")
@_number("--warmup", 200, "Steps up to it.")
@click.option(
    "--paraphrase-steps",
    type=click.IntRange(min=0),
    default=200,
    show_default=True,
    help="First steps, on the text tower alone: two captions of one scene are a pair.",
)
@_number("--save-every", 250, "Steps between saved states, each with its held-out recall.")
@_number("--held-out", 1000, "Unseen scenes to measure recall on.")
@click.option("--seed", default=0, show_default=True, help="Of weights, order and captions.")
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="Of the forward pass; bfloat16 is faster where the processor has it.",
)
@device_option
def scenes(
    out: Path,
    pictures: int,
    steps: int,
    batch_size: int,
    learning_rate: float,
    warmup: int,
    paraphrase_steps: int,
    save_every: int,
    held_out: int,
    seed: int,
    precision: Literal["float32", "bfloat16"],
    device: str,
) -> None:
    """Train a small model from nothing on drawn scenes, as align-mini was.

    Run again after an interruption it goes on where it was saved last.
    """
    from encoder.inference import choose_device
    from encoder.training import Step, TrainingSettings, train_scenes
    from retrieval.evaluation import scene_recall

    settings = TrainingSettings(
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        warmup=warmup,
        paraphrase_steps=paraphrase_steps,
        precision=precision,
        seed=seed,
        save_every=save_every,
    )
    drawing, training = ProgressBar("scene"), ProgressBar("step")

    def report(step: Step) -> None:
        if not training.started:
            training.start(steps, "training", done=step.step - 1)
        training.advance(1)
        training.note(f"loss {step.loss:.3f}, {step.images_per_second:.0f} images/s")
        if step.recall is not None:
            recalls = ", ".join(f"{name} {value:.3f}" for name, value in step.recall.items())
            click.echo(
                f"step {step.step}: loss {step.loss:.3f}, temperature {step.temperature:.4f},"
                f" {step.images_per_second:.0f} images/s, held-out {recalls}",
                err=True,
            )

    drawing.start(pictures, "drawing")
    train_scenes(
        out,
        settings,
        pictures,
        evaluate=scene_recall(held_out),
        report=report,
        drawn=drawing.advance,
        device=choose_device(device),
    )
    training.finish()
    click.echo(out)
