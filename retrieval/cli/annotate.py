"""`align annotate`"""

from dataclasses import asdict
from pathlib import Path

import click

from retrieval.cli.names import shown
from retrieval.cli.opening import locate
from retrieval.cli.options import json_option, library_option, wait_option
from retrieval.cli.output import count, print_json, say


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--clear-empty",
    is_flag=True,
    help="An empty cell takes back what was annotated; by default it changes nothing.",
)
@wait_option
@library_option
@json_option
def command(
    file: Path, clear_empty: bool, wait: float, library: Path | None, as_json: bool
) -> None:
    """Add the columns of a table to the pictures it names, as fields for --field.

    FILE is .csv, .jsonl or .parquet. Its column path or sha256 says which pictures a row belongs
    to; a path is absolute, or relative to FILE's folder or to an indexed folder. Every other column
    becomes a field of these pictures and replaces what was annotated before under the same name. A
    null in .jsonl takes that back. FILE is taken as a whole or not at all.

    Annotations belong to the bytes of a picture: its copies have them, too. `align forget --field
    NAME` takes back a whole column.
    """
    from indexer import Library

    with Library.open(locate(library), wait=wait) as opened:
        report = opened.annotate(file, clear_empty=clear_empty, wait=wait)
        if as_json:
            print_json({"library": str(opened.path), **asdict(report)})
        else:
            click.echo(f"{count(report.matched, 'row')} matched, {report.unmatched:,} did not")
        if report.empty:
            cells = count(report.empty, "empty cell")
            say(f"{cells} changed nothing; --clear-empty takes back what was annotated there")
        if report.unkept:
            named = ", ".join(report.unkept_examples)
            more = " ..." if report.unkept > len(report.unkept_examples) else ""
            values = count(report.unkept, "value")
            say(f"no field can keep {values}: {named}{more}; the rest was stored")
        if report.unmatched:
            named = ", ".join(shown(name) for name in report.examples)
            more = " ..." if report.unmatched > len(report.examples) else ""
            say(f"not in the library: {named}{more}")
    if not report.matched:
        say("nothing was annotated" if report.unmatched else f"{file} has no rows")
        click.get_current_context().exit(1)
