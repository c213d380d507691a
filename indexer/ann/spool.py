"""Embeddings on their way into an index: read once from the database, and then from a file."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from encoder.durable import remove_file
from indexer.database.embeddings import CHUNK, Ids, Rows, Vectors
from indexer.errors import StorageError


class Spool:
    """A file of float16 rows; their ids are in memory. Made by `spooled`."""

    def __init__(self, fd: int, dim: int, ids: Ids) -> None:
        self.ids = ids
        self._fd, self._dim = fd, dim

    def __len__(self) -> int:
        return len(self.ids)

    def pieces(self) -> Iterator[Vectors]:
        """All ids and rows in their first order, at most `CHUNK` rows at a time."""
        for start in range(0, len(self), CHUNK):
            ids = self.ids[start : start + CHUNK]
            yield ids, self._read(start, len(ids))

    def sample(self, count: int, seed: int) -> Rows:
        """`count` rows drawn without replacement, or all rows if there are fewer. The same seed
        draws the same rows."""
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
        data = os.pread(self._fd, count * width, start * width)
        return np.frombuffer(data, "<f2").reshape(count, self._dim).astype(np.float32)


@contextmanager
def spooled(path: Path, dim: int, pieces: Iterable[Vectors]) -> Iterator[Spool]:
    """All `pieces`, of `dim` dimensions, written to the file `path`. The file is removed at the
    end."""
    try:
        with open(path, "w+b", buffering=0) as file:
            ids = [np.zeros(0, np.int64)]
            for piece_ids, rows in pieces:
                ids.append(piece_ids)
                _write_all(file.fileno(), rows.astype("<f2").tobytes())
            yield Spool(file.fileno(), dim, np.concatenate(ids))
    finally:
        remove_file(path)


@contextmanager
def mapped(pieces: Iterable[Rows]) -> Iterator[npt.NDArray[np.float16]]:
    """The rows of all `pieces`, (n, dim) each, as one array in a temporary file that has no name.
    Raises StorageError if it cannot be written."""
    count, dim = 0, 0
    with ExitStack() as stack:
        try:
            file = stack.enter_context(tempfile.TemporaryFile(buffering=0))
            for rows in pieces:
                _write_all(file.fileno(), rows.astype("<f2").tobytes())
                count, dim = count + len(rows), rows.shape[1]
        except OSError as error:
            raise StorageError(
                f"a temporary file could not be written ({error.strerror}); set TMPDIR to a folder"
                " with room for a copy of the embeddings"
            ) from error
        if count * dim:
            yield np.memmap(file, "<f2", "r", shape=(count, dim))
        else:
            yield np.zeros((count, dim), "<f2")


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
