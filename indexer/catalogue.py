"""What the database knows. Every function reads; `indexer.journal` writes.

Paths are bytes, absolute where a `Root` holds them and relative to their root elsewhere.
"""

import json
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, exists, func, select

from indexer.layout import Choice
from indexer.records import Failure, Item, Kind, Model
from indexer.schema import (
    changes,
    embeddings,
    failures,
    files,
    generations,
    items,
    library,
    models,
    phrases,
    roots,
)

CHUNK = 10_000
"""Rows read at a time where all of them could be many."""

Vectors = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]
"""Item ids (n,), ascending, and their embeddings (n, dim)."""


@dataclass(frozen=True)
class Root:
    """A watched folder; `path` is absolute."""

    id: int
    path: bytes
    recursive: bool


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
    """A published index file."""

    id: int
    kind: Kind
    seq: int
    name: str
    size: int
    """Bytes."""
    sha256: bytes
    count: int
    type: str
    nlist: int | None
    nprobe: int | None
    recall: float
    curve: str | None


def within(path: bytes, folder: bytes) -> bool:
    """Whether the absolute `path` is `folder` or lies in it."""
    return os.path.commonpath([path, folder]) == folder


def among(column: ColumnElement[int], ids: Iterable[int]) -> ColumnElement[bool]:
    """``column IN ids`` for any number of ids: SQLite takes a limited number of parameters."""
    rows = func.json_each(json.dumps([int(id) for id in ids])).table_valued("value")
    return column.in_(select(rows.c.value))


def current_model(db: Connection) -> tuple[int, Model] | None:
    """The id and the model that searches use; None before anything was embedded."""
    row = db.execute(select(models).join(library, library.c.model_id == models.c.id)).first()
    return (row.id, Model(row.name, row.fingerprint, row.dim)) if row else None


def wanted_layout(db: Connection) -> tuple[Choice, float]:
    """The layout and the recall that the next generation is to have."""
    row = db.execute(select(library.c.layout, library.c.target_recall)).one()
    return row.layout, row.target_recall


def sampled_vectors(
    db: Connection, kind: Kind, model_id: int, dim: int, count: int, seed: int
) -> Vectors:
    """Embeddings of at most `count` live items, the same ones for the same seed and library."""
    query = select(items.c.id).where(items.c.kind == kind).order_by(items.c.id)
    ids = np.fromiter(db.execute(query).scalars(), np.int64)
    if len(ids) > count:
        ids = np.random.default_rng(seed).choice(ids, count, replace=False)
    return vectors_of(db, model_id, dim, ids)


def phrase_vectors(db: Connection, model_id: int, dim: int) -> npt.NDArray[np.float32] | None:
    """The kept embeddings of the bundled phrases, (n, dim); None before they were embedded."""
    query = select(phrases.c.vectors).where(phrases.c.model_id == model_id)
    data: bytes | None = db.execute(query).scalar()
    if data is None:
        return None
    return np.frombuffer(data, "<f2").reshape(-1, dim).astype(np.float32)


def last_change(db: Connection) -> int:
    """The newest number in the change log, 0 for an empty one."""
    seq: int = db.execute(select(func.coalesce(func.max(changes.c.seq), 0))).scalar_one()
    return seq


def all_roots(db: Connection, home: bytes) -> list[Root]:
    """Every root; `home` is the absolute folder that holds the library directory."""
    return [
        Root(row.id, os.path.normpath(os.path.join(home, row.path)), row.recursive)
        for row in db.execute(select(roots).order_by(roots.c.id))
    ]


def known_files(db: Connection, root_id: int, model_id: int | None) -> list[File]:
    """Every file of a root."""
    embedded = and_(embeddings.c.item_id == items.c.id, embeddings.c.model_id == model_id)
    query = (
        select(
            files, func.count(items.c.id), func.count(items.c.id) - func.count(embeddings.c.item_id)
        )
        .outerjoin(items, items.c.file_id == files.c.id)
        .outerjoin(embeddings, embedded)
        .where(files.c.root_id == root_id)
        .group_by(files.c.id)
    )
    return [File(*row) for row in db.execute(query)]


def file_items(db: Connection, file_id: int, model_id: int | None) -> list[FileItem]:
    """The items of a file in order of position."""
    embedded = exists().where(embeddings.c.item_id == items.c.id, embeddings.c.model_id == model_id)
    query = (
        select(items.c.id, items.c.file_id, items.c.position, items.c.digest, embedded)
        .where(items.c.file_id == file_id)
        .order_by(items.c.position)
    )
    return [FileItem(*row) for row in db.execute(query)]


def vectors_by_digest(
    db: Connection, model_id: int, digests: Collection[bytes]
) -> dict[tuple[Kind, bytes], bytes]:
    """Stored embeddings of live items with one of `digests`, by (kind, digest)."""
    query = (
        select(items.c.kind, items.c.digest, embeddings.c.vector)
        .join(embeddings, embeddings.c.item_id == items.c.id)
        .where(items.c.digest.in_(digests), embeddings.c.model_id == model_id)
        .group_by(items.c.kind, items.c.digest)
    )
    return {(row.kind, row.digest): row.vector for row in db.execute(query)}


def encode(vectors: npt.NDArray[np.float32]) -> list[bytes]:
    """Rows as they are stored: float16, little-endian."""
    return [row.tobytes() for row in vectors.astype("<f2")]


def _decode(rows: Sequence[Row[int, bytes]], dim: int) -> Vectors:
    ids = np.fromiter((row[0] for row in rows), np.int64, len(rows))
    halves = np.frombuffer(b"".join(row[1] for row in rows), "<f2").reshape(len(rows), dim)
    return ids, halves.astype(np.float32)


def _added(kind: Kind, model_id: int, seq: int) -> Select[int, bytes]:
    """Live items of `kind` added after change `seq`: only live items have embeddings."""
    added = select(changes.c.item_id).where(
        changes.c.seq > seq, changes.c.kind == kind, changes.c.op == "add"
    )
    return select(embeddings.c.item_id, embeddings.c.vector).where(
        embeddings.c.item_id.in_(added), embeddings.c.model_id == model_id
    )


def all_vectors(db: Connection, kind: Kind, model_id: int, dim: int) -> Iterator[Vectors]:
    """Every embedding of live items, in pieces of at most `CHUNK`."""
    query = _added(kind, model_id, 0).order_by(embeddings.c.item_id)
    for rows in db.execute(query).partitions(CHUNK):
        yield _decode(rows, dim)


def delta_vectors(db: Connection, kind: Kind, model_id: int, dim: int, seq: int) -> Vectors:
    """Embeddings of live items added after change `seq`."""
    query = _added(kind, model_id, seq).order_by(embeddings.c.item_id)
    return _decode(db.execute(query).all(), dim)


def vectors_of(db: Connection, model_id: int, dim: int, ids: Iterable[int]) -> Vectors:
    """Embeddings of those of `ids` that are live."""
    query = (
        select(embeddings.c.item_id, embeddings.c.vector)
        .where(among(embeddings.c.item_id, ids), embeddings.c.model_id == model_id)
        .order_by(embeddings.c.item_id)
    )
    return _decode(db.execute(query).all(), dim)


def deleted_since(db: Connection, kind: Kind, seq: int) -> npt.NDArray[np.int64]:
    """Ids of items deleted after change `seq`, (n,)."""
    query = select(changes.c.item_id).where(
        changes.c.seq > seq, changes.c.kind == kind, changes.c.op == "delete"
    )
    return np.fromiter(db.execute(query).scalars(), np.int64)


def pending(
    db: Connection, kind: Kind, model_id: int, head: Generation | None
) -> tuple[int, int, int]:
    """(live items, how many of them `head` lacks, how many items of `head` are deleted).

    Reads only what is newer than `head`.
    """
    seq, count = (head.seq, head.count) if head else (0, 0)
    newer = _added(kind, model_id, seq).subquery()
    delta: int = db.execute(select(func.count()).select_from(newer)).scalar_one()
    added, gone = changes.alias(), changes.alias()
    new_itself = exists().where(
        added.c.item_id == gone.c.item_id, added.c.seq > seq, added.c.op == "add"
    )
    of_head = select(func.count()).where(
        gone.c.seq > seq, gone.c.kind == kind, gone.c.op == "delete", ~new_itself
    )
    deleted: int = db.execute(of_head).scalar_one()
    return count + delta - deleted, delta, deleted


def kept_generations(db: Connection, kind: Kind, model_id: int) -> list[Generation]:
    """The head first, then what a search falls back to."""
    g = generations.c
    query = (
        select(
            *[g.id, g.kind, g.seq, g.name, g.bytes, g.sha256, g.count, g.type],
            *[g.nlist, g.nprobe, g.recall, g.curve],
        )
        .where(g.kind == kind, g.model_id == model_id)
        .order_by(g.id.desc())
    )
    return [Generation(*row) for row in db.execute(query)]


def generation_names(db: Connection) -> set[str]:
    """The names of all index files that are kept, of any kind and model."""
    return set(db.execute(select(generations.c.name)).scalars())


def counts(db: Connection) -> dict[Kind, int]:
    """Live items by kind; a kind without items is left out."""
    query = select(items.c.kind, func.count()).group_by(items.c.kind)
    return {row[0]: row[1] for row in db.execute(query)}


def files_by_root(db: Connection) -> dict[int, int]:
    """Known files by root id; a root without files is left out."""
    query = select(files.c.root_id, func.count()).group_by(files.c.root_id)
    return {row[0]: row[1] for row in db.execute(query)}


def _absolute(path: bytes, root_id: int, roots_by_id: dict[int, Root]) -> Path:
    return Path(os.fsdecode(os.path.join(roots_by_id[root_id].path, path)))


def items_where(db: Connection, home: bytes, condition: ColumnElement[bool]) -> list[Item]:
    """Items by file and position; `condition` speaks of the tables `items` and `files`."""
    by_id = {root.id: root for root in all_roots(db, home)}
    query = (
        select(items, files.c.root_id, files.c.path)
        .join(files, files.c.id == items.c.file_id)
        .where(condition)
        .order_by(items.c.file_id, items.c.position)
    )
    return [
        Item(
            id=row.id,
            kind=row.kind,
            path=_absolute(row.path, row.root_id, by_id),
            text=row.text,
            position=row.position,
            width=row.width,
            height=row.height,
            format=row.format,
            taken_at=row.taken_at and datetime.fromisoformat(row.taken_at),
            digest=row.digest,
        )
        for row in db.execute(query)
    ]


def items_by_id(db: Connection, home: bytes, ids: Iterable[int]) -> list[Item]:
    """Those of `ids` that are live, in no order."""
    return items_where(db, home, among(items.c.id, ids))


def items_at(db: Connection, home: bytes, path: bytes) -> list[Item]:
    """The items of the file at the absolute `path`."""
    places = [
        and_(files.c.root_id == root.id, files.c.path == os.path.relpath(path, root.path))
        for root in all_roots(db, home)
    ]
    return [item for place in places for item in items_where(db, home, place)]


def all_failures(db: Connection, home: bytes) -> list[Failure]:
    """Every failure, by root and path."""
    by_id = {root.id: root for root in all_roots(db, home)}
    query = (
        select(files.c.root_id, files.c.path, failures.c.reason, failures.c.at)
        .join(failures, failures.c.file_id == files.c.id)
        .order_by(files.c.root_id, files.c.path)
    )
    return [
        Failure(_absolute(row.path, row.root_id, by_id), row.reason, datetime.fromisoformat(row.at))
        for row in db.execute(query)
    ]
