"""`align duplicates`"""

from pathlib import Path

import click

from retrieval.cli.names import shown
from retrieval.cli.opening import locate
from retrieval.cli.options import form_options, library_option, threshold_option
from retrieval.cli.output import Form, ProgressBar, count, print_json, print_paths, say, size

_KINDS = {"copy": "copies", "near": "near-duplicates"}


@click.command()
@click.option("--exact", is_flag=True, help="List exact copies only.")
@threshold_option
@form_options
@library_option
def command(exact: bool, threshold: float | None, form: Form, library: Path | None) -> None:
    """List copies and near-duplicates: groups of pictures, the best of a group first.

    Exact copies come first, then near-duplicates, such as resized or recompressed pictures. Frames
    of a burst are not listed: pictures of one size and format taken within 3 seconds, unless they
    were taken at once and are as good as equal. Only one of several copies is listed among the
    near-duplicates. The best picture has the most pixels, then the most bytes. --paths and --print0
    leave out the best of each group.
    """
    from indexer import Library
    from retrieval.duplicates import find_duplicates

    with Library.open(locate(library)) as opened:
        groups = find_duplicates(
            opened, exact=exact, threshold=threshold, progress=ProgressBar("picture")
        )
    if form in ("paths", "print0"):
        print_paths((item.path for group in groups for item in group.items[1:]), form)
        return
    for number, group in enumerate(groups):
        if form == "json":
            print_json(group.to_dict())
            continue
        if number:
            click.echo()
        click.echo(f"{len(group.items)} {_KINDS[group.kind]}")
        for item in group.items:
            pixels = f"{item.width} x {item.height}"
            click.echo(f"  {pixels:>13}  {size(item.bytes):>9}  {shown(item.path)}")
    copies = sum(group.kind == "copy" for group in groups)
    near = "" if exact else f", {count(len(groups) - copies, 'group')} of near-duplicates"
    waste = size(sum(group.wasted for group in groups))
    more = f"; all but the best take {waste}" if groups else ""
    if form == "table":
        say(f"{count(copies, 'group')} of copies{near}{more}")
