"""Embeddings that are kept between runs, exactly as they were first computed."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from filelock import FileLock

_log = logging.getLogger(__name__)

Rows = npt.NDArray[np.float32]

_TOLERANCE = 1e-3
"""The length of a sound embedding differs from 1 by at most this."""
_CHUNK = 4096


class EmbeddingCache:
    """Embeddings of one kind by one encoder, found by the SHA-256 of what was embedded.

    The cache is a file in `folder`; if `folder` is None, it is in memory only. The file is a
    sequence of records: a digest of 32 bytes, then `dim` little-endian float32. Records are only
    appended. If a killed run left an unfinished record, the next run that writes cuts it off. A
    record whose embedding is not of unit length is not used. If a digest has several records, the
    first one counts.
    """

    def __init__(
        self, folder: Path | None, fingerprint: str, kind: Literal["images", "texts"], dim: int
    ) -> None:
        self._dim = dim
        self._record = np.dtype([("digest", "V32"), ("row", "<f4", dim)])
        self._path = folder / f"{fingerprint}-{kind}.f32" if folder else None
        self._kept = np.zeros(0, self._record)
        self._places: dict[bytes, int] = {}
        self._new: dict[bytes, Rows] = {}
        if self._path and self._path.exists():
            self._load(self._path)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._places or digest in self._new

    def __len__(self) -> int:
        return len(self._places) + len(self._new)

    def rows(self, digests: Sequence[bytes]) -> Rows:
        """The embeddings of `digests`, (n, dim). Raises KeyError if one is not in the cache."""
        found = np.empty((len(digests), self._dim), np.float32)
        for row, digest in zip(found, digests, strict=True):
            kept = self._places.get(digest)
            row[:] = self._new[digest] if kept is None else self._kept[kept]["row"]
        return found

    def add(self, digests: Sequence[bytes], rows: Rows) -> None:
        """Keep the embeddings `rows`, (n, dim), of `digests`.

        If the file cannot be written, warn once and keep all later embeddings in memory only.
        """
        self._new.update(zip(digests, rows, strict=True))
        if self._path is None:
            return
        records = np.empty(len(rows), self._record)
        records["digest"] = np.frombuffer(b"".join(digests), "V32")
        records["row"] = rows
        try:
            self._append(self._path, records.tobytes())
        except OSError as error:
            _log.warning(
                "%s cannot be written (%s), so embeddings are not kept for the next run: name"
                " another folder with --cache",
                self._path,
                error.strerror,
            )
            self._path = None

    def _append(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")), open(path, "ab") as file:
            file.truncate(file.tell() - file.tell() % self._record.itemsize)
            file.write(data)

    def _load(self, path: Path) -> None:
        count = path.stat().st_size // self._record.itemsize
        if not count:  # no whole record, nothing to map
            return
        self._kept = np.memmap(path, self._record, "r", shape=(count,))
        for start in range(0, count, _CHUNK):
            chunk = self._kept[start : start + _CHUNK]
            lengths = np.linalg.norm(chunk["row"], axis=1)
            for i in np.flatnonzero(np.abs(lengths - 1) <= _TOLERANCE).tolist():
                self._places.setdefault(chunk["digest"][i].tobytes(), start + i)
