"""`align similar`"""

from pathlib import Path

import click

from indexer import Filters
from retrieval.cli.libraries import open_engine
from retrieval.cli.output import print_hits
from retrieval.cli.search_options import search_options
from retrieval.engine import Sort
from retrieval.query import Weighted


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@search_options
def command(
    file: Path,
    plus: tuple[Weighted[str], ...],
    minus: tuple[Weighted[str], ...],
    group: bool,
    threshold: float,
    k: int,
    filters: Filters,
    sort: Sort,
    as_json: bool,
    library: Path | None,
    model: str | None,
    device: str,
) -> None:
    """Find pictures that look like the picture FILE. Prints rank, score and path.

    FILE itself is left out. --plus and --minus add texts: --plus "at night" --minus 0.5:car.
    """
    with open_engine(library, model, device) as engine:
        hits = engine.similar(
            file,
            k,
            plus=plus,
            minus=minus,
            group=group,
            threshold=threshold,
            filters=filters,
            sort=sort,
        )
        print_hits(hits, as_json)
