"""`align train`"""

from pathlib import Path

import click

from retrieval.cli.options import device_option
from retrieval.cli.output import ProgressBar


@click.group()
def command() -> None:
    """Train a model on pictures with captions."""


@command.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--pictures", default=60_000, show_default=True, help="Scenes to draw.")
@click.option("--steps", default=4000, show_default=True, help="Batches to train on.")
@click.option("--batch-size", default=128, show_default=True, help="Pictures a batch.")
@click.option("--learning-rate", default=1e-3, show_default=True, help="The highest.")
@click.option("--warmup", default=200, show_default=True, help="Steps up to it.")
@click.option("--save-every", default=200, show_default=True, help="Steps between saved states.")
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
    save_every: int,
    seed: int,
    precision: str,
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
        evaluate=scene_recall(),
        report=report,
        drawn=drawing.advance,
        device=choose_device(device),
    )
    training.finish()
    click.echo(out)
