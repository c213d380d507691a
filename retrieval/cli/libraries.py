"""`align libraries`"""

from pathlib import Path

import click

from indexer import Library, LibraryError, directory_of
from retrieval.cli.names import whole
from retrieval.cli.options import json_option
from retrieval.cli.output import count, print_json, say
from retrieval.known_libraries import drop, known


@click.command()
@click.option(
    "--forget",
    type=click.Path(path_type=Path),
    help="Take the library in this folder off the list; nothing else happens to it.",
)
@json_option
def command(forget: Path | None, as_json: bool) -> int:
    """List the libraries that you have filled. Prints folder, pictures and watched folders.

    A command that is run in a folder that one of them watches finds it. `align index` puts a
    library on the list, which is in your own configuration; nothing is written into your folders.
    """
    if forget is not None:
        name = whole(forget)
        was_there = drop(directory_of(forget.resolve()))
        say(f"{name} is off the list" if was_there else f"align: {name} is not on the list")
        return int(not was_there)
    directories = known()
    if not directories and not as_json:
        say("no libraries yet: make one with align index FOLDER")
    for directory in directories:
        try:
            with Library.open(directory) as library:
                roots = library.roots()
                pictures = len(library.ids("image"))
        except LibraryError as error:
            values: dict[str, object]
            values = {"library": directory, "pictures": None, "roots": [], "problem": str(error)}
            said = f"{whole(directory.parent)}  cannot be opened: {error}"
        else:
            paths = [root.path for root in roots]
            values = {"library": directory, "pictures": pictures, "roots": paths, "problem": None}
            said = (
                f"{whole(directory.parent)}  {count(pictures, 'picture')}"
                f"  {', '.join(map(whole, paths))}"
            )
        if as_json:
            print_json(values)
        else:
            click.echo(said)
    return 0
