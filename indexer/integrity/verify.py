"""What is damaged in a library: the database, the generations, and on request the files themselves.

Everything here reads, and works beside a writer.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence, Set
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, Engine, func, or_, select
from sqlalchemy.exc import DatabaseError

from indexer.ann import generations
from indexer.database import catalogue
from indexer.database.embeddings import CHUNK, deleted_since, vectors_of
from indexer.database.schema import changes, embeddings, failures, files, items, models
from indexer.database.schema import generations as published
from indexer.folders.sources import kind_of
from indexer.integrity import database_check
from indexer.integrity.database_check import listed
from indexer.progress import NULL, Progress
from indexer.records import KINDS, Finding, Model

Part = tuple[int, int]
"""(N, T): the Nth of T parts of the files, counted from 1."""

_TOLERANCE = 2e-3
"""How far from 1 the length of an embedding may be, float16's own rounding among it."""
_SAMPLE = 10_000
"""Embeddings of a generation that are compared with the database's."""

Ids = npt.NDArray[np.int64]


def verify(
    reader: Engine,
    directory: Path,
    home: bytes,
    part: Part | None = None,
    progress: Progress = NULL,
) -> list[Finding]:
    """Everything found wrong; `part` of the files are read and compared with their hashes.

    Where rows are damaged, no more is looked at: only `repair` shows whether they fit together.
    """
    try:
        with reader.begin() as db:
            # The rest believes what the rows say.
            if found := [*database_check.damage(db, directory)]:
                return found
            found = [
                *database_check.sequences(db),
                *_references(db),
                *_files(db),
                *_items(db),
                *_embeddings(db),
                *_changes(db),
            ]
            bad = {id for finding in found if finding.what == "embedding" for id in finding.ids}
            suspects = list(_generations(db, directory, bad))
        with reader.begin() as db:  # the writer may have replaced one while it was looked at
            kept = {_where(name) for name in _names(db)}
            found += [f for f in suspects if f.what != "generation" or f.where in kept]
        if part:
            with reader.begin() as db:
                chosen = list(_chosen(db, home, part))
            found += _read_files(chosen, progress)
    except DatabaseError as error:
        return [database_check.unreadable(directory, str(error.orig))]
    return _merged(found)


def _references(db: Connection) -> Iterator[Finding]:
    for table, rowid, parent, _ in db.exec_driver_sql("PRAGMA foreign_key_check"):
        problem = f"belongs to a row of {parent} that is gone"
        yield Finding("reference", str(table), problem, True, (rowid,))


def _files(db: Connection) -> Iterator[Finding]:
    """A picture is an item or a failure, and the items of a file are numbered from 0."""
    query = (
        select(
            files.c.id,
            files.c.path,
            func.min(items.c.id),
            func.count(items.c.id),
            func.count(items.c.position.distinct()),
            func.max(items.c.position),
            failures.c.file_id,
        )
        .outerjoin(items, items.c.file_id == files.c.id)
        .outerjoin(failures, failures.c.file_id == files.c.id)
        .where(files.c.size >= 0)
        .group_by(files.c.id)
    )
    for id, path, item, count, places, last, failed in db.execute(query):
        if count == 0 and failed is None and kind_of(path) == "image":
            yield Finding("reference", "files", "is neither an item nor a failure", True, (id,))
        elif count and not (count == places == last + 1):
            yield Finding("record", f"item {item}", "is not numbered in its file", True, (item,))


def _items(db: Connection) -> Iterator[Finding]:
    """A picture's hash is kept twice."""
    query = (
        select(items.c.id)
        .join(files, files.c.id == items.c.file_id)
        .where(items.c.kind == "image", files.c.digest != items.c.digest)
    )
    for id in db.execute(query).scalars():
        yield Finding("record", f"item {id}", "has another hash than its file", True, (id,))


def _embeddings(db: Connection) -> Iterator[Finding]:
    dims = {row.id: row.dim for row in db.execute(select(models))}
    e = embeddings.c
    query = select(e.item_id, e.model_id, e.vector)
    for rows in db.execute(query).partitions(CHUNK):
        for id, model_id, vector in rows:
            if model_id not in dims:
                continue  # a broken reference, said already
            if not isinstance(vector, bytes) or len(vector) != 2 * dims[model_id]:
                yield _bad(id, "its embedding is of the wrong length")
                continue
            with np.errstate(all="ignore"):
                length = float(np.linalg.norm(np.frombuffer(vector, "<f2").astype(np.float64)))
            if not abs(length - 1) < _TOLERANCE:
                yield _bad(id, f"its embedding is of length {length:.3g} instead of 1")
    current = catalogue.current_model(db)
    if current is None or len(dims) > 1:  # embedding anew was interrupted; the next run goes on
        return
    lacking = (
        select(items.c.id)
        .join(files, files.c.id == items.c.file_id)
        .outerjoin(
            embeddings,
            (embeddings.c.item_id == items.c.id) & (embeddings.c.model_id == current[0]),
        )
        .where(embeddings.c.item_id.is_(None), files.c.size >= 0)
    )
    for id in db.execute(lacking).scalars():
        yield _bad(id, "has no embedding")


def _bad(id: int, problem: str) -> Finding:
    return Finding("embedding", f"item {id}", problem, True, (id,))


def _changes(db: Connection) -> Iterator[Finding]:
    """The newest entry of an item must say whether searches can find it."""
    latest = (
        # SQLite takes the other columns from the row with the maximum.
        select(changes.c.item_id, changes.c.kind, changes.c.op, func.max(changes.c.seq))
        .group_by(changes.c.item_id)
        .subquery()
    )
    ghosts = select(latest.c.item_id).where(
        latest.c.op != "delete", latest.c.item_id.not_in(select(items.c.id))
    )
    for id in db.execute(ghosts).scalars():
        yield Finding("change", f"item {id}", "is gone, which the log does not say", True, (id,))
    current = catalogue.current_model(db)
    unsaid = (
        select(items.c.id)
        .join(embeddings, embeddings.c.item_id == items.c.id)
        .outerjoin(latest, latest.c.item_id == items.c.id)
        .where(
            embeddings.c.model_id == (current[0] if current else None),
            or_(latest.c.op.is_(None), latest.c.op != "add", latest.c.kind != items.c.kind),
        )
    )
    for id in db.execute(unsaid).scalars():
        yield Finding("change", f"item {id}", "is there, which the log does not say", True, (id,))


def _names(db: Connection) -> set[str]:
    return set(db.execute(select(published.c.name)).scalars())


def _generations(db: Connection, directory: Path, bad: Set[int]) -> Iterator[Finding]:
    strays = _names(db)
    current = catalogue.current_model(db)
    if current:
        for kind in KINDS:
            for row in catalogue.kept_generations(db, kind, current[0]):
                strays.remove(row.name)
                yield from _generation(db, directory, row, *current, bad)
    for name in strays:
        yield _unusable(name, "is of no kind or model that is searched")


def _where(name: str) -> str:
    return f"generations/{name}"


def _unusable(name: str, problem: str) -> Finding:
    return Finding("generation", _where(name), problem, True)


def _generation(
    db: Connection,
    directory: Path,
    row: catalogue.Generation,
    model_id: int,
    model: Model,
    bad: Set[int],
) -> Iterator[Finding]:
    try:
        opened, reason = generations.open_newest(directory, [row], model.dim, None)
    except ValueError as error:  # a name that no file can have
        opened, reason = None, str(error)
    if opened is None:
        said = str(reason).removeprefix(f"{_where(row.name)} ")
        yield _unusable(row.name, said.removesuffix("; searching without it"))
        return

    from indexer.ann import faiss_index

    live = _sorted(
        db.execute(
            select(items.c.id)
            .join(embeddings, embeddings.c.item_id == items.c.id)
            .where(items.c.kind == row.kind, embeddings.c.model_id == model_id)
        ).scalars()
    )
    since = select(changes.c.item_id).where(
        changes.c.seq > row.seq, changes.c.kind == row.kind, changes.c.op == "add"
    )
    delta = np.intersect1d(_sorted(db.execute(since).scalars()), live)
    deleted = _sorted(deleted_since(db, row.kind, row.seq))
    stored = np.concatenate(
        [np.zeros(0, np.int64), *(p[0] for p in faiss_index.contents(opened.index))]
    )
    shown = np.setdiff1d(stored, deleted)
    for said, ids in (
        ("lacks items", np.setdiff1d(live, np.union1d(shown, delta))),
        ("has items that are gone", np.setdiff1d(shown, live)),
        ("has items that are newer than it", np.intersect1d(shown, delta)),
    ):
        if len(ids):
            yield _unusable(row.name, f"{said}: {listed(ids.tolist())}")
    if len(np.unique(stored)) < len(stored):
        yield _unusable(row.name, "has items twice")

    comparable = np.setdiff1d(np.intersect1d(shown, live), _sorted({*bad, *delta.tolist()}))
    if len(comparable) > _SAMPLE:
        comparable = np.sort(np.random.default_rng().choice(comparable, _SAMPLE, replace=False))
    for ids, rows in faiss_index.contents(opened.index):
        chosen = np.isin(ids, comparable)
        order = np.argsort(ids[chosen])
        wanted, mine = vectors_of(db, model_id, model.dim, ids[chosen].tolist())
        differs = (rows[chosen][order].astype("<f2") != mine.astype("<f2")).any(axis=1)
        for id in wanted[differs].tolist():
            # The file is what was published, to the last bit: it is the database that changed.
            yield _bad(id, "its embedding is not the one that was indexed")


def _sorted(ids: Iterable[int]) -> Ids:
    return np.unique(np.fromiter(ids, np.int64))


File = tuple[bytes, int, int, bytes]
"""Absolute path, size, mtime_ns and SHA-256 as the last run saw them."""


def _chosen(db: Connection, home: bytes, part: Part) -> Iterator[File]:
    """By a hash of the path: it is the same part in every run, whatever else comes and goes."""
    number, parts = part
    folders = {root.id: root.path for root in catalogue.all_roots(db, home)}
    f = files.c
    query = select(f.root_id, f.path, f.size, f.mtime_ns, f.digest).where(
        f.digest.is_not(None), f.racy.is_(False)
    )
    for root_id, path, size, mtime_ns, digest in db.execute(query):
        share = int.from_bytes(hashlib.sha256(path).digest()[:8]) % parts
        if share == number - 1 and root_id in folders:
            yield os.path.join(folders[root_id], path), size, mtime_ns, digest


def _read_files(chosen: Sequence[File], progress: Progress) -> Iterator[Finding]:
    progress.start(len(chosen), "files")
    try:
        for path, size, mtime_ns, digest in chosen:
            problem = _read_file(path, size, mtime_ns, digest)
            if problem:
                yield Finding("file", os.fsdecode(path), problem, False)
            progress.advance(1)
    finally:
        progress.finish()


def _read_file(path: bytes, size: int, mtime_ns: int, digest: bytes) -> str | None:
    """What is wrong with a file that, by size and time, is still the one that was indexed."""
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if (status.st_size, status.st_mtime_ns) != (size, mtime_ns):
                return None
            found = hashlib.file_digest(file, "sha256").digest()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None  # gone, as the next run will see
    except OSError as error:
        return f"cannot be read ({error.strerror}); check the disk, or restore it from a backup"
    if found == digest:
        return None
    return (
        "its bytes changed although its size and time did not; restore it from a backup, or if it"
        " is as it should be, `touch` it and run `align index`"
    )


def _merged(found: Iterable[Finding]) -> list[Finding]:
    """One finding for all items, or rows of a table, with the same problem."""
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for f in found:
        key = (f.what, f.problem, f.where if f.what not in _MANY else None)
        groups.setdefault(key, []).append(f)
    return [_together(group) if len(group) > 1 else group[0] for group in groups.values()]


_MANY: tuple[str, ...] = ("record", "embedding", "change")


def _together(group: Sequence[Finding]) -> Finding:
    first = group[0]
    ids = tuple(sorted({id for finding in group for id in finding.ids}))
    several = first.what in _MANY and len(ids) > 1
    where = f"items {listed(ids)}" if several else first.where
    return Finding(first.what, where, first.problem, first.repairable, ids)
