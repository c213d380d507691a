"""`align export`"""

from pathlib import Path

import click

from indexer import Kind, Library
from retrieval.cli.names import shown
from retrieval.cli.opening import locate
from retrieval.cli.options import library_option
from retrieval.cli.output import ProgressBar, count, say
from retrieval.export import export, export_fields


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--kind",
    type=click.Choice(["image", "text"]),
    default="image",
    show_default=True,
    help="Which items to write.",
)
@click.option("--fields", is_flag=True, help="Write only fields, for align annotate to read again.")
@library_option
def command(target: Path, kind: Kind, fields: bool, library: Path | None) -> None:
    """Write embeddings and metadata to TARGET for other programs.

    What is written goes by the ending: .npy the embeddings, by ascending id; .parquet a row for
    each item with metadata and embedding; .jsonl the metadata alone. A TARGET without an ending
    becomes a folder in the layout of clip-retrieval.

    \b
      align export embeddings.npy
      align export collection.parquet
      align export for-clip-retrieval
      align export --fields fields.jsonl
    """
    with Library.open(locate(library)) as opened:
        if fields:
            n = export_fields(opened, target)
        else:
            n = export(opened, target, kind=kind, progress=ProgressBar("item"))
    say(f"wrote {count(n, 'item')} to {shown(target)}")
