"""`align fields`"""

from pathlib import Path

import click

from indexer import Library
from retrieval.cli.names import printable
from retrieval.cli.opening import locate
from retrieval.cli.options import json_option, library_option
from retrieval.cli.output import count, print_json, say


@click.command()
@json_option
@library_option
def command(as_json: bool, library: Path | None) -> None:
    """List the fields that --field can name. Prints name, kinds of values, items and who says it.

    The kinds are number, integer, truth (true or false), text and date. Fields come from people
    (align annotate), from sidecars, from the pictures' own files (XMP) and from align tag.
    """
    with Library.open(locate(library)) as opened:
        fields = opened.fields()
    if not fields and not as_json:
        say("no fields yet: add some with align annotate FILE or align tag")
    width = max((len(printable(field.name)) for field in fields), default=0)
    for field in fields:
        if as_json:
            print_json(vars(field))
        else:
            name, types, who = (
                printable(field.name),
                "/".join(field.types),
                "/".join(field.speakers),
            )
            click.echo(f"{name:<{width}}  {types:<14}  {count(field.items, 'item'):>14}  {who}")
