"""What the library hands out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from indexer.recall_curve import RecallCurve

Kind = Literal["image", "text"]
"""Pictures and texts are searched separately."""

KINDS: tuple[Kind, ...] = ("image", "text")

LayoutChoice = Literal["auto", "flat", "ivf"]
"""``auto``: flat as long as that is fast."""

FieldValue = float | str

Digest = bytes
"""SHA-256, 32 bytes."""


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
    """Of a picture, the caption that a sidecar gives it."""
    position: int
    """A text is the file's text number `position`, counted from 0; 0 for a picture."""
    width: int | None
    """Pixels, upright; None for a text."""
    height: int | None
    format: str | None
    """Pillow's name of the format, such as ``JPEG``; None for a text."""
    taken_at: datetime | None
    """Capture time, with a UTC offset only where the camera wrote one."""
    digest: Digest
    """Of the picture's bytes, or of the text in UTF-8."""
    bytes: int
    """Size of the file."""
    camera: str | None
    """Make and model as EXIF has them; None for a text."""
    lens: str | None
    latitude: float | None
    """Degrees, north positive, in [-90, 90]."""
    longitude: float | None
    """Degrees, east positive, in [-180, 180]; None exactly where the latitude is."""
    fields: Mapping[str, FieldValue]
    """What sidecars and annotations say beyond that, by name."""


@dataclass(frozen=True)
class Failure:
    """A file that could not be read. Where its bytes are at fault it is not tried again until its
    size or time changes, otherwise at every run."""

    path: Path
    reason: str
    at: datetime
    """UTC; when it failed first for this reason."""


@dataclass(frozen=True)
class Neighbours:
    """The nearest items of one kind: score descending, equal scores by smaller id."""

    ids: npt.NDArray[np.int64]
    """(n,), n at most the k asked for and smaller only where fewer items exist."""
    scores: npt.NDArray[np.float32]
    """(n,), dot products with the query vector; in [-1, 1] for a query of unit length."""
    items: tuple[Item, ...]
    """The n items, read in the transaction that searched."""
    degraded: str | None
    """Why the search was slower than it should be, or which items it had to leave out because
    damage took their rows; None when all is well. What it holds is right either way."""


@dataclass(frozen=True)
class IndexReport:
    """What one run of `Library.index` did.

    Every live item the run looked at is counted once: added, changed, moved, copied, updated or
    unchanged.
    """

    added: int = 0
    """New items that had to be embedded."""
    changed: int = 0
    """New items that took the place of an item of the same file."""
    moved: int = 0
    """Items whose file was found at another path; id and embedding kept."""
    copied: int = 0
    """New items equal to a live one, whose embedding they share."""
    updated: int = 0
    """Pictures that stayed what they are, while what their sidecars say was read anew."""
    deleted: int = 0
    """Items gone without another in their place."""
    unchanged: int = 0
    failed: int = 0
    """Files that this run tried and could not read."""
    embedded: int = 0
    """Pictures and texts that went through the encoder."""
    seconds: float = 0.0
    unavailable: tuple[str, ...] = ()
    """A sentence with the reason and the remedy for every root, and every folder below one on a
    device of its own, that was left alone."""


@dataclass(frozen=True)
class Forgotten:
    """What `Library.forget` did."""

    items: int
    roots: tuple[Path, ...]
    """Folders that are no longer watched."""
    excluded: tuple[Path, ...]
    """What still lies in a watched folder, or may where that is unavailable; left out
    from now on."""


RootState = Literal["ok", "missing", "unreadable", "empty", "other device"]


@dataclass(frozen=True)
class AnnotationReport:
    """What one run of `Library.annotate` did; rows that say nothing of an item count too."""

    matched: int
    """Rows whose path or digest is that of at least one item."""
    unmatched: int
    examples: tuple[str, ...]
    """The first few paths or digests that no item has."""


What = Literal[
    "database",
    "index",
    "row",
    "sequence",
    "reference",
    "record",
    "embedding",
    "change",
    "generation",
    "file",
]
"""``database`` the file itself · ``index`` an index of one of its tables · ``row`` rows of a table
with a wrong checksum · ``sequence`` the
last number that a table gave · ``reference`` rows of a table that belong to nothing · ``record``
what is known of an item's file, ``embedding`` its own, ``change`` its entries in the log ·
``generation`` an index file · ``file`` a picture or text on disk."""


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
    state: RootState = "ok"
    """``empty``: although files in it are known; ``other device``: than when it was looked at
    last, which alone does no harm."""
    follow_symlinks: bool = False
    exclude: tuple[str, ...] = ()
    """Globs of what is left out."""
    away: tuple[tuple[Path, RootState], ...] = ()
    """Folders below with files that are known, on devices of their own when they were looked at
    last, whose state is not ``ok`` now."""


@dataclass(frozen=True)
class GenerationStatus:
    """The head generation of one kind of item."""

    kind: Kind
    type: str
    """``flat``: exact. ``ivf``: `nlist` lists, of which a search looks into `nprobe`."""
    count: int
    bytes: int
    seq: int
    """The change up to which the generation knows the library."""
    delta: int
    """Items newer than the generation, searched exactly."""
    deleted: int
    """Items of the generation that have been deleted since."""
    nlist: int | None
    nprobe: int | None
    recall: float
    """Recall@10 against exact search, in [0, 1]; measured for an IVF, 1 for a flat index."""
    curve: RecallCurve | None
    """How `nprobe` was chosen; None for a flat index."""


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
