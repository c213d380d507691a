"""`align similar`"""

from pathlib import Path
from typing import Any

import click

from retrieval.cli.hits import HitOutput
from retrieval.cli.opening import open_engine, say_notes
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
    sort: Sort,
    output: HitOutput,
    library: Path | None,
    model: str | None,
    device: str,
    **how: Any,
) -> None:
    """Find pictures that look like the picture FILE. Prints rank, score and path.

    FILE itself is left out. --plus and --minus add texts: --plus "at night" --minus 0.5:car.
    """
    with open_engine(library, model, device) as engine:
        hits = engine.similar(file, plus=plus, minus=minus, sort=sort, **how)
        say_notes(engine.encoder, [term.content for term in (*plus, *minus)])
        output.show(str(file), hits, dated=sort == "date")
