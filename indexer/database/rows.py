"""What the catalogue hands out: rows of library.db as plain objects."""

import os
from dataclasses import dataclass

from indexer.records import Digest, Kind

Mounts = tuple[tuple[bytes, int], ...]
"""Folders of a root that are on another device than the folder above them: paths relative to the
root, sorted, and the numbers of the devices."""


@dataclass(frozen=True)
class Root:
    """A watched folder; `path` is absolute."""

    id: int
    path: bytes
    recursive: bool
    device: int | None = None
    """Of the file system it was on when all of it was looked at last."""
    follow_symlinks: bool = False
    exclude: tuple[str, ...] = ()
    """Globs of what is left out, as `indexer.folders.excludes` reads them."""
    mounts: Mounts = ()
    """Those that held files when they were looked at last."""

    def at(self, place: bytes) -> bytes:
        """The absolute path of `place`, relative to the root; b"" for the root itself."""
        return os.path.join(self.path, place) if place else self.path


@dataclass(frozen=True)
class File:
    """A file as the last run saw it."""

    id: int
    root_id: int
    path: bytes
    size: int
    mtime_ns: int
    digest: bytes | None
    racy: bool
    """Whether its bytes may have changed since without a trace in size and time."""
    sidecar: str | None
    """Sizes and times of the sidecars that were read with it."""
    items: int
    """Live items in it."""
    lacking: int
    """Those of them without an embedding of the model asked about."""
    failed: bool
    """Whether it, or what its bytes are, could not be read."""


@dataclass(frozen=True)
class FileItem:
    """One item of a file."""

    id: int
    file_id: int
    position: int
    digest: bytes
    embedded: bool
    """Whether it has an embedding of the model asked about."""


@dataclass(frozen=True)
class Generation:
    """An index file, with the names of the columns of the table ``generations``."""

    kind: Kind
    seq: int
    """The change up to which it knows the library."""
    name: str
    """Of the file; no other generation ever has the same."""
    bytes: int
    """Size of the file."""
    sha256: Digest
    count: int
    """Embeddings in it."""
    type: str
    """``flat`` or ``ivf``."""
    nlist: int | None
    nprobe: int | None
    recall: float
    curve: str | None
    """`RecallCurve` as JSON; None for a flat index."""
    faiss_version: str
    """Of the FAISS that wrote it."""
