"""Facts that take long to find out, kept for the next start of a program: one small file each, in
the user's cache. They are only ever a help: one that cannot be read or written is found out again.
"""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from encoder.durable import write_whole


def cache_folder() -> Path:
    """Where things lie that can be made again."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "align-retrieval"


def recall(*key: Any) -> Any:
    """What was remembered under `key`, which JSON can write; None if nothing was."""
    with suppress(OSError, ValueError):
        return json.loads(_path(key).read_text("utf-8"))
    return None


def remember(fact: Any, *key: Any) -> None:
    """Keep `fact`, which JSON can write, under `key`."""
    path = _path(key)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_whole(path, durable=False) as file:
            file.write(json.dumps(fact).encode())


def _path(key: tuple[Any, ...]) -> Path:
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    return cache_folder() / "facts" / f"{name}.json"
