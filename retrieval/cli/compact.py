"""`align compact`"""

from pathlib import Path

import click

from indexer import Library
from retrieval.cli.opening import encoder_loader, locate
from retrieval.cli.options import (
    device_option,
    json_option,
    library_option,
    model_option,
    wait_option,
)
from retrieval.cli.output import ProgressBar, print_json


@click.command()
@wait_option
@json_option
@library_option
@model_option
@device_option
def command(
    wait: float, as_json: bool, library: Path | None, model: str | None, device: str
) -> None:
    """Make a library as small as it can be, and its index complete.

    Drops what is not needed any more: old changes, embeddings of a model that was given up, tags of
    pictures that are gone. What people annotated stays. Searches go on meanwhile. The disk needs
    room for a second copy of the database.
    """
    with Library.open(locate(library), wait=wait) as opened:
        loader = encoder_loader(opened, model, device)
        before, after = opened.compact(loader, wait=wait, progress=ProgressBar())
    if as_json:
        print_json({"before": before, "after": after})
    else:
        click.echo(f"database: {before / 1e6:.1f} MB before, {after / 1e6:.1f} MB now")
