"""`align trust`"""

from pathlib import Path

import click

from indexer import LibraryNotFound, directory_of
from retrieval.cli.names import whole
from retrieval.cli.output import say
from retrieval.trust import DATABASE, distrust, trust, trusted


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[FOLDER]...")
@click.option("--remove", is_flag=True, help="No longer trust the libraries in these folders.")
def command(folders: tuple[Path, ...], remove: bool) -> None:
    """Trust the libraries in FOLDERs, although they belong to another user.

    A library that is found above the current folder, and that another user owns, is otherwise used
    only if you name it with --library; and its model is loaded only if you name it with --model, or
    if it comes with this program. Without FOLDER, the trusted libraries are listed.
    """
    if not folders:
        if remove:
            raise click.UsageError("--remove needs at least one FOLDER")
        for directory in trusted():
            click.echo(whole(directory.parent))
    for folder in folders:
        directory = directory_of(folder.expanduser().absolute())
        name = whole(directory.parent)
        if remove:
            say(f"{name} is not trusted any more" if distrust(directory) else f"{name} was not")
        elif not (directory / DATABASE).is_file():
            raise LibraryNotFound(f"there is no library at {name}: name the folder that holds one")
        else:
            trust(directory)
