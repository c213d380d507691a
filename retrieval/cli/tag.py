"""`align tag`"""

from pathlib import Path

import click

from retrieval.cli.label_options import label_options
from retrieval.cli.libraries import open_engine
from retrieval.cli.options import (
    NumberRange,
    device_option,
    json_option,
    library_option,
    model_option,
    wait_option,
)
from retrieval.cli.output import count, print_json, print_rows
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
@wait_option
@json_option
@library_option
@model_option
@device_option
def command(
    labels: list[str],
    templates: list[str],
    confidence: float,
    wait: float,
    as_json: bool,
    library: Path | None,
    model: str | None,
    device: str,
) -> None:
    """Store the labels of pictures in the library, never in the files. Prints label and pictures.

    The probability of a label becomes a field with the label's name, for --field to filter by. A
    later run with the same labels replaces these fields.

    \b
      align tag --labels beach,mountains,city --confidence 0.8
      align search "sunset" --field "beach>=0.8"
    """
    with open_engine(library, model, device) as engine:
        counts = engine.tag(labels, confidence=confidence, templates=templates, wait=wait)
    if as_json:
        print_json(counts)
    else:
        print_rows([(label, count(n, "picture")) for label, n in counts.items()])
