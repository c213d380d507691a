"""Check that the rows of the tables match each other."""

from collections.abc import Iterator

import numpy as np
from sqlalchemy import Connection, func, or_, select

from indexer.database import catalogue
from indexer.database.embeddings import CHUNK
from indexer.database.schema import changes, embeddings, failures, files, items, models
from indexer.folders.sources import kind_of
from indexer.integrity.findings import embedding_finding
from indexer.records import Finding

_TOLERANCE = 2e-3
"""How far the length of an embedding may be from 1, including the rounding to float16."""


def inconsistencies(db: Connection) -> Iterator[Finding]:
    """Rows that belong to nothing, and facts that contradict each other."""
    yield from _references(db)
    yield from _files(db)
    yield from _items(db)
    yield from _embeddings(db)
    yield from _changes(db)


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
    for id, path, item, count, positions, last, failed in db.execute(query):
        if count == 0 and failed is None and kind_of(path) == "image":
            yield Finding("reference", "files", "is neither an item nor a failure", True, (id,))
        elif count and not (count == positions == last + 1):
            yield Finding("record", f"item {item}", "is not numbered in its file", True, (item,))


def _items(db: Connection) -> Iterator[Finding]:
    """A picture's hash is stored in `files` and in `items`."""
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
                continue  # reported as a broken reference
            if not isinstance(vector, bytes) or len(vector) != 2 * dims[model_id]:
                yield embedding_finding(id, "its embedding has the wrong size")
                continue
            with np.errstate(all="ignore"):
                length = float(np.linalg.norm(np.frombuffer(vector, "<f2").astype(np.float64)))
            if not abs(length - 1) < _TOLERANCE:
                yield embedding_finding(id, f"its embedding has length {length:.3g} instead of 1")
    # While everything is embedded again, the newest items may have the next model's alone.
    lacking = (
        select(items.c.id)
        .join(files, files.c.id == items.c.file_id)
        .outerjoin(embeddings, embeddings.c.item_id == items.c.id)
        .outerjoin(failures, failures.c.file_id == files.c.id)
        # An item whose file fails for a reason that may pass waits for its next embedding.
        .where(embeddings.c.item_id.is_(None), failures.c.file_id.is_(None), files.c.size >= 0)
    )
    for id in db.execute(lacking).scalars():
        yield embedding_finding(id, "has no embedding")


def _changes(db: Connection) -> Iterator[Finding]:
    """The newest log entry of an item must say whether searches can find it."""
    latest = (
        # SQLite takes the other columns from the row with the largest seq.
        select(changes.c.item_id, changes.c.kind, changes.c.op, func.max(changes.c.seq))
        .group_by(changes.c.item_id)
        .subquery()
    )
    deleted = select(latest.c.item_id).where(
        latest.c.op != "delete", latest.c.item_id.not_in(select(items.c.id))
    )
    for id in db.execute(deleted).scalars():
        yield Finding("change", f"item {id}", "is deleted, but not in the log", True, (id,))
    current = catalogue.current_model(db)
    # The generations must have the items that a pruned log lacks.
    unlogged = (
        select(items.c.id)
        .join(embeddings, embeddings.c.item_id == items.c.id)
        .join(latest, latest.c.item_id == items.c.id)
        .where(
            embeddings.c.model_id == (current[0] if current else None),
            or_(latest.c.op != "add", latest.c.kind != items.c.kind),
        )
    )
    for id in db.execute(unlogged).scalars():
        yield Finding("change", f"item {id}", "is live, but not in the log", True, (id,))
