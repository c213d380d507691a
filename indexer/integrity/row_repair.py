"""Rows with a wrong checksum: what `repair` puts in their place, table by table."""

import os
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Container, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)

from indexer.database import catalogue
from indexer.database.catalogue import among
from indexer.database.checksums import Value, damaged_rows, raw_rows
from indexer.database.journal import UNFINISHED, delete_files
from indexer.database.schema import (
    annotations,
    changes,
    embeddings,
    failures,
    fields,
    files,
    generations,
    imports,
    items,
    library,
    models,
    passed_over,
    phrases,
    roots,
    statements,
)
from indexer.folders.sources import kind_of

_UNREAD = {"size": UNFINISHED, "digest": None}
"""Columns of a file that the next run reads, whatever its size and time."""
_UNKNOWN = "?"
"""A change mark that no sidecars have, so that the next run reads them."""


@dataclass(frozen=True)
class Remedy:
    """How damaged rows of one table are replaced."""

    promise: str
    """What `repair` does, as a predicate."""
    apply: Callable[[Connection, Collection[int]], list[str]]
    """Replaces the rows with these rowids; returns what is lost, a clause each."""


def replace_rows(db: Connection, damaged: Mapping[str, Collection[int]]) -> list[str]:
    """Replace damaged rows, given as rowids by table name; returns what is lost, a clause each."""
    return [
        loss
        for name, remedy in REMEDIES.items()
        if name in damaged
        for loss in remedy.apply(db, damaged[name])
    ]


def drop_unusable_imports(db: Connection) -> list[str]:
    """Forget imported items that no run can read or embed again; returns what is lost."""
    current = catalogue.current_model(db)
    model_id = current[0] if current else None
    unusable = [
        file.id
        for root in catalogue.all_roots(db)
        if root.imported
        for file in catalogue.known_files(db, root.id, model_id)
        if file.digest is None or file.lacking or not file.items
    ]
    count = len(unusable)
    delete_files(db, unusable)
    return [f"{count} imported items: import them again with `align import`"] if count else []


def embeddings_lost(count: int) -> str:
    """The clause for `count` embeddings that were dropped."""
    return f"{count} embeddings: `align index` embeds their items again, then searches find them"


def read_again(db: Connection, ids: Collection[int]) -> None:
    """Let the next run read the files of these items, whatever their size and time."""
    holders = select(items.c.file_id).where(among(items.c.id, ids))
    db.execute(update(files).where(files.c.id.in_(holders)).values(_UNREAD))


def read_texts_again(db: Connection) -> None:
    """Let the next run read all files of texts: nothing tells how many texts one held."""
    known = db.execute(select(files.c.id, files.c.path))
    texts = [id for id, path in known if kind_of(path) == "text"]
    db.execute(update(files).where(among(files.c.id, texts)).values(_UNREAD))


def drop_embeddings(db: Connection, ids: Collection[int]) -> None:
    """Drop the embeddings of these items. Searches miss the items until they are added again."""
    read_again(db, ids)
    db.execute(delete(embeddings).where(among(embeddings.c.item_id, ids)))
    _log(db, ids, "delete")


def correct_log(db: Connection, ids: Collection[int]) -> None:
    """Make the last log entry of each item say whether the item is live."""
    live = set(db.execute(select(items.c.id).where(among(items.c.id, ids))).scalars())
    gone = set(ids) - live
    kinds = select(changes.c.item_id, changes.c.kind).where(among(changes.c.item_id, gone))
    rows = [
        {"item_id": id, "kind": kind, "op": "delete"} for id, kind in db.execute(kinds.distinct())
    ]
    if rows:
        db.execute(insert(changes), rows)
    # An entry of another kind would make searches of that kind find the item.
    db.execute(delete(changes).where(among(changes.c.item_id, live)))
    _log(db, live, "add")


def _log(db: Connection, ids: Collection[int], op: str) -> None:
    rows = db.execute(select(items.c.id, items.c.kind).where(among(items.c.id, ids))).all()
    entries = [{"item_id": id, "kind": kind, "op": op} for id, kind in rows]
    if entries:
        db.execute(insert(changes), entries)


def _rowids(table: Table, rowids: Collection[int]) -> ColumnElement[bool]:
    return among(literal_column(f"{table.name}.rowid"), rowids)


def _reset_library(db: Connection, rowids: Collection[int]) -> list[str]:
    row = {
        "uuid": str(uuid.uuid4()),
        "created_at": datetime.now(UTC).isoformat(),
        "model_id": only_model(db),
        "layout": "auto",
        "target_recall": 0.95,
    }
    db.execute(delete(library))
    db.execute(insert(library).values(id=1, **row))
    return [
        "the options of the index: give --index and --target-recall to `align rebuild` again if"
        " they were not the defaults"
    ]


def only_model(db: Connection) -> int | None:
    """The id of the only model that the library knows; None if there is none or a choice."""
    known = list(db.execute(select(models.c.id)).scalars())
    return known[0] if len(known) == 1 else None


def _drop_models(db: Connection, rowids: Collection[int]) -> list[str]:
    db.execute(update(library).values(model_id=None))
    db.execute(delete(models).where(_rowids(models, rowids)))
    return [
        "the embeddings of a model: run `align index` with the --model that the library had, and"
        " it embeds every item again"
    ]


def _doubt_roots(db: Connection, rowids: Collection[int]) -> list[str]:
    rows = [row for row in damaged_rows(db, roots) if row.rowid in rowids]
    return [_doubt_root(db, row.rowid, row.values) for row in rows]


def _doubt_root(db: Connection, id: int, row: Mapping[str, Value]) -> str:
    """Keep the root as its row describes it. If the path is wrong, the root counts as missing and
    no file is forgotten."""
    path = _bytes(row["path"])
    taken = {
        _bytes(other)
        for number, other in raw_rows(db, "SELECT id, path FROM roots")
        if number != id
    }
    if not path or b"\0" in path or path in taken:
        path = _nowhere(id, taken)
    db.execute(
        update(roots)
        .where(roots.c.id == id)
        .values(
            path=path,
            relative=not path.startswith(b"/"),
            recursive=bool(row["recursive"]),
            device=None,
            follow_symlinks=bool(row["follow_symlinks"]),
            exclude="[]",  # a damaged glob could make the next run forget files
            mounts="[]",
        )
    )
    return (
        f"some options of the watched folder {os.fsdecode(path)}: check it with `align roots`;"
        " correct a wrong path with `align roots move`, and the other options with `align index"
        " FOLDER`"
    )


def _reread_files(db: Connection, rowids: Collection[int]) -> list[str]:
    """Let the next run read the files. It recognises a picture by its bytes even if the path in
    the row is wrong."""
    picture = (
        select(items.c.digest)
        .where(items.c.file_id == files.c.id, items.c.kind == "image")
        .limit(1)
        .scalar_subquery()
    )
    rest = _UNREAD | {"mtime_ns": 0, "digest": picture, "racy": False, "sidecar": _UNKNOWN}
    rows = raw_rows(db, "SELECT id, root_id, path FROM files")
    found = {id: (root_id, _bytes(path)) for id, root_id, path in rows}
    counts = Counter(found.values())
    taken = {path for _, path in counts}
    for id in rowids:
        path = found[id][1]
        if path is None or counts[found[id]] > 1 or not _is_below_root(path):
            path = _nowhere(id, taken)
        db.execute(update(files).where(files.c.id == id).values(path=path, **rest))
    return [f"the state of {len(rowids)} files: the next `align index` reads them again"]


def _bytes(value: Value) -> bytes | None:
    """A stored path; None if damage has made a number of it."""
    if isinstance(value, str):
        return value.encode(errors="surrogateescape")
    return value if isinstance(value, bytes) else None


def _is_below_root(path: bytes) -> bool:
    """Whether a run can have stored the path of a file, relative to its root."""
    plain = os.path.normpath(path) == path and path not in (b"", b".")
    return plain and b"\0" not in path and not path.startswith((b"/", b"../"))


def _nowhere(id: int, taken: Container[bytes | None]) -> bytes:
    """A path at which no run finds a file, so the row waits for its file like that of a picture
    that was moved."""
    path = b".damaged-%d" % id
    while path in taken:
        path += b"-"
    return path


def _reread_items(db: Connection, rowids: Collection[int]) -> list[str]:
    """Delete the items and let the next run read their files.

    The run notices a picture whose damaged item named another file. It cannot notice a text of
    many, so it reads all files of texts.
    """
    read_again(db, rowids)
    read_texts_again(db)
    db.execute(delete(items).where(_rowids(items, rowids)))
    correct_log(db, rowids)
    return [
        f"{len(rowids)} items: the next `align index` reads the files again and makes new items of"
        " them, which have the annotations of their bytes"
    ]


def _drop_damaged_embeddings(db: Connection, rowids: Collection[int]) -> list[str]:
    chosen = _rowids(embeddings, rowids)
    holders = select(items.c.id).where(items.c.id.in_(select(embeddings.c.item_id).where(chosen)))
    drop_embeddings(db, list(db.execute(holders).scalars()))
    db.execute(delete(embeddings).where(chosen))
    return [embeddings_lost(len(rowids))]


def _drop_fields(db: Connection, rowids: Collection[int]) -> list[str]:
    db.execute(update(files).where(files.c.sidecar.is_not(None)).values(sidecar=_UNKNOWN))
    db.execute(delete(fields).where(_rowids(fields, rowids)))
    return [f"{len(rowids)} fields of sidecars: the next `align index` reads the sidecars again"]


def _drop_annotations(db: Connection, rowids: Collection[int]) -> list[str]:
    db.execute(delete(annotations).where(_rowids(annotations, rowids)))
    return [
        f"{len(rowids)} annotations: give them again with `align annotate` or `align tag`, or take"
        " them from a backup"
    ]


def _drop_statements(db: Connection, rowids: Collection[int]) -> list[str]:
    db.execute(delete(statements).where(_rowids(statements, rowids)))
    return [f"when and how some annotations were made ({len(rowids)} statements)"]


def _keep_imports(db: Connection, rowids: Collection[int]) -> list[str]:
    """Only one root is ever imported, at the root of the file system."""
    db.execute(delete(imports).where(_rowids(imports, rowids)))
    for root in catalogue.all_roots(db):
        if root.path == catalogue.IMPORTS and not root.imported:
            db.execute(insert(imports).values(root_id=root.id, at=""))
    return []


def _retry_failures(db: Connection, rowids: Collection[int]) -> list[str]:
    chosen = _rowids(failures, rowids)
    failed = select(failures.c.file_id).where(chosen)
    db.execute(update(files).where(files.c.id.in_(failed)).values(_UNREAD))
    db.execute(delete(failures).where(chosen))
    return []


def _rewrite_log(db: Connection, rowids: Collection[int]) -> list[str]:
    chosen = _rowids(changes, rowids)
    named = select(changes.c.item_id).where(chosen, func.typeof(changes.c.item_id) == "integer")
    ids = set(db.execute(named).scalars())
    db.execute(delete(changes).where(chosen))
    correct_log(db, ids)
    return []


def _drop_derived(table: Table) -> Callable[[Connection, Collection[int]], list[str]]:
    def drop(db: Connection, rowids: Collection[int]) -> list[str]:
        db.execute(delete(table).where(_rowids(table, rowids)))
        return []

    return drop


# In this order no remedy reads a row that is still damaged.
REMEDIES = {
    "library": Remedy("sets the options of the library to their defaults", _reset_library),
    "models": Remedy("drops the model and its embeddings", _drop_models),
    "roots": Remedy("keeps the folder and clears its options", _doubt_roots),
    "files": Remedy("lets the next run read the files again", _reread_files),
    "items": Remedy("lets the next run read their files again as new items", _reread_items),
    "embeddings": Remedy("lets the next run embed the items again", _drop_damaged_embeddings),
    "fields": Remedy("lets the next run read the sidecars again", _drop_fields),
    "statements": Remedy("drops them; the annotations stay", _drop_statements),
    "annotations": Remedy("drops them", _drop_annotations),
    "failures": Remedy("lets the next run try the files again", _retry_failures),
    "changes": Remedy("writes the log of these items again", _rewrite_log),
    "generations": Remedy("builds the indexes again", _drop_derived(generations)),
    "imports": Remedy("keeps the items, and their root is never scanned", _keep_imports),
    "passed_over": Remedy("lets the next run count them again", _drop_derived(passed_over)),
    "phrases": Remedy("drops them until they are needed", _drop_derived(phrases)),
}
"""By the name of the table."""
