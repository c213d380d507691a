"""`align roots`"""

from pathlib import Path

import click

from indexer import Library, RootStatus
from retrieval.cli.names import whole
from retrieval.cli.opening import locate
from retrieval.cli.options import json_option, library_option, wait_option
from retrieval.cli.output import count, print_json, root_values, say


@click.group(invoke_without_command=True)
@library_option
@json_option
@click.pass_context
def command(ctx: click.Context, library: Path | None, as_json: bool) -> None:
    """List the watched folders. Prints path, number of known files, state and options.

    The state is ok, missing, unreadable, empty (although files are known) or other device (than
    before). A folder inside that was on a device of its own is listed if its state is not ok. Use
    `align roots move` for a folder that was moved.
    """
    ctx.obj = library
    if ctx.invoked_subcommand is not None:
        return
    with Library.open(locate(library)) as opened:
        roots = opened.roots()
    width = max((len(whole(root.path)) for root in roots), default=0)
    for root in roots:
        if as_json:
            print_json(root_values(root))
        else:
            path = whole(root.path)
            row = f"{path:<{width}}  {count(root.files, 'file'):>12}  {root.state:<12}"
            click.echo(f"{row}  {_options(root)}".rstrip())


def _options(root: RootStatus) -> str:
    said = [
        *(["imported, never scanned"] if root.imported else []),
        *([] if root.recursive or root.imported else ["only files that were named"]),
        *(["follows symlinks"] if root.follow_symlinks else []),
        *([f"excludes {' '.join(root.exclude)}"] if root.exclude else []),
        *(f"{whole(path)}: {state}" for path, state in root.away),
    ]
    return ", ".join(said)


@command.command("move")
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path, exists=True, file_okay=False))
@wait_option
@library_option
@click.pass_context
def move(ctx: click.Context, old: Path, new: Path, wait: float, library: Path | None) -> None:
    """Say that the watched folder OLD is now at NEW.

    Move or copy the files first: this command changes only the library. Nothing is embedded again.
    """
    with Library.open(locate(library or ctx.obj), wait=wait) as opened:
        opened.move_root(old, new, wait=wait)
    say(f"{whole(old)} is now {whole(new)}")
