"""Lists of folders that belong to this user, in ``$XDG_CONFIG_HOME/align-retrieval``."""

import os
from pathlib import Path

from encoder.durable import make_folder, write_whole


def read(name: str) -> list[Path]:
    """The folders in the list `name`; none if it was never written. Raises OSError."""
    try:
        lines = _file(name).read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    return [Path(os.fsdecode(line)) for line in lines if line]


def write(name: str, folders: list[Path]) -> None:
    """Replace the list `name`. Raises OSError."""
    file = _file(name)
    make_folder(file.parent)
    with write_whole(file) as out:
        for folder in dict.fromkeys(folders):
            out.write(os.fsencode(folder) + b"\n")


def _file(name: str) -> Path:
    base = os.environ.get("XDG_CONFIG_HOME", "")
    config = Path(base) if os.path.isabs(base) else Path.home() / ".config"
    return config / "align-retrieval" / name
