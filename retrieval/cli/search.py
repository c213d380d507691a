"""`align search`"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from indexer import Filters
from retrieval.cli.hits import HitOutput
from retrieval.cli.opening import open_engine, say_notes
from retrieval.cli.search_options import image_option, search_options
from retrieval.engine import Sort
from retrieval.query import Weighted


class _OneText(click.Command):
    """Several words without quotes are one question that the shell has split."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if "unexpected extra argument" not in error.message:
                raise
            values, rest, _ = self.make_parser(ctx).parse_args(words)
            text = " ".join([str(values.get("text")), *rest])
            hint = f'Put quotes around the text: align search "{text}"'
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
    filters: Filters,
    sort: Sort,
    output: HitOutput,
    library: Path | None,
    model: str | None,
    device: str,
    **how: Any,
) -> None:
    """Find pictures that match TEXT, best first. Prints rank, score and path.

    --plus, --minus and --image add terms, and the weighted sum of all terms is searched for. Query
    pictures are left out of the hits. A number before a colon is the weight of a term, which is
    otherwise 1. TEXT takes no weight. To search for a text such as 16:9 with --plus, write 1:16:9.

    Filters alone list what passes them, newest first. If TEXT is -, each line of the input is a
    question of its own. The models read English.

    \b
      align search "a beach" --plus 2:sunset --minus people
      align search --image beach.jpg --plus "in winter"
      align search --camera nikon --after 2024
      align search - --json < questions.txt
    """
    if text is not None and not text.strip():
        raise click.BadParameter("is empty: say what to look for", param_hint="TEXT")
    if not (text or plus or minus or images) and filters == Filters():
        raise click.UsageError(
            "Missing argument 'TEXT', or --plus, --image or a filter: say what to look for."
        )
    with open_engine(library, model, device) as engine:
        dated = sort == "date"
        for question in _lines() if text == "-" else [text or ""]:
            hits = engine.search(
                question, plus=plus, minus=minus, images=images, filters=filters, sort=sort, **how
            )
            texts = [*([question] if question else []), *(t.content for t in (*plus, *minus))]
            if texts:
                say_notes(engine.encoder, texts)
            output.show(question, hits, dated=dated, asked=text == "-")


def _lines() -> Iterator[str]:
    for line in sys.stdin.buffer:
        if text := line.decode(errors="replace").strip():
            yield text
