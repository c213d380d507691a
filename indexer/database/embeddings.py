"""Embeddings as the database stores them, and which of them are newer than a generation."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Connection, Row, Select, func, or_, select

from indexer.database import catalogue, connection
from indexer.database.catalogue import among
from indexer.database.rows import Generation
from indexer.database.schema import changes, embeddings, items, phrases
from indexer.records import KINDS, Kind

CHUNK = 10_000
"""Rows that are read at a time where there may be many."""

_PARAMETERS = 500
"""Values that one statement compares with; some builds of SQLite allow 999."""

Ids = npt.NDArray[np.int64]
"""Item ids, (n,)."""

Rows = npt.NDArray[np.float32]
"""Embeddings, (n, dim), or queries, (q, dim)."""

Vectors = tuple[Ids, Rows]
"""Item ids (n,), ascending, and their embeddings (n, dim)."""


def encode(vectors: Rows) -> list[bytes]:
    """Rows in the form that is stored: float16, little-endian."""
    return [row.tobytes() for row in vectors.astype("<f2")]


def _decode(db: Connection, rows: Sequence[Row[int, bytes]], dim: int) -> Vectors:
    with connection.trusting(db):
        ids = np.fromiter((row[0] for row in rows), np.int64, len(rows))
        halves = np.frombuffer(b"".join(row[1] for row in rows), "<f2").reshape(len(rows), dim)
    return ids, halves.astype(np.float32)


def _live(kind: Kind, model_id: int, *, and_lost: bool = False) -> Select[int, bytes]:
    """Embeddings of all live items of `kind`, and of items that have lost their rows, of which
    nobody knows the kind."""
    of_kind: ColumnElement[bool] = items.c.kind == kind
    return (
        select(embeddings.c.item_id, embeddings.c.vector)
        .join(items, items.c.id == embeddings.c.item_id, isouter=and_lost)
        .where(or_(of_kind, items.c.id.is_(None)) if and_lost else of_kind)
        .where(embeddings.c.model_id == model_id)
    )


def _added(kind: Kind, model_id: int, seq: int) -> Select[int, bytes]:
    """Embeddings of live items of `kind` that were added after change `seq`. Only live items have
    embeddings."""
    added = select(changes.c.item_id).where(
        changes.c.seq > seq, changes.c.kind == kind, changes.c.op == "add"
    )
    return select(embeddings.c.item_id, embeddings.c.vector).where(
        embeddings.c.item_id.in_(added), embeddings.c.model_id == model_id
    )


def all_vectors(db: Connection, kind: Kind, model_id: int, dim: int) -> Iterator[Vectors]:
    """The embeddings of all live items, in pieces of at most `CHUNK` rows."""
    query = _live(kind, model_id).order_by(embeddings.c.item_id)
    for rows in db.execute(query).partitions(CHUNK):
        yield _decode(db, rows, dim)


def delta_vectors(db: Connection, kind: Kind, model_id: int, dim: int, seq: int) -> Vectors:
    """Embeddings of live items added after change `seq`; 0 is before all of them, also before those
    that the log has forgotten."""
    # A search says so if it has to leave out items that have lost their rows.
    query = _added(kind, model_id, seq) if seq else _live(kind, model_id, and_lost=True)
    return _decode(db, db.execute(query.order_by(embeddings.c.item_id)).all(), dim)


def changed_since(db: Connection, kind: Kind, seq: int) -> Ids:
    """Ids of the items that were added or deleted after change `seq`, (n,) ascending."""
    query = select(changes.c.item_id).where(changes.c.seq > seq, changes.c.kind == kind).distinct()
    return np.sort(np.fromiter(db.execute(query).scalars(), np.int64))


def vectors_of(db: Connection, model_id: int, dim: int, ids: Iterable[int]) -> Vectors:
    """Embeddings of the live items among `ids`."""
    query = (
        select(embeddings.c.item_id, embeddings.c.vector)
        .where(among(embeddings.c.item_id, ids), embeddings.c.model_id == model_id)
        .order_by(embeddings.c.item_id)
    )
    return _decode(db, db.execute(query).all(), dim)


def vectors_by_digest(
    db: Connection, model_id: int, digests: Sequence[bytes]
) -> dict[tuple[Kind, bytes], bytes]:
    """Stored embeddings of live items with one of `digests`, by (kind, digest)."""
    found: dict[tuple[Kind, bytes], bytes] = {}
    for start in range(0, len(digests), _PARAMETERS):
        some = digests[start : start + _PARAMETERS]
        query = (
            select(items.c.kind, items.c.digest, embeddings.c.vector)
            .join(embeddings, embeddings.c.item_id == items.c.id)
            # Without the kinds, SQLite would scan the whole index of kinds and digests.
            .where(items.c.kind.in_(KINDS), items.c.digest.in_(some))
            .where(embeddings.c.model_id == model_id)
            .group_by(items.c.kind, items.c.digest)
        )
        found |= {(row.kind, row.digest): row.vector for row in db.execute(query)}
    return found


def sampled_vectors(
    db: Connection, kind: Kind, model_id: int, dim: int, count: int, seed: int
) -> Vectors:
    """Embeddings of `count` live items drawn at random, or of all if there are fewer. The same seed
    and library give the same items."""
    ids = catalogue.ids(db, kind)
    if len(ids) > count:
        ids = np.random.default_rng(seed).choice(ids, count, replace=False)
    return vectors_of(db, model_id, dim, ids)


def phrase_vectors(db: Connection, model_id: int, dim: int) -> Rows | None:
    """The stored embeddings of the bundled phrases, (n, dim); None before they were embedded."""
    query = select(phrases.c.vectors).where(phrases.c.model_id == model_id)
    data: bytes | None = db.execute(query).scalar()
    if data is None:
        return None
    return np.frombuffer(data, "<f2").reshape(-1, dim).astype(np.float32)


def deleted_since(db: Connection, kind: Kind, seq: int) -> Ids:
    """Ids of items that were deleted after change `seq`, (n,)."""
    query = select(changes.c.item_id).where(
        changes.c.seq > seq, changes.c.kind == kind, changes.c.op == "delete"
    )
    return np.fromiter(db.execute(query).scalars(), np.int64)


def pending(
    db: Connection, kind: Kind, model_id: int, head: Generation | None
) -> tuple[int, int, int]:
    """How many items are live, how many of these `head` lacks, and how many items of `head` are
    deleted. Only changes that are newer than `head` are read."""
    if head is None:
        live: int = db.execute(
            select(func.count()).select_from(_live(kind, model_id).subquery())
        ).scalar_one()
        return live, live, 0
    newer = _added(kind, model_id, head.seq).subquery()
    delta: int = db.execute(select(func.count()).select_from(newer)).scalar_one()
    since = select(changes.c.item_id).where(changes.c.seq > head.seq, changes.c.kind == kind)
    gone = since.where(changes.c.op == "delete").except_(since.where(changes.c.op == "add"))
    deleted: int = db.execute(select(func.count()).select_from(gone.subquery())).scalar_one()
    return head.count + delta - deleted, delta, deleted


def in_order(db: Connection, ids: Ids) -> Rows:
    """Embeddings of the model that searches use, (n, dim), in the order of `ids`. The row of an id
    that is not live is all zeros; without a model the result has shape (n, 0)."""
    current = catalogue.current_model(db)
    if current is None:
        return np.zeros((len(ids), 0), np.float32)
    model_id, model = current
    live, stored = vectors_of(db, model_id, model.dim, ids)
    rows = np.zeros((len(ids), model.dim), np.float32)
    found = np.isin(ids, live)
    rows[found] = stored[np.searchsorted(live, ids[found])]
    return rows
