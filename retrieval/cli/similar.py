"""`align similar`"""

from pathlib import Path

import click

from indexer import Filters
from retrieval.cli.libraries import open_engine
from retrieval.cli.options import (
    device_option,
    filter_options,
    json_option,
    k_option,
    library_option,
    model_option,
    sort_option,
)
from retrieval.cli.output import print_hits
from retrieval.engine import Sort


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@k_option
@filter_options
@sort_option
@json_option
@library_option
@model_option
@device_option
def command(
    file: Path,
    k: int,
    filters: Filters,
    sort: Sort,
    as_json: bool,
    library: Path | None,
    model: str | None,
    device: str,
) -> None:
    """Find pictures that look like the picture FILE, itself left out: rank, score, path."""
    with open_engine(library, model, device) as engine:
        print_hits(engine.similar(file, k, filters=filters, sort=sort), as_json)
