"""`align verify`"""

from dataclasses import asdict
from pathlib import Path

import click

from indexer import Finding, Library, LibraryDamaged
from retrieval.cli.names import shown
from retrieval.cli.opening import locate
from retrieval.cli.options import json_option, library_option
from retrieval.cli.output import ProgressBar, count, print_json, say

REPAIRABLE = 10
DAMAGED = 11


def _part(
    context: click.Context, option: click.Parameter, value: str | None
) -> tuple[int, int] | None:
    if value is None:
        return None
    number, _, parts = value.partition("/")
    if number.isdecimal() and parts.isdecimal() and 1 <= int(number) <= int(parts):
        return int(number), int(parts)
    raise click.BadParameter(f"{value} is not a part such as 1/10, 2/10, ... 10/10")


@click.command()
@click.option(
    "--read-data",
    callback=_part,
    metavar="N/T",
    help="Also read part N of T parts of the files and compare them with their hashes; 1/1 reads"
    " all files.",
)
@json_option
@library_option
@click.pass_context
def command(
    context: click.Context, read_data: tuple[int, int] | None, as_json: bool, library: Path | None
) -> None:
    """Look for damage in a library: in its database, its indexes and, with --read-data, its files.

    Nothing is changed. The exit status is 0 if there is no damage, 10 if `align repair` can repair
    all of it, and 11 if not.
    """
    where = locate(library)
    try:
        with Library.open(where) as opened:
            found = opened.verify(read_data=read_data, progress=ProgressBar("file"))
    except LibraryDamaged as error:
        found = [Finding("database", str(where), str(error), False)]
    for finding in found:
        print_finding(finding, as_json)
    if not found:
        say("no damage found")
    elif all(finding.repairable for finding in found):
        say(f"{count(len(found), 'finding')}: align repair mends them")
        context.exit(REPAIRABLE)
    else:
        say(f"{count(len(found), 'finding')}, and not all can be repaired")
        context.exit(DAMAGED)


def print_finding(finding: Finding, as_json: bool) -> None:
    """A finding as a line, or as a JSON object."""
    if as_json:
        print_json(asdict(finding))
    else:
        click.echo(f"{finding.what}: {shown(finding.where)}: {finding.problem}")
