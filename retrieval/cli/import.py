"""`align import`"""

from pathlib import Path

import click

from indexer import Library
from retrieval.cli.names import whole
from retrieval.cli.opening import locate
from retrieval.cli.options import device_option, json_option, library_option, wait_option
from retrieval.cli.output import ProgressBar, count, print_json, say
from retrieval.imports import read_embeddings
from retrieval.opening import load_named


@click.command()
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--metadata",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Table (.parquet, .jsonl or .csv) of the rows of a .npy file.",
)
@click.option(
    "--model", required=True, help="The model that made the embeddings, as for align index."
)
@device_option
@wait_option
@json_option
@library_option
def command(
    source: Path,
    metadata: Path | None,
    model: str,
    device: str,
    wait: float,
    as_json: bool,
    library: Path | None,
) -> None:
    """Add embeddings that another program made.

    SOURCE is a folder as clip-retrieval writes it (img_emb/*.npy and metadata/*.parquet), a .npy
    file with --metadata, or a .parquet or .jsonl file with a column embedding, as align export
    writes it. A column image_path, path or url names each picture, which need not be there; other
    columns become fields. What was imported is never scanned, and stays until `align forget`. A
    library that is named and does not exist is made.

    \b
      align import clip-output --model transformers:openai/clip-vit-base-patch32 --library ~/laion
    """
    make = Library.create if library else Library.open
    with make(library or locate(None), wait=wait) as opened:
        bar = ProgressBar("item")
        report = opened.import_embeddings(
            read_embeddings(source, metadata),
            lambda: load_named(model, device),
            wait=wait,
            progress=bar,
        )
        if as_json:
            print_json(vars(report))
        else:
            again = f", {report.replaced:,} replaced" if report.replaced else ""
            click.echo(f"{count(report.added, 'item')} added{again}: {whole(opened.path)}")
        if report.watched:
            left = count(report.watched, "path")
            say(f"{left} in watched folders left out: align index reads them")
