"""`align rebuild`"""

from pathlib import Path

import click

from indexer import LayoutChoice, Library, read_text_file
from retrieval.cli.opening import encoder_loader, locate
from retrieval.cli.options import (
    NumberRange,
    device_option,
    layout_option,
    library_option,
    model_option,
    wait_option,
)
from retrieval.cli.output import ProgressBar, generation_rows, print_rows, say


@click.command()
@layout_option
@click.option(
    "--target-recall",
    type=NumberRange(0, 1, min_open=True),
    help="Recall@10 and recall@100, against exact search, that this and later IVF indexes must"
    " reach, with filters and without. A new library has 0.95.",
)
@click.option(
    "--captions",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File of texts (.txt, .csv or .jsonl) to measure this recall with. By default the texts of"
    " the library are used, or 500 everyday phrases if it has none.",
)
@wait_option
@library_option
@model_option
@device_option
def command(
    layout: LayoutChoice | None,
    target_recall: float | None,
    captions: Path | None,
    wait: float,
    library: Path | None,
    model: str | None,
    device: str,
) -> None:
    """Build the index anew, even if little has changed.

    `align index` brings it up to date by itself when enough has changed. Searches go on meanwhile.
    A search of an IVF index looks into only as many lists as the target recall needs, measured with
    texts. Where a filter lets at most 200,000 items pass, all of them are compared.
    """
    texts = read_text_file(captions) if captions else []
    with Library.open(locate(library), wait=wait) as opened:
        opened.rebuild(
            encoder_loader(opened, model, device),
            layout=layout,
            target_recall=target_recall,
            captions=texts,
            wait=wait,
            progress=ProgressBar(),
        )
        generations = opened.status().generations
        if not generations:
            say("the library is empty: fill it with align index FOLDER")
        print_rows(generation_rows(generations))
