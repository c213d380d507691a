"""`align annotate`"""

from dataclasses import asdict
from pathlib import Path

import click

from retrieval.cli.libraries import locate
from retrieval.cli.options import json_option, library_option, wait_option
from retrieval.cli.output import count, print_json, say


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@wait_option
@library_option
@json_option
def command(file: Path, wait: float, library: Path | None, as_json: bool) -> None:
    """Add the columns of a table to the pictures it names, for --field to search by.

    FILE is .csv, .jsonl or .parquet. Its column path (absolute, or relative to FILE's folder or to
    an indexed folder) or sha256 says which pictures a row means; every other column becomes a
    field of theirs, in place of a field of the same name. Either all of FILE is taken or nothing.
    """
    from indexer import Library

    with Library.open(locate(library), wait=wait) as opened:
        report = opened.annotate(file, wait=wait)
        if as_json:
            print_json({"library": str(opened.path), **asdict(report)})
        else:
            click.echo(f"{count(report.matched, 'row')} matched, {report.unmatched:,} did not")
        if report.unmatched:
            named = ", ".join(click.format_filename(name) for name in report.examples)
            more = " ..." if report.unmatched > len(report.examples) else ""
            say(f"not in the library: {named}{more}")
