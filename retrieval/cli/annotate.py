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
    """Add the columns of a table to the pictures it names, as fields for --field.

    FILE is .csv, .jsonl or .parquet. Its column path or sha256 says which pictures a row belongs
    to; a path is absolute, or relative to FILE's folder or to an indexed folder. Every other column
    becomes a field of these pictures and replaces a field of the same name. FILE is taken as a
    whole or not at all.
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
