"""`align forget`"""

from pathlib import Path

import click

from retrieval.cli.names import pasteable, shown
from retrieval.cli.opening import locate
from retrieval.cli.options import json_option, library_option, wait_option
from retrieval.cli.output import count, print_json, say


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@click.option(
    "--field",
    "fields",
    metavar="NAME",
    multiple=True,
    help="Forget only this field, as people and align tag gave it; without PATH, of all items."
    " Repeatable.",
)
@wait_option
@library_option
@json_option
def command(
    paths: tuple[Path, ...],
    fields: tuple[str, ...],
    wait: float,
    library: Path | None,
    as_json: bool,
) -> None:
    """Forget files, folders or whole roots, whether they still exist or not; or only fields.

    Nothing is deleted on disk. A file that is still in a watched folder is left out from now on,
    until `align index PATH` names it. If PATH is a watched folder, it is no longer watched. The
    annotations of a picture are forgotten with its last copy.
    """
    from indexer import Library

    if not paths and not fields:
        raise click.UsageError("Missing argument 'PATH...' or option '--field'.")
    if fields:
        with Library.open(locate(library), wait=wait) as opened:
            values = opened.forget_fields(fields, paths=paths, wait=wait)
        if as_json:
            print_json({"values": values})
        else:
            click.echo(f"{count(values, 'value')} forgotten")
        return

    with Library.open(locate(library), wait=wait) as opened:
        forgotten = opened.forget(paths, wait=wait, ignore_unknown=True)
    if as_json:
        print_json(vars(forgotten))
    else:
        click.echo(f"{count(forgotten.items, 'item')} forgotten")
    for path in forgotten.roots:
        say(f"{shown(path)} is no longer watched")
    for path in forgotten.excluded:
        say(
            f"{shown(path)} is left out from now on; `align index {pasteable(path)}` brings it back"
        )
    for path in forgotten.unknown:
        say(f"align: the library knows nothing at {shown(path)}; check the spelling")
    if forgotten.unknown:
        click.get_current_context().exit(1)
