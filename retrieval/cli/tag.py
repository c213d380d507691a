"""`align tag`"""

from pathlib import Path

import click

from indexer import Library
from retrieval.cli.label_options import label_options
from retrieval.cli.opening import locate, open_engine, say_notes
from retrieval.cli.options import (
    NumberRange,
    device_option,
    json_option,
    library_option,
    model_option,
    wait_option,
)
from retrieval.cli.output import count, print_json, print_rows, say
from retrieval.defaults import CONFIDENCE


@click.command()
@label_options
@click.option(
    "--confidence",
    type=NumberRange(0, 1, min_open=True),
    default=CONFIDENCE,
    show_default=True,
    help="A picture gets a label with at least this probability, among the labels given.",
)
@click.option(
    "--clear",
    is_flag=True,
    help="Take these labels back from all pictures; without labels, take back all.",
)
@wait_option
@json_option
@library_option
@model_option
@device_option
def command(
    labels: list[str],
    cutoffs: dict[str, float],
    templates: list[str],
    none: bool,
    confidence: float,
    clear: bool,
    wait: float,
    as_json: bool,
    library: Path | None,
    model: str | None,
    device: str,
) -> None:
    """Store the labels of pictures in the library, never in the files. Prints label and pictures.

    The probability of a label, or the cosine of a label with a number of its own, becomes a field
    with the label's name, for --field to filter by. A
    later run with the same labels replaces these fields. What a person (align annotate), a sidecar
    or the picture's own file says under the same name stays, and filters go by it.

    \b
      align tag --labels beach,mountains,city --confidence 0.8
      align tag --labels beach:0.22,sunset:0.25
      align search "sunset" --field "beach>=0.8"
    """
    if clear:
        _clear([*labels, *cutoffs], library, as_json, wait)
        return
    with open_engine(library, model, device) as engine:
        say_notes(engine.encoder, [*labels, *cutoffs])
        counts = engine.tag(
            labels,
            cutoffs=cutoffs,
            confidence=confidence,
            templates=templates,
            none=none,
            wait=wait,
        )
    if as_json:
        print_json(counts)
    else:
        print_rows([(label, count(n, "picture")) for label, n in counts.items()])
    for label, n in counts.left.items():
        say(f"{label}: {count(n, 'picture')} kept what a person, a sidecar or the file says")


def _clear(labels: list[str], library: Path | None, as_json: bool, wait: float) -> None:
    with Library.open(locate(library), wait=wait) as opened:
        values = opened.forget_fields(labels or None, speaker="tag", wait=wait)
    if as_json:
        print_json({"values": values})
    else:
        click.echo(f"{count(values, 'value')} taken back")
