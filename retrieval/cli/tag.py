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
    help="Probability, among the labels given, from which on a picture gets a label.",
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
    """Write the labels of pictures into the library, never into the files: label, pictures.

    A picture gets a field with the label's name that holds the probability, so that --field can ask
    for it; run again, it replaces what these labels were before.

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
