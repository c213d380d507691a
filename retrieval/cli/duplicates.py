"""`align duplicates`"""

from pathlib import Path

import click

from retrieval.cli.libraries import locate
from retrieval.cli.names import shown
from retrieval.cli.options import json_option, library_option, threshold_option
from retrieval.cli.output import ProgressBar, count, print_json, say


@click.command()
@click.option("--exact", is_flag=True, help="List exact copies only.")
@threshold_option
@json_option
@library_option
def command(exact: bool, threshold: float, as_json: bool, library: Path | None) -> None:
    """List copies and near-duplicates: groups of paths, the best picture of a group first.

    Exact copies come first, then near-duplicates, such as resized or recompressed pictures. Frames
    of a burst are not listed: pictures of one size and format taken within 3 seconds. Only one of
    several copies is listed among the near-duplicates. The best picture has the most pixels, then
    the most bytes.
    """
    from indexer import Library
    from retrieval.duplicates import find_duplicates

    with Library.open(locate(library)) as opened:
        groups = find_duplicates(
            opened, exact=exact, threshold=threshold, progress=ProgressBar("picture")
        )
    for number, group in enumerate(groups):
        if as_json:
            print_json(group.to_dict())
            continue
        if number:
            click.echo()
        for item in group.items:
            click.echo(shown(item.path))
    if not as_json:
        copies = sum(group.kind == "copy" for group in groups)
        near = "" if exact else f", {count(len(groups) - copies, 'group')} of near-duplicates"
        say(f"{count(copies, 'group')} of copies{near}")
