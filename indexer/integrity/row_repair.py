"""Rows that `repair` puts right: those with a wrong checksum, and what depends on them."""

import os
import uuid
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    LargeBinary,
    Table,
    cast,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from indexer.database.catalogue import among
from indexer.database.checksums import Value, damaged_rows, raw_rows, restored
from indexer.database.journal import UNFINISHED
from indexer.database.schema import (
    changes,
    embeddings,
    failures,
    fields,
    files,
    items,
    library,
    metadata,
    models,
    roots,
)
from indexer.folders.sources import kind_of

INSTEAD = {
    "library": "takes the default options for the library",
    "models": "drops the model and its embeddings, to be made anew",
    "roots": "keeps the folder, with nothing left out, for you to check",
    "files": "has the files read again",
    "items": "has them read again as new items",
    "embeddings": "has their items embedded anew",
    "fields": "drops them; those of sidecars are read again",
    "failures": "has the files tried again",
    "changes": "writes the log of these items anew",
    "generations": "makes the indexes anew",
    "phrases": "drops them until they are needed",
}
"""What becomes of damaged rows of a table, apart from those in which a single bit has flipped."""

_UNREAD = {"size": UNFINISHED, "digest": None}
"""What is recorded of a file that the next run shall read, whatever its size and time."""
_UNKNOWN = "?"
"""A stamp that no sidecars have, so that they are read again."""


def put_back(db: Connection) -> int:
    """Write the rows again in which a single bit has flipped; returns how many."""
    count = 0
    for table in metadata.sorted_tables:
        columns = [column.name for column in table.columns if column.computed is None]
        assignments = ", ".join(f"{name} = ?" for name in columns)
        for row in list(damaged_rows(db, table)):
            values = restored(row)
            if values is None:
                continue
            try:
                with db.begin_nested():
                    db.exec_driver_sql(
                        f"UPDATE {table.name} SET {assignments} WHERE rowid = ?",
                        (*values, row.rowid),
                    )
            except IntegrityError:  # not what it was after all
                continue
            count += 1
    return count


def replace_rows(db: Connection, damaged: Mapping[str, Collection[int]]) -> list[str]:
    """Do without damaged rows, table name to rowids; what is lost, in sentences."""
    lost: list[str] = []
    # In this order nothing is asked of a row that is still damaged.
    for table in (library, models, roots, files, items, embeddings, fields, failures, changes):
        rowids = damaged.get(table.name, ())
        if not rowids:
            continue
        chosen = among(literal_column(f"{table.name}.rowid"), rowids)
        if table is library:
            lost.append(_reset_library(db))
        elif table is models:
            db.execute(update(library).values(model_id=None))
            db.execute(delete(models).where(chosen))
            lost.append(
                "the embeddings of a model, which the next `align index` makes anew: name the"
                " --model it was"
            )
        elif table is roots:
            lost += [_doubt_root(db, row) for row in _rows(db, roots, rowids)]
        elif table is files:
            _reread_files(db, chosen)
            lost.append(
                f"what was known of {len(rowids)} files, which the next `align index` reads again"
            )
        elif table is items:
            _reread_holders(db, rowids)
            db.execute(delete(items).where(chosen))
            correct_log(db, rowids)
            lost.append(
                f"{len(rowids)} items and what was annotated of them, which the next `align index`"
                " reads again as new items"
            )
        elif table is embeddings:
            drop_embeddings(db, _items_of(db, embeddings, chosen))
            db.execute(delete(embeddings).where(chosen))
            lost.append(embeddings_lost(len(rowids)))
        elif table is fields:
            db.execute(update(files).where(files.c.sidecar.is_not(None)).values(sidecar=_UNKNOWN))
            db.execute(delete(fields).where(chosen))
            lost.append(
                f"{len(rowids)} fields: the next `align index` reads those of sidecars again, and"
                " `align annotate` the others"
            )
        elif table is failures:
            failed = select(failures.c.file_id).where(chosen)
            db.execute(update(files).where(files.c.id.in_(failed)).values(_UNREAD))
            db.execute(delete(failures).where(chosen))
        else:
            said = select(changes.c.item_id).where(
                chosen, func.typeof(changes.c.item_id) == "integer"
            )
            ids = set(db.execute(said).scalars())
            db.execute(delete(changes).where(chosen))
            correct_log(db, ids)
    for name in ("generations", "phrases"):  # made anew
        derived = metadata.tables[name]
        rowids = damaged.get(name, ())
        db.execute(delete(derived).where(among(literal_column(f"{name}.rowid"), rowids)))
    return lost


def embeddings_lost(count: int) -> str:
    """That so many embeddings were dropped, in words."""
    return (
        f"{count} embeddings: their items are found again when `align index` has embedded them anew"
    )


def _rows(db: Connection, table: Table, rowids: Collection[int]) -> list[dict[str, Value]]:
    names = list(table.columns.keys())
    rows = raw_rows(db, f"SELECT rowid, {', '.join(names)} FROM {table.name}")
    return [dict(zip(names, row, strict=True)) for rowid, *row in rows if rowid in rowids]


def _items_of(db: Connection, table: Table, chosen: ColumnElement[bool]) -> list[int]:
    """The items that rows of `table` belong to, as far as there are any."""
    holders = select(items.c.id).where(items.c.id.in_(select(table.c.item_id).where(chosen)))
    return list(db.execute(holders).scalars())


def _reset_library(db: Connection) -> str:
    known = list(db.execute(select(models.c.id)).scalars())
    db.execute(
        update(library).values(
            uuid=str(uuid.uuid4()),
            created_at=datetime.now(UTC).isoformat(),
            model_id=known[0] if len(known) == 1 else None,
            layout="auto",
            target_recall=0.95,
        )
    )
    return (
        "what the index is to be: say --index and --target-recall to `align rebuild` again where"
        " they were not the default"
    )


def _doubt_root(db: Connection, row: Mapping[str, Value]) -> str:
    """Go on with what a root says of itself. Is its path wrong, it is missing, and no file is
    forgotten."""
    path = row["path"]
    if isinstance(path, str):
        path = path.encode(errors="surrogateescape")
    name = os.fsdecode(path) if isinstance(path, bytes) else str(path)
    db.execute(
        update(roots)
        .where(roots.c.id == row["id"])
        .values(
            path=path,
            relative=bool(row["relative"]),
            recursive=bool(row["recursive"]),
            device=None,
            follow_symlinks=bool(row["follow_symlinks"]),
            exclude="[]",  # a wrong one would have files forgotten
            mounts="[]",
        )
    )
    return (
        f"what is certain of the watched folder {name}: look with `align roots`; `align roots"
        " move` mends a wrong path, `align index` with its path and options the rest"
    )


def _reread_files(db: Connection, chosen: ColumnElement[bool]) -> None:
    """Let the next run read damaged rows of files anew. A picture is known by its bytes, should
    even the path be wrong."""
    picture = (
        select(items.c.digest)
        .where(items.c.file_id == files.c.id, items.c.kind == "image")
        .limit(1)
        .scalar_subquery()
    )
    row = _UNREAD | {"mtime_ns": 0, "digest": picture, "racy": False, "sidecar": _UNKNOWN}
    db.execute(update(files).where(chosen).values(path=cast(files.c.path, LargeBinary), **row))


def _reread_holders(db: Connection, ids: Collection[int]) -> None:
    """Let the next run read the files of damaged items. A picture that has lost its item to another
    file is noticed; one of many texts is not."""
    read_again(db, ids)
    known = db.execute(select(files.c.id, files.c.path))
    texts = [id for id, path in known if kind_of(path) == "text"]
    db.execute(update(files).where(among(files.c.id, texts)).values(_UNREAD))


def read_again(db: Connection, ids: Collection[int]) -> None:
    """Let the next run read the files of these items, whatever their size and time."""
    holders = select(items.c.file_id).where(among(items.c.id, ids))
    db.execute(update(files).where(files.c.id.in_(holders)).values(_UNREAD))


def drop_embeddings(db: Connection, ids: Collection[int]) -> None:
    """Searches lose these items until they are logged as added again."""
    read_again(db, ids)
    db.execute(delete(embeddings).where(among(embeddings.c.item_id, ids)))
    _log(db, ids, "delete")


def correct_log(db: Connection, ids: Collection[int]) -> None:
    """End the entries of each item with what is true of it."""
    live = set(db.execute(select(items.c.id).where(among(items.c.id, ids))).scalars())
    gone = set(ids) - live
    kinds = select(changes.c.item_id, changes.c.kind).where(among(changes.c.item_id, gone))
    rows = [
        {"item_id": id, "kind": kind, "op": "delete"} for id, kind in db.execute(kinds.distinct())
    ]
    if rows:
        db.execute(insert(changes), rows)
    # Entries of another kind would let searches of that kind find them.
    db.execute(delete(changes).where(among(changes.c.item_id, live)))
    _log(db, live, "add")


def _log(db: Connection, ids: Collection[int], op: str) -> None:
    rows = db.execute(select(items.c.id, items.c.kind).where(among(items.c.id, ids))).all()
    entries = [{"item_id": id, "kind": kind, "op": op} for id, kind in rows]
    if entries:
        db.execute(insert(changes), entries)
