"""`align captions`"""

from pathlib import Path

import click

from retrieval.cli.opening import open_engine
from retrieval.cli.options import (
    device_option,
    form_options,
    k_option,
    library_option,
    model_option,
)
from retrieval.cli.output import Form, print_hits, say


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@k_option
@form_options
@library_option
@model_option
@device_option
def command(
    file: Path, k: int, form: Form, library: Path | None, model: str | None, device: str
) -> None:
    """Find texts of the library that describe the picture FILE. Prints rank, score and text.

    `align index` adds texts to a library, from .txt, .csv or .jsonl files.
    """
    with open_engine(library, model, device) as engine:
        hits = engine.captions(file, k)
        if not hits and not len(engine.library.ids("text")):
            say("the library holds no texts: align index adds those of .txt, .csv or .jsonl files")
            return
        print_hits(hits, form)
