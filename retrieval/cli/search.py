"""`align search`"""

from pathlib import Path

import click

from indexer import Filters
from retrieval.cli.libraries import open_engine
from retrieval.cli.output import print_hits
from retrieval.cli.search_options import image_option, search_options
from retrieval.engine import Sort
from retrieval.query import Weighted


class _OneText(click.Command):
    """Several words without quotes are one question that the shell has split."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if "unexpected extra argument" not in error.message:
                raise
            hint = 'Put quotes around the text: align search "a dog on a beach"'
            raise click.UsageError(f"{error.message.rstrip('.')}. {hint}.", ctx) from None


@click.command(cls=_OneText)
@click.argument("text", required=False)
@image_option
@search_options
def command(
    text: str | None,
    plus: tuple[Weighted[str], ...],
    minus: tuple[Weighted[str], ...],
    images: tuple[Weighted[str], ...],
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
    """Find pictures that match TEXT, best first. Prints rank, score and path.

    --plus, --minus and --image add terms, and the weighted sum of all terms is searched for. Query
    pictures are left out of the hits. A number before a colon is the weight of a term, which is
    otherwise 1. TEXT takes no weight. To search for a text such as 16:9 with --plus, write 1:16:9.

    \b
      align search "a beach" --plus 2:sunset --minus people
      align search --image beach.jpg --plus "in winter"
    """
    if text is not None and not text.strip():
        raise click.BadParameter("is empty: say what to look for", param_hint="TEXT")
    if not (text or plus or images):
        raise click.UsageError(
            "Missing argument 'TEXT', or --plus, or --image: say what to look for."
        )
    with open_engine(library, model, device) as engine:
        hits = engine.search(
            text or "",
            k,
            plus=plus,
            minus=minus,
            images=images,
            group=group,
            threshold=threshold,
            filters=filters,
            sort=sort,
        )
        print_hits(hits, as_json)
