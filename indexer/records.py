"""What the library hands out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from indexer.recall_curve import RecallCurve
from indexer.values import FieldValues

Kind = Literal["image", "text"]
"""Pictures and texts are searched separately."""

KINDS: tuple[Kind, ...] = ("image", "text")

LayoutChoice = Literal["auto", "flat", "ivf"]
"""``auto``: flat up to `indexer.ann.layout.FLAT_LIMIT` items, above that IVF."""

Speaker = Literal["person", "file", "tag"]
"""Who says something of bytes: a person, the picture's file itself, or the tool that `align tag`
is. A sidecar is no speaker: what it says belongs to its file."""

Digest = bytes
"""SHA-256, 32 bytes."""


@dataclass(frozen=True)
class Model:
    """The encoder that a library was made with."""

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
    """Absolute path of the picture, or of the file that holds the text."""
    text: str | None
    """The text; for a picture the caption that a sidecar gives it, None without one."""
    position: int
    """Number of the text in its file, counted from 0; 0 for a picture."""
    width: int | None
    """Pixels of the upright picture; None for a text."""
    height: int | None
    format: str | None
    """Pillow's name of the format, such as ``JPEG``; None for a text."""
    taken_at: datetime | None
    """Capture time, with a UTC offset only where the camera wrote one."""
    digest: Digest
    """SHA-256 of the picture's bytes, or of the text in UTF-8."""
    bytes: int
    """Size of the file."""
    camera: str | None
    """Make and model from EXIF; None without them, and for a text."""
    lens: str | None
    latitude: float | None
    """Degrees, north positive, in [-90, 90]."""
    longitude: float | None
    """Degrees, east positive, in [-180, 180]; None exactly where the latitude is."""
    fields: Mapping[str, FieldValues]
    """What people, sidecars, the picture's own file and tools say, by name. Of several that say
    something under one name, the word of the first of these counts."""


@dataclass(frozen=True)
class Said:
    """What one speaker says of an item under one name."""

    name: str
    value: FieldValues
    speaker: Speaker | None
    """None for a sidecar."""
    at: datetime | None
    """When it was said, in UTC; None for a sidecar and a file, and where it is not known."""
    about: Mapping[str, object]
    """How it came about: a ``table``, or the ``labels``, ``templates`` and ``model`` of a tool."""
    counts: bool
    """Whether filters go by it; otherwise another speaker's word counts more."""


@dataclass(frozen=True)
class FieldSummary:
    """A field of any item."""

    name: str
    types: tuple[str, ...]
    """Kinds of its values: ``number``, ``integer``, ``truth``, ``text``, ``date``."""
    items: int
    """How many live items have it."""
    speakers: tuple[str, ...]
    """Who says it: ``person``, ``sidecar``, ``file``, ``tag``."""


@dataclass(frozen=True)
class Failure:
    """A file that could not be read. If its bytes are at fault, it is tried again when its size or
    time changes; otherwise it is tried at every run."""

    path: Path
    reason: str
    at: datetime
    """When it first failed for this reason, in UTC."""
    passing: bool
    """Whether the reason may pass without a change of the file: the system stopped the decoder, or
    the file may not be opened now."""


@dataclass(frozen=True)
class Neighbours:
    """The nearest items of one kind: score descending, equal scores by smaller id."""

    ids: npt.NDArray[np.int64]
    """(n,). n is at most the k of the search, and smaller only where fewer items exist."""
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

    Every live item the run looked at is counted once: added, changed, moved, copied, updated,
    reembedded or unchanged.
    """

    added: int = 0
    """New items that had to be embedded."""
    changed: int = 0
    """New items that replaced an item of the same file."""
    moved: int = 0
    """Items whose file was found at another path. They keep id and embedding."""
    copied: int = 0
    """New items that are equal to a live item and share its embedding."""
    updated: int = 0
    """Pictures that did not change, but whose sidecars changed and were read again."""
    deleted: int = 0
    """Items that are gone, and that no new item replaced."""
    reembedded: int = 0
    """Items that did not change and got an embedding that they lacked: that of another model, or
    one that was lost."""
    unchanged: int = 0
    failed: int = 0
    """Files that this run tried to read without success."""
    failing: int = 0
    """Files of the library that could not be read, by this run or an earlier one."""
    passing: int = 0
    """How many of these failed for a reason that may pass, and are tried at every run."""
    embedded: int = 0
    """Pictures and texts that went through the encoder."""
    given_up: tuple[str, ...] = ()
    """Names of models with which an earlier run had begun to embed everything again. What they had
    embedded is dropped."""
    passed_over: Mapping[str, int] = field(default_factory=dict)
    """How many files are not read, as in `Status.passed_over`."""
    seconds: float = 0.0
    unavailable: tuple[str, ...] = ()
    """One sentence, with the reason and the remedy, for each root that was left alone, and for each
    folder on its own device that was left alone."""


@dataclass(frozen=True)
class ImportReport:
    """What `Library.import_embeddings` did."""

    added: int = 0
    replaced: int = 0
    """Items at paths that were imported before."""
    watched: int = 0
    """Paths in watched folders, which are left out: `Library.index` reads them."""


@dataclass(frozen=True)
class Forgotten:
    """What `Library.forget` did."""

    items: int
    roots: tuple[Path, ...]
    """Folders that are no longer watched."""
    excluded: tuple[Path, ...]
    """Files and folders that are left out from now on. They still lie in a watched folder, or may
    lie there while it is unavailable."""
    unknown: tuple[Path, ...] = ()
    """Paths at which nothing is known."""


RootState = Literal["ok", "missing", "unreadable", "empty", "other device"]


@dataclass(frozen=True)
class AnnotationReport:
    """What one run of `Library.annotate` did. Rows without any field count, too."""

    matched: int
    """Rows whose path or digest belongs to at least one item."""
    unmatched: int
    examples: tuple[str, ...]
    """The first few paths or digests that no item has."""
    empty: int = 0
    """Empty cells of rows that matched. They changed nothing, unless the run was told to clear
    them."""
    unkept: int = 0
    """Values that no field can keep, such as objects and bytes. All others were stored."""
    unkept_examples: tuple[str, ...] = ()
    """Column and row of the first few of them, and what they are."""


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
"""What is damaged.

``database``: the file itself · ``index``: an index of a table · ``row``: rows of a table with a
wrong checksum · ``sequence``: the last number that a table gave · ``reference``: rows of a table
that belong to a row that is gone · ``record``: what the library knows about an item's file ·
``embedding``: the embedding of an item · ``change``: the entries of an item in the change log ·
``generation``: an index file · ``file``: a picture or text on disk.
"""


@dataclass(frozen=True)
class Finding:
    """One damage that `Library.verify` found."""

    what: What
    where: str
    """The file, the items or the table."""
    problem: str
    repairable: bool
    """Whether `Library.repair` can mend it."""
    ids: tuple[int, ...] = ()
    """Ids of the damaged items or rows."""


@dataclass(frozen=True)
class Repair:
    """What `Library.repair` did."""

    repaired: list[Finding]
    lost: list[str]
    """What could not be restored at once: one clause for each loss."""


@dataclass(frozen=True)
class RootStatus:
    """A watched folder."""

    path: Path
    recursive: bool
    """False if the library watches only files that were named."""
    files: int
    """How many files in it the library knows."""
    state: RootState = "ok"
    """``empty``: the library knows files in it, but it holds none. ``other device``: it is on
    another device than at the last look, which alone does no harm."""
    follow_symlinks: bool = False
    exclude: tuple[str, ...] = ()
    """Globs of the files and folders that are left out."""
    imported: bool = False
    """Whether it holds what another program embedded, and is never scanned."""
    away: tuple[tuple[Path, RootState], ...] = ()
    """Folders below it that had a device of their own at the last look and hold known files, and
    whose state is not ``ok`` now."""


@dataclass(frozen=True)
class GenerationStatus:
    """The head generation of one kind of item."""

    kind: Kind
    type: str
    """``flat``: exact. ``ivf``: a search looks into `nprobe` of its `nlist` lists."""
    count: int
    bytes: int
    seq: int
    """Number of the last change of the library that the generation includes."""
    delta: int
    """Items that are newer than the generation and are searched exactly."""
    deleted: int
    """Items of the generation that have been deleted since."""
    nlist: int | None
    nprobe: int | None
    recall: float
    """Recall@10 against exact search, in [0, 1]: measured for an IVF, 1 for a flat index."""
    curve: RecallCurve | None
    """What was measured; None for a flat index."""
    mapped: bool
    """Whether searches read its file as they need it, because it is large. A program that cuts the
    file while they do so kills them."""


@dataclass(frozen=True)
class Status:
    """A library at a glance."""

    counts: dict[Kind, int]
    """Live items by kind."""
    untimed: int
    """Pictures without a capture time."""
    passed_over: Mapping[str, int]
    """How many files in the watched folders are not read, by the ending in lower case: videos, RAW
    files without the extra and so on; ``link`` for symbolic links, ``raw+jpeg`` for RAW files that
    lie beside their JPEGs."""
    failures: int
    """Files that could not be read."""
    passing: int
    """How many of these failed for a reason that may pass, and are tried at every run."""
    roots: list[RootStatus]
    model: Model | None
    generations: list[GenerationStatus]
    database_bytes: int
    """Size of the database with its write-ahead log."""
    journal_mode: str
    """``wal``, or ``delete`` on a file system that is read-only or that several machines may
    share."""
    sqlite_version: str
    faiss_version: str
    """Version of the installed package; "" if it is not known."""
    schema_version: int
    degraded: str | None
    """Why searches are slower than they should be; None if they are not."""
