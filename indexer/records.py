"""What the library hands out."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["image", "text"]
"""Pictures and texts are searched separately."""

KINDS: tuple[Kind, ...] = ("image", "text")


@dataclass(frozen=True)
class Model:
    """The encoder a library was made with."""

    name: str
    fingerprint: str
    dim: int


@dataclass(frozen=True)
class Item:
    """One picture or one text."""

    id: int
    """Never reused, not even after the item is deleted."""
    kind: Kind
    path: Path
    """Absolute; the picture, or the file the text stands in."""
    text: str | None
    """None for a picture."""
    position: int
    """A text is the file's text number `position`, counted from 0; 0 for a picture."""
    width: int | None
    """Pixels, upright; None for a text."""
    height: int | None
    format: str | None
    """Pillow's name of the format, such as ``JPEG``; None for a text."""
    taken_at: datetime | None
    """Capture time, with a UTC offset only where the camera wrote one."""
    digest: bytes
    """SHA-256 of the picture's bytes, or of the text in UTF-8."""


@dataclass(frozen=True)
class Failure:
    """A file that could not be read; not tried again until its size or time changes."""

    path: Path
    reason: str
    at: datetime
    """UTC."""


@dataclass(frozen=True)
class Neighbours:
    """The nearest items of one kind: score descending, equal scores by smaller id."""

    ids: npt.NDArray[np.int64]
    """(n,), n at most the k asked for and smaller only where fewer items exist."""
    scores: npt.NDArray[np.float32]
    """(n,), dot products with the query vector; in [-1, 1] for a query of unit length."""
    degraded: str | None
    """Why the search was slower than it should be; the answer itself is always whole."""


@dataclass(frozen=True)
class IndexReport:
    """What one run of `Library.index` did.

    Every live item the run looked at is counted once: added, changed, moved, copied or unchanged.
    """

    added: int = 0
    """New items that had to be embedded."""
    changed: int = 0
    """New items that took the place of an item of the same file."""
    moved: int = 0
    """Items whose file was found at another path; id and embedding kept."""
    copied: int = 0
    """New items equal to a live one, whose embedding they share."""
    deleted: int = 0
    """Items gone without another in their place."""
    unchanged: int = 0
    failed: int = 0
    """Files that this run tried and could not read."""
    embedded: int = 0
    """Pictures and texts that went through the encoder."""
    seconds: float = 0.0


What = Literal[
    "database", "reference", "item", "record", "embedding", "change", "generation", "file"
]
"""``database`` the file itself · ``reference`` rows of a table that belong to nothing · ``item``
its content, ``record`` what is known of its file, ``embedding``, ``change`` its entries in the log
· ``generation`` an index file · ``file`` a picture or text on disk."""


@dataclass(frozen=True)
class Finding:
    """One damage that `Library.verify` found."""

    what: What
    where: str
    """Which file, items or table."""
    problem: str
    repairable: bool
    """Whether `Library.repair` can make it sound again."""
    ids: tuple[int, ...] = ()
    """Of the items, or rows, concerned."""


@dataclass(frozen=True)
class Repair:
    """What `Library.repair` did."""

    repaired: list[Finding]
    lost: list[str]
    """What could not be had back at once, a clause each."""


@dataclass(frozen=True)
class RootStatus:
    """A watched folder."""

    path: Path
    recursive: bool
    """False where only files that were named are watched."""
    files: int


@dataclass(frozen=True)
class GenerationStatus:
    """The head generation of one kind of item."""

    kind: Kind
    type: str
    """``flat``: exact."""
    count: int
    bytes: int
    seq: int
    """The change up to which the generation knows the library."""
    delta: int
    """Items newer than the generation, searched exactly."""
    deleted: int
    """Items of the generation that have been deleted since."""


@dataclass(frozen=True)
class Status:
    """A library at a glance."""

    counts: dict[Kind, int]
    """Live items by kind."""
    failures: int
    roots: list[RootStatus]
    model: Model | None
    generations: list[GenerationStatus]
    database_bytes: int
    """With its write-ahead log."""
    journal_mode: str
    """``wal``; ``delete`` on a file system that several machines may share, or a read-only one."""
    sqlite_version: str
    faiss_version: str
    """Of the package installed here; "" where that is not known."""
    schema_version: int
    degraded: str | None
    """Why searches are slower than they should be."""
