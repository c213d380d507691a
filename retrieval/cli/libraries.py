"""Which library a command means."""

from pathlib import Path

from indexer import LibraryNotFound, find_library
from retrieval.engine import Engine, open_library
from retrieval.settings import LIBRARY_VARIABLE


def open_engine(library: Path | None, model: str | None, device: str) -> Engine:
    """The library asked for, else the one found from the current folder upwards."""
    return open_library(locate(library), model=model, device=device)


def locate(library: Path | None) -> Path:
    """The folder of the library asked for or found; LibraryNotFound with the remedy otherwise."""
    found = library or find_library(Path.cwd())
    if found is None:
        raise LibraryNotFound(
            "there is no library in this folder or above: make one with `align index FOLDER`, or"
            f" name it with --library or {LIBRARY_VARIABLE}"
        )
    return found


def locate_for_indexing(library: Path | None, paths: tuple[Path, ...]) -> Path:
    """As `locate`, but first from the first path upwards, and where there is none a new one in the
    first folder that is to be indexed."""
    if library is not None or not paths:
        return locate(library)
    first = paths[0].absolute()
    found = find_library(first if first.is_dir() else first.parent) or find_library(Path.cwd())
    if found is None and first.is_dir():
        return first
    return found or locate(None)
