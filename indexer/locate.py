"""Where a library lies."""

import os
from pathlib import Path

from indexer.database import connection

_DIRECTORY = ".align"


def find_library(start: str | os.PathLike[str]) -> Path | None:
    """The ``.align`` directory of the folder `start`, or of the nearest folder above that has one;
    None where there is none."""
    folder = Path(start).absolute()
    for candidate in (folder, *folder.parents):
        directory = directory_of(candidate)
        if (directory / connection.NAME).is_file():
            return directory
    return None


def directory_of(path: Path) -> Path:
    """The ``.align`` directory: `path` itself if that is its name, otherwise the one in it."""
    return path if path.name == _DIRECTORY else path / _DIRECTORY
