"""Embeddings on their way from the database into an index: read from it once, then from a file."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from indexer.catalogue import CHUNK, Vectors

Rows = npt.NDArray[np.float32]


class Spool:
    """A temporary file of float16 rows, and their ids in memory. A context manager."""

    def __init__(self, path: Path, dim: int, pieces: Iterable[Vectors]) -> None:
        """Write all `pieces` to `path`, which goes when the spool is closed."""
        self._path, self._dim = path, dim
        ids = []
        try:
            self._file = open(path, "w+b", buffering=0)  # noqa: SIM115
            for some, rows in pieces:
                ids.append(some)
                _write_all(self._file.fileno(), rows.astype("<f2").tobytes())
        except BaseException:
            self.close()
            raise
        self.ids = np.concatenate([np.zeros(0, np.int64), *ids])

    def __len__(self) -> int:
        return len(self.ids)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the file."""
        if hasattr(self, "_file"):
            self._file.close()
        self._path.unlink(missing_ok=True)

    def pieces(self) -> Iterator[Vectors]:
        """Everything, in the order it came and at most `CHUNK` rows at a time."""
        for start in range(0, len(self), CHUNK):
            ids = self.ids[start : start + CHUNK]
            yield ids, self._read(start, len(ids))

    def sample(self, count: int, seed: int) -> Rows:
        """`count` rows drawn without replacement, or all where there are fewer; the same ones for
        the same seed."""
        if count >= len(self):
            chosen = np.arange(len(self))
        else:
            chosen = np.random.default_rng(seed).choice(len(self), count, replace=False)
            chosen.sort()
        rows = np.empty((len(chosen), self._dim), np.float32)
        done = 0
        for start in range(0, len(self), CHUNK):
            stop = min(start + CHUNK, len(self))
            inside = chosen[np.searchsorted(chosen, start) : np.searchsorted(chosen, stop)]
            rows[done : done + len(inside)] = self._read(start, stop - start)[inside - start]
            done += len(inside)
        return rows

    def _read(self, start: int, count: int) -> Rows:
        width = 2 * self._dim
        data = os.pread(self._file.fileno(), count * width, start * width)
        return np.frombuffer(data, "<f2").reshape(count, self._dim).astype(np.float32)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
