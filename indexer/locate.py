"""Where a library is."""

import os
from pathlib import Path

from indexer.database import connection

_DIRECTORY = ".align"


def find_library(start: str | os.PathLike[str]) -> Path | None:
    """The ``.align`` directory of the folder `start`, or of the nearest folder above with one."""
    folder = Path(start).absolute()
    for candidate in (folder, *folder.parents):
        directory = directory_of(candidate)
        if (directory / connection.NAME).is_file():
            return directory
    return None


def directory_of(path: Path) -> Path:
    """The ``.align`` directory that `path` is, or would hold."""
    return path if path.name == _DIRECTORY else path / _DIRECTORY
