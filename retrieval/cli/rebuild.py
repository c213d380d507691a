"""`align rebuild`"""

from pathlib import Path

import click

from indexer import LayoutChoice, Library, read_text_file
from retrieval.cli.libraries import encoder_loader, locate
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
    help="Recall@10 against exact search that an IVF index must reach; kept for later ones. At"
    " first 0.95.",
)
@click.option(
    "--captions",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Texts to measure that with, from a .txt, .csv or .jsonl file; by default those of the"
    " library, else 500 everyday phrases.",
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
    """Build the index anew, whether or not much has changed.

    `align index` does so by itself when enough has changed; searches go on meanwhile. An IVF index
    looks into no more of its lists than the wanted recall takes, measured with texts.
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
