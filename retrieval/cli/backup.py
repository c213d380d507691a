"""`align backup`"""

from pathlib import Path

import click

from indexer import Library
from retrieval.cli.names import shown
from retrieval.cli.opening import locate
from retrieval.cli.options import json_option, library_option
from retrieval.cli.output import print_json


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
@library_option
def command(file: Path, as_json: bool, library: Path | None) -> None:
    """Copy a library's database to FILE, also while another process writes.

    The copy holds everything but the index, which is built again. An earlier backup of the same
    library is replaced; any other FILE that exists is refused. To restore it, copy FILE to
    FOLDER/.align/library.db, remove library.db-wal and library.db-shm there, and run `align
    rebuild`.
    """
    with Library.open(locate(library)) as opened:
        size = opened.backup(file)
    if as_json:
        print_json({"file": str(file.absolute()), "bytes": size})
    else:
        click.echo(f"{size / 1e6:.1f} MB in {shown(file)}")
