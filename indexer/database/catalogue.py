"""What the database knows. Every function reads; `indexer.database.journal` writes.

Paths are bytes, absolute where a `Root` holds them and relative to their root elsewhere.
"""

import json
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields as dataclass_fields
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import (
    ColumnElement,
    Connection,
    LargeBinary,
    Row,
    Select,
    and_,
    cast,
    column,
    exists,
    func,
    literal,
    or_,
    select,
    values,
)

from indexer.content import Key
from indexer.database import connection
from indexer.database.field_catalogue import fields_where, of_item
from indexer.database.rows import File, FileItem, Generation, Root
from indexer.database.schema import (
    annotations,
    changes,
    embeddings,
    failures,
    files,
    generations,
    imports,
    items,
    library,
    models,
    roots,
)
from indexer.database.spelling import resolve
from indexer.errors import ModelMismatch
from indexer.records import Failure, Item, Kind, LayoutChoice, Model
from indexer.values import FieldValues

IMPORTS = b"/"
"""The root of all imported items; their files keep their own absolute paths."""
_PARTS = 200
"""Files and folders that one query looks for; some builds of SQLite allow 999 parameters."""


def among(column: ColumnElement[int], ids: Iterable[int]) -> ColumnElement[bool]:
    """``column IN ids`` for any number of ids; SQLite limits the number of parameters."""
    rows = func.json_each(json.dumps([int(id) for id in ids])).table_valued("value")
    return column.in_(select(rows.c.value))


def current_model(db: Connection) -> tuple[int, Model] | None:
    """The model that searches use, with its id; None before anything was embedded."""
    row = db.execute(select(models).join(library, library.c.model_id == models.c.id)).first()
    if row is None:
        return None
    with connection.trusting(db):
        if row.dim < 1:
            raise ValueError(row.dim)
    return row.id, Model(row.name, row.fingerprint, row.dim)


def searched_model(db: Connection) -> tuple[int, Model] | None:
    """As `current_model`, but raises LibraryDamaged if a model must have been there."""
    current = current_model(db)
    if current is None:
        with connection.trusting(db):
            if db.execute(select(embeddings.c.item_id).limit(1)).first():
                raise ValueError("the library does not say which model searches use")
    return current


def models_by_id(db: Connection) -> dict[int, str]:
    """The names of all models that have embeddings here, or may get some."""
    return {row.id: row.name for row in db.execute(select(models.c.id, models.c.name))}


def require_model(db: Connection, fingerprint: str) -> None:
    """Raise ModelMismatch unless searches use the model with this fingerprint, or none yet."""
    current = current_model(db)
    if current and current[1].fingerprint != fingerprint:
        model = current[1]
        raise ModelMismatch(
            f"the library uses {model.name} ({model.fingerprint[:12]}) now, not the model"
            f" {fingerprint[:12]} that these vectors are of; embed them with {model.name}, or open"
            " the library again"
        )


def wanted_layout(db: Connection) -> tuple[LayoutChoice, float]:
    """The layout and the recall that the next generation must have."""
    row = db.execute(select(library.c.layout, library.c.target_recall)).one()
    return row.layout, row.target_recall


def last_change(db: Connection) -> int:
    """The newest number that the change log gave, 0 before the first."""
    seq: int = db.execute(select(func.coalesce(func.max(changes.c.seq), 0))).scalar_one()
    given = db.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'changes'").scalar()
    return max(seq, given) if isinstance(given, int) else seq  # a damaged one is reported elsewhere


def log_start(db: Connection, kind: Kind) -> int | None:
    """The number of the first change of `kind` that the log still has; None without any."""
    query = select(func.min(changes.c.seq)).where(changes.c.kind == kind)
    first: int | None = db.execute(query).scalar()
    return first


def all_roots(db: Connection) -> list[Root]:
    """Every root."""
    home = connection.home(db)
    with connection.trusting(db):
        return [
            Root(
                id=row.id,
                path=os.path.normpath(os.path.join(home, row.path)),
                recursive=row.recursive,
                device=row.device,
                follow_symlinks=row.follow_symlinks,
                exclude=tuple(json.loads(row.exclude)),
                mounts=tuple(
                    sorted((os.fsencode(path), device) for path, device in json.loads(row.mounts))
                ),
                imported=row.imported is not None,
            )
            for row in db.execute(
                select(roots, imports.c.root_id.label("imported"))
                .outerjoin(imports, imports.c.root_id == roots.c.id)
                .order_by(roots.c.id)
            )
        ]


def known_files(
    db: Connection, root_id: int, model_id: int | None, parts: Collection[bytes] = (b"",)
) -> list[File]:
    """The files of a root that lie at or in any of `parts`, relative paths; b"" is the whole root.
    `File.lacking` speaks of the model with the id `model_id`."""
    if b"" in parts:
        return _files_where(db, model_id, files.c.root_id == root_id)
    found: dict[int, File] = {}
    ordered = sorted(parts)
    for start in range(0, len(ordered), _PARTS):
        ids = _within_any(root_id, ordered[start : start + _PARTS])
        found |= {file.id: file for file in _files_where(db, model_id, files.c.id.in_(ids))}
    return list(found.values())


def _within_any(root_id: int, parts: Sequence[bytes]) -> Select[int]:
    """Ids of the files of a root that lie at or in any of `parts`; SQL. A join, because SQLite
    looks up no index for conditions that are or-ed."""
    names = [column(name, LargeBinary) for name in ("part", "below", "beyond")]
    rows = values(*names).data([(p, p + b"/", p + b"0") for p in parts]).cte("parts")
    near = and_(files.c.path >= rows.c.part, files.c.path < rows.c.beyond)
    inside = or_(files.c.path == rows.c.part, files.c.path > rows.c.below)
    condition = and_(files.c.root_id == root_id, near, inside)
    return select(files.c.id).select_from(rows).join(files, condition)


def _files_where(
    db: Connection, model_id: int | None, condition: ColumnElement[bool]
) -> list[File]:
    embedded = and_(embeddings.c.item_id == items.c.id, embeddings.c.model_id == model_id)
    f = files.c
    columns: list[ColumnElement[Any]] = [
        *(f.id, f.root_id, f.path, f.size, f.mtime_ns, f.digest, f.racy, f.sidecar),
        func.count(items.c.id),
        func.count(items.c.id) - func.count(embeddings.c.item_id),
        failures.c.file_id.is_not(None),
        func.coalesce(failures.c.passing, literal(False)),
    ]
    query = (
        select(*columns)
        .outerjoin(failures, failures.c.file_id == files.c.id)
        .outerjoin(items, items.c.file_id == files.c.id)
        .outerjoin(embeddings, embedded)
        .where(condition)
        .group_by(files.c.id)
    )
    found = [File(*row) for row in db.execute(query)]
    with connection.trusting(db):
        if not all(isinstance(file.path, bytes) for file in found):
            raise TypeError("a path is no bytes")
    return found


def in_folder(path: bytes) -> ColumnElement[bool]:
    """Whether a file is at `path`, relative to its root, or in the folder there; SQL."""
    # "0" comes after "/". One range, because SQLite looks up no index for two that are or-ed.
    near = and_(files.c.path >= path, files.c.path < path + b"0")
    return and_(near, or_(files.c.path == path, files.c.path > path + b"/"))


def files_within(db: Connection, root_id: int, path: bytes) -> list[int]:
    """Ids of the files of a root at `path`, relative to the root, or in the folder there; b"" for
    all files of the root."""
    chosen = in_folder(path) if path else literal(True)
    return list(db.execute(select(files.c.id).where(files.c.root_id == root_id, chosen)).scalars())


def knows_any_file(db: Connection, root_id: int, path: bytes) -> bool:
    """Whether `files_within` returns any file."""
    chosen = in_folder(path) if path else literal(True)
    query = select(files.c.id).where(files.c.root_id == root_id, chosen).limit(1)
    return db.execute(query).first() is not None


def file_items(db: Connection, file_id: int, model_id: int | None) -> list[FileItem]:
    """The items of a file by position; `FileItem.embedded` speaks of the model with the id
    `model_id`."""
    embedded = exists().where(embeddings.c.item_id == items.c.id, embeddings.c.model_id == model_id)
    query = (
        select(items.c.id, items.c.file_id, items.c.position, items.c.digest, embedded)
        .where(items.c.file_id == file_id)
        .order_by(items.c.position)
    )
    return [FileItem(*row) for row in db.execute(query)]


def kept_generations(db: Connection, kind: Kind, model_id: int) -> list[Generation]:
    """The head, and after it the generation that a search falls back to."""
    g = generations.c
    query = (
        select(*[g[field.name] for field in dataclass_fields(Generation)])
        .where(g.kind == kind, g.model_id == model_id)
        .order_by(g.id.desc())
    )
    return [Generation(*row) for row in db.execute(query)]


def generation_names(db: Connection) -> set[str]:
    """The names of all index files that are kept, of any kind and model."""
    names = select(cast(generations.c.name, LargeBinary))  # a damaged name must not stop a writer
    return {os.fsdecode(name) for name in db.execute(names).scalars() if name}


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


def items_where(db: Connection, condition: ColumnElement[bool]) -> list[Item]:
    """Items by file and position; `condition` is about the tables `items` and `files`."""
    by_id = {root.id: root for root in all_roots(db)}
    fields_of = fields_where(db, condition)
    query = (
        select(items, files.c.root_id, files.c.path, files.c.size)
        .join(files, files.c.id == items.c.file_id)
        .join(roots, roots.c.id == files.c.root_id)  # damage may have taken its row
        .where(condition)
        .order_by(items.c.file_id, items.c.position)
    )
    with connection.trusting(db):
        return [_item(row, by_id, fields_of.get(row.id, {})) for row in db.execute(query)]


def _item(row: Row[Any], roots_by_id: dict[int, Root], named: dict[str, FieldValues]) -> Item:
    return Item(
        id=row.id,
        kind=row.kind,
        path=_absolute(row.path, row.root_id, roots_by_id),
        text=row.text,
        position=row.position,
        width=row.width,
        height=row.height,
        format=row.format,
        taken_at=row.taken_at and datetime.fromisoformat(row.taken_at),
        digest=row.digest,
        bytes=row.size,
        camera=row.camera,
        lens=row.lens,
        latitude=row.latitude,
        longitude=row.longitude,
        fields=named,
    )


def annotated_contents(db: Connection, file_ids: Iterable[int]) -> list[Key]:
    """The contents of the items of these files of which anybody said anything."""
    query = (
        select(items.c.kind, items.c.digest)
        .join(annotations, of_item())
        .where(among(items.c.file_id, file_ids))
        .distinct()
    )
    return [(row.kind, row.digest) for row in db.execute(query)]


def items_by_id(db: Connection, ids: Iterable[int]) -> list[Item]:
    """The live items among `ids`, in the order of `ids`."""
    wanted = [int(id) for id in ids]
    found = {item.id: item for item in items_where(db, among(items.c.id, wanted))}
    return [found[id] for id in wanted if id in found]


def equals(db: Connection, item: Item) -> list[Item]:
    """The items of the same kind and content, `item` among them."""
    return items_where(db, and_(items.c.kind == item.kind, items.c.digest == item.digest))


def items_at(db: Connection, path: bytes) -> list[Item]:
    """The items of the file at `path`. In a root that follows symbolic links, the path may lead
    through one."""
    roots = all_roots(db)
    absolute = resolve(db, roots, path)
    conditions = [
        and_(files.c.root_id == root.id, files.c.path == os.path.relpath(absolute, root.path))
        for root in roots
    ]
    return [item for condition in conditions for item in items_where(db, condition)]


def ids(db: Connection, kind: Kind) -> npt.NDArray[np.int64]:
    """Every item of `kind`, (n,) ascending."""
    query = select(items.c.id).where(items.c.kind == kind).order_by(items.c.id)
    return np.fromiter(db.execute(query).scalars(), np.int64)


def distinct_ids(db: Connection, kind: Kind) -> npt.NDArray[np.int64]:
    """For every distinct content of `kind` the smallest id of its items, (n,) ascending."""
    query = select(func.min(items.c.id)).where(items.c.kind == kind).group_by(items.c.digest)
    return np.sort(np.fromiter(db.execute(query).scalars(), np.int64))


def copies(db: Connection, kind: Kind) -> list[list[int]]:
    """Items of `kind` that share their content with another item: one list of ids, ascending, for
    each content."""
    shared = (
        select(items.c.digest)
        .where(items.c.kind == kind)
        .group_by(items.c.digest)
        .having(func.count() > 1)
    )
    query = (
        select(items.c.digest, items.c.id)
        .where(items.c.kind == kind, items.c.digest.in_(shared))
        .order_by(items.c.digest, items.c.id)
    )
    return [[row.id for row in rows] for _, rows in groupby(db.execute(query), lambda r: r.digest)]


def all_failures(db: Connection) -> list[Failure]:
    """Every failure, by root and path."""
    by_id = {root.id: root for root in all_roots(db)}
    query = (
        select(files.c.root_id, files.c.path, failures)
        .join(failures, failures.c.file_id == files.c.id)
        .join(roots, roots.c.id == files.c.root_id)
        .order_by(files.c.root_id, files.c.path)
    )
    with connection.trusting(db):
        return [
            Failure(
                _absolute(row.path, row.root_id, by_id),
                row.reason,
                datetime.fromisoformat(row.at),
                row.passing,
            )
            for row in db.execute(query)
        ]


def failure_counts(db: Connection) -> tuple[int, int]:
    """How many files fail, and how many of them for a reason that may pass."""
    query = select(func.count(), func.coalesce(func.sum(failures.c.passing), 0))
    failing, passing = db.execute(query).one()
    return int(failing), int(passing)
