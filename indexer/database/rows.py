"""Rows of library.db as plain objects, as the catalogue returns them."""

import os
from dataclasses import dataclass

from indexer.records import Digest, Kind

Mounts = tuple[tuple[bytes, int], ...]
"""Folders of a root that are on another device than the folder above them: their paths, relative to
the root and sorted, and the numbers of their devices."""


@dataclass(frozen=True)
class Root:
    """A watched folder; `path` is absolute."""

    id: int
    path: bytes
    recursive: bool
    device: int | None = None
    """Number of the device that it was on when all of it was last looked at; None before that."""
    follow_symlinks: bool = False
    exclude: tuple[str, ...] = ()
    """Globs of the files and folders that are left out; see `indexer.folders.excludes`."""
    mounts: Mounts = ()
    """The mounts that held files when they were last looked at."""
    imported: bool = False
    """Whether it holds what another program embedded: it is never scanned."""

    def at(self, path: bytes) -> bytes:
        """The absolute path of `path`, which is relative to the root; b"" is the root itself."""
        return os.path.join(self.path, path) if path else self.path


@dataclass(frozen=True)
class File:
    """A file as the last run saw it; `lacking` depends on the model that the caller names."""

    id: int
    root_id: int
    path: bytes
    size: int
    mtime_ns: int
    digest: bytes | None
    """SHA-256 of its bytes; None if it could not be read, or if not all its items are written."""
    racy: bool
    """Whether its bytes may have changed later without a change of size and time."""
    sidecar: str | None
    """Sizes and times of the sidecars that were read with it; None without any."""
    items: int
    """How many live items it holds."""
    lacking: int
    """How many of these have no embedding of the model."""
    failed: bool
    """Whether the file could not be read or its bytes could not be decoded."""
    passing: bool
    """Whether it failed for a reason that may pass without a change of the file."""


@dataclass(frozen=True)
class FileItem:
    """One item of a file; `embedded` depends on the model that the caller names."""

    id: int
    file_id: int
    position: int
    digest: bytes
    embedded: bool
    """Whether it has an embedding of the model."""


@dataclass(frozen=True)
class Generation:
    """An index file, with the names of the columns of the table ``generations``."""

    kind: Kind
    seq: int
    """Number of the last change of the library that it includes."""
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
