"""Generations: immutable index files. They are published whole or not at all, and they are checked
before they are used."""

import hashlib
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from sqlalchemy import Engine

from encoder.durable import make_folder, remove_file, write_whole
from indexer.ann.layout import FLAT_LIMIT, SAMPLE_SEED, Layout, layout
from indexer.ann.spool import spooled
from indexer.ann.tuning import Queries, measure
from indexer.database import catalogue, embeddings, journal
from indexer.database.compaction import prune_log
from indexer.database.embeddings import Vectors
from indexer.database.rows import Generation
from indexer.errors import GenerationError
from indexer.progress import NULL, Progress
from indexer.recall_curve import EXACT, Probing, RecallCurve
from indexer.records import Kind

if TYPE_CHECKING:
    from indexer.ann.faiss_index import Index

_WORTHWHILE = 0.01
_WORTHWHILE_LISTS = 0.05
"""A new generation is published when this share of the items was added or deleted since the head:
one picture more must not cost a million pictures written. The more there are, the more it matters:
an index with lists that grows fivefold is so written in parts that are 17 times as large."""

_GROWN = 2
"""Lists are trained anew once there are so many times as many items, or as few, and when a search
must look into so many times as many lists."""

_QUERIES_AGAIN = 100
"""An index that keeps its lists is measured with so many queries, to see that it is still good."""

_PIECE = 1 << 22
_FOLDER = "generations"
_OURS = re.compile(
    r"(\d+-)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.faiss(\.spool|\.align\.tmp)?"
)
"""The names of index files, and of what becomes one."""


@dataclass(frozen=True)
class Opened:
    """A generation in memory, or mapped into it."""

    row: Generation
    index: "Index"

    def is_cut(self, directory: Path) -> bool:
        """Whether the file is shorter than it was. Where it is mapped, to read behind its end would
        kill the process. A file that was removed can still be read."""
        if not is_mapped(self.row):
            return False
        try:
            return _path(directory, self.row).stat().st_size < self.row.bytes
        except OSError:
            return False

    @cached_property
    def probing(self) -> Probing:
        """How many lists a search looks into."""
        if self.row.nlist is None:
            return EXACT
        curve, every = recall_curve(self.row), self.row.nlist
        return curve.probing if curve else Probing(every, 0, 1, 1, every)


class _Damaged(Exception):
    """A generation file differs from what was published; the message says how."""


def publish(
    engine: Engine,
    directory: Path,
    kind: Kind,
    queries: Callable[[], Queries],
    *,
    worthwhile: float | None = None,
    force: bool = False,
    progress: Progress = NULL,
) -> None:
    """Publish a new head for `kind`, in the layout that the library wants, if the share
    `worthwhile` of its items has changed since the head, None for the usual share, or if `force`
    says so. For the holder of the writer lock.

    Unless forced, an index with lists keeps those of the head until the library has doubled or the
    recall has fallen. `queries` is called for an index with lists, to measure how many lists a
    search must look into. Raises GenerationError if the file cannot be written or if its recall is
    too low; searches stay exact without it.
    """
    with engine.begin() as db:
        current = catalogue.current_model(db)
        if current is None:
            return
        model_id, model = current
        kept = catalogue.kept_generations(db, kind, model_id)
        head = kept[0] if kept else None
        live, delta, deleted = embeddings.pending(db, kind, model_id, head)
        if worthwhile is None:
            worthwhile = _WORTHWHILE_LISTS if head and head.nlist else _WORTHWHILE
        pending = delta + deleted
        if not (pending and pending >= worthwhile * live) and not (force and live):
            return
        choice, target = catalogue.wanted_layout(db)
        planned = layout(live, choice)
    tuning = queries() if planned.nlist else None

    folder = directory / _FOLDER
    if folder.is_symlink():
        raise GenerationError(
            f"{folder} is a symbolic link, which the library never writes through: put a folder in"
            " its place, or keep the whole library elsewhere with --library; all items are safe"
        )
    name = f"{uuid.uuid4()}.faiss"
    try:
        make_folder(folder)
        built = None
        if tuning and head and head.nlist and not force:
            built = _extended(engine, directory, head, model_id, model.dim, live, tuning, target)
        if built is None:
            path = folder / f"{name}.spool"
            built = _trained(
                engine, path, kind, model_id, model.dim, planned, tuning, target, progress
            )
        seq, index, curve = built
        name = f"{seq}-{name}"
        if curve and curve.lowest.recall < target:
            raise GenerationError(
                f"the new index finds {curve.lowest.recall:.1%} of what it should instead of"
                f" {target:.1%} and was not published; searches stay as they were, run `align"
                " rebuild --index flat`"
            )
        size, digest = _write(folder, name, index)
    except OSError as error:
        raise GenerationError(
            f"{folder / name} could not be written ({error.strerror}); all items are safe and"
            " searched exactly, make room and run `align index` again"
        ) from error
    from indexer.ann import faiss_index

    written = Generation(
        kind=kind,
        seq=seq,
        name=name,
        bytes=size,
        sha256=digest,
        count=index.count,
        type=planned.type,
        nlist=index.nlist if curve else None,
        nprobe=curve.probing.nprobe if curve else None,
        recall=curve.cases[0].recall if curve else 1.0,
        curve=curve.to_json() if curve else None,
        faiss_version=faiss_index.VERSION,
    )
    with engine.begin() as db:
        journal.add_generation(db, model_id, written)
        prune_log(db, model_id)
    clean(engine, directory)


def remove_empty_folder(directory: Path) -> None:
    """Remove the folder of index files if it is there and empty. Raises OSError if it is not."""
    with suppress(FileNotFoundError):
        (directory / _FOLDER).rmdir()


def any_file(directory: Path) -> bool:
    """Whether there is any index file, kept or not."""
    return any((directory / _FOLDER).glob("*.faiss"))


def clean(engine: Engine, directory: Path) -> None:
    """Remove the files of generations that are no longer kept, and what a killed writer left. For
    the holder of the writer lock. Anything that bears no name of ours stays, and so does all that
    lies behind a link."""
    folder = directory / _FOLDER
    if folder.is_symlink() or not folder.is_dir():
        return
    with engine.begin() as db:
        needed = catalogue.generation_names(db)
    for path in folder.iterdir():
        if path.name not in needed and _OURS.fullmatch(path.name):
            remove_file(path)


Built = tuple[int, "Index", RecallCurve | None]
"""The last change that an index includes, the index, and how well it finds what it should; None for
a flat index, which is exact."""


def _trained(
    engine: Engine,
    path: Path,
    kind: Kind,
    model_id: int,
    dim: int,
    planned: Layout,
    queries: Queries | None,
    target: float,
    progress: Progress,
) -> Built:
    """An index of all items, made from nothing. Raises OSError if the spool at `path` cannot be
    written."""
    from indexer.ann import faiss_index

    with ExitStack() as stack:
        with engine.begin() as db:
            seq = catalogue.last_change(db)
            pieces = embeddings.all_vectors(db, kind, model_id, dim)
            spool = stack.enter_context(spooled(path, dim, pieces))
        sample = partial(spool.sample, planned.sample, SAMPLE_SEED)
        if queries is None:
            return seq, faiss_index.build(planned, dim, sample, spool.pieces), None
        # Each vector is assigned to a list, and then added to it.
        progress.start(2 * len(spool), "vectors")
        try:
            index = faiss_index.build(
                planned, dim, sample, lambda: _counted(spool.pieces(), progress)
            )
        finally:
            progress.finish()
        return seq, index, measure(index, queries, spool.pieces, target)


def _counted(pieces: Iterator[Vectors], progress: Progress) -> Iterator[Vectors]:
    for piece in pieces:
        yield piece
        progress.advance(len(piece[0]))


def _extended(
    engine: Engine,
    directory: Path,
    head: Generation,
    model_id: int,
    dim: int,
    live: int,
    queries: Queries,
    target: float,
) -> Built | None:
    """The index of `head` with what has changed since, in the same lists; None if other lists would
    serve better, or if its file is not sound."""
    from indexer.ann import faiss_index

    before = recall_curve(head)
    if before is None:
        return None
    count, nprobe = before.trained
    if not count / _GROWN < live < count * _GROWN:
        return None
    with engine.begin() as db:
        seq = catalogue.last_change(db)
        opened, _ = open_newest(directory, [head], dim, None)
        if opened is None:
            return None
        deleted = embeddings.deleted_since(db, head.kind, head.seq)
        new = embeddings.delta_vectors(db, head.kind, model_id, dim, head.seq)
    index = faiss_index.extended(opened.index, np.union1d(deleted, new[0]), new)
    pieces = partial(faiss_index.contents, index)
    curve = measure(index, queries.some(_QUERIES_AGAIN), pieces, target, before)
    if curve.probing.nprobe > _GROWN * nprobe:
        return None
    return seq, index, curve


def recall_curve(row: Generation) -> RecallCurve | None:
    """What was measured with a generation; None for a flat one, and if what the database says
    cannot be understood."""
    if row.curve is None or row.nprobe is None:
        return None
    try:
        return RecallCurve.from_json(row.curve, row.nprobe)
    except (ValueError, KeyError, TypeError, IndexError):
        return None


class _Hashed:
    """A file that is hashed and counted as it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self._file.write(data)
        self.digest.update(data)
        self.size += len(data)
        return len(data)


def _write(folder: Path, name: str, index: "Index") -> tuple[int, bytes]:
    """Write and sync an index file under its final name; return its size and SHA-256."""
    from indexer.ann import faiss_index

    with write_whole(folder / name) as file:
        hashed = _Hashed(file)
        faiss_index.write(index, hashed)
    return hashed.size, hashed.digest.digest()


def open_newest(
    directory: Path, kept: Sequence[Generation], dim: int, cached: Opened | None
) -> tuple[Opened | None, str | None]:
    """The newest sound generation of `kept` (the head first), and the reason if it is not the head.

    The generation is None if none is sound or none was published: then the whole library is the
    delta.
    """
    from indexer.ann import faiss_index

    reason = None
    for row in kept:
        if cached and cached.row == row and not cached.is_cut(directory):
            return cached, reason
        try:
            _check(directory, row)
            index = faiss_index.load(_path(directory, row), mapped=is_mapped(row))
            if (index.dim, index.count) != (dim, row.count):
                raise _Damaged("holds other vectors than were published")
            return Opened(row, index), reason
        except (_Damaged, RuntimeError) as error:
            reason = reason or _sentence(row, error)
    return None, reason


def is_mapped(row: Generation) -> bool:
    """Whether searches read the file of a generation as they need it. A smaller one is read into
    memory, where nothing that happens to the file can harm."""
    return row.count > FLAT_LIMIT


def why_degraded(directory: Path, head: Generation) -> str | None:
    """Why a search cannot use `head`; None if the bytes of its file are sound."""
    try:
        _check(directory, head)
    except _Damaged as error:
        return _sentence(head, error)
    return None


def _sentence(row: Generation, error: Exception) -> str:
    return f"generations/{row.name} {error}; searching without it"


def _path(directory: Path, row: Generation) -> Path:
    return directory / _FOLDER / row.name


def _check(directory: Path, row: Generation) -> None:
    """Read the whole file, piece by piece. Raises _Damaged if it differs from what was written."""
    digest, size = hashlib.sha256(), 0
    try:
        with open(_path(directory, row), "rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                size += len(piece)
    except OSError as error:
        raise _Damaged(f"cannot be read ({error.strerror})") from None
    if size != row.bytes:
        raise _Damaged(f"is {size} bytes long instead of {row.bytes}")
    if digest.digest() != row.sha256:
        raise _Damaged("is damaged (its checksum is wrong)")
