"""What reading a whole file of weights told, kept for the next start of a program.

One small file for each checkpoint lies in the user's cache. It counts as long as the weights have
the size and the time that they had then.
"""

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path

from encoder.durable import write_whole
from encoder.model.config import AlignConfig
from encoder.weights import Weights

_SETTLED = 2.0
"""Seconds after which no file system gives another change the same time."""

Known = tuple[str, float]
"""The digest of the weights, and the temperature."""


def cache_folder() -> Path:
    """Where things lie that can be made again."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "align-retrieval"


def get(weights: Weights, config: AlignConfig) -> Known | None:
    """What is known of `weights`, which were found to fit `config`; None if they are new here."""
    with suppress(OSError, ValueError, TypeError):
        digest, temperature = json.loads(_path(weights, config).read_text("utf-8"))
        return str(digest), float(temperature)
    return None


def put(weights: Weights, config: AlignConfig, known: Known) -> None:
    """Keep it, unless the files are so new that another change might not show, or the cache cannot
    be written."""
    newest = max(time_ns for _, _, time_ns in weights.stamp)
    if newest > time.time_ns() - _SETTLED * 1e9:
        return
    path = _path(weights, config)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_whole(path, durable=False) as file:
            file.write(json.dumps(known).encode())


def _path(weights: Weights, config: AlignConfig) -> Path:
    key = json.dumps([weights.stamp, config.to_dict()], sort_keys=True)
    return cache_folder() / "weights" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
