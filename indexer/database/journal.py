"""Every change of the database. Items are added and deleted only here, each with its entry in the
change log.

All functions run inside the caller's transaction.
"""

from collections.abc import Collection, Iterable
from dataclasses import asdict
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    delete,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from indexer.content import Content, Description
from indexer.database.catalogue import among
from indexer.database.rows import Generation
from indexer.database.schema import (
    changes,
    embeddings,
    failures,
    fields,
    files,
    generations,
    items,
    library,
    models,
    phrases,
)
from indexer.records import FieldValue, Kind, LayoutChoice, Model

UNFINISHED = -1
"""The size that is recorded for a file whose items are not all written yet; no file has it."""


def add_model(db: Connection, model: Model) -> int:
    """The id of `model`, recorded if its fingerprint is new."""
    known = select(models.c.id).where(models.c.fingerprint == model.fingerprint)
    found: int | None = db.execute(known).scalar()
    if found is not None:
        return found
    row = {"name": model.name, "fingerprint": model.fingerprint, "dim": model.dim}
    new: int = db.execute(insert(models).values(row).returning(models.c.id)).scalar_one()
    return new


def use_model(db: Connection, model_id: int) -> None:
    """Let searches use a model, and drop the embeddings and generations of all other models."""
    db.execute(update(library).values(model_id=model_id))
    db.execute(delete(models).where(models.c.id != model_id))


def want_layout(db: Connection, layout: LayoutChoice | None, target_recall: float | None) -> None:
    """Remember the layout and the recall that new generations must have; None changes nothing."""
    given = {"layout": layout, "target_recall": target_recall}
    row = {name: value for name, value in given.items() if value is not None}
    if row:
        db.execute(update(library).values(row))


def put_phrases(db: Connection, model_id: int, vectors: npt.NDArray[np.float32]) -> None:
    """Store the embeddings of the bundled phrases, (n, dim)."""
    row = {"model_id": model_id, "vectors": vectors.astype("<f2").tobytes()}
    db.execute(insert(phrases).values(row))


def put_file(
    db: Connection,
    root_id: int,
    path: bytes,
    size: int,
    mtime_ns: int,
    digest: bytes | None,
    *,
    racy: bool = False,
    sidecar: str | None = None,
) -> int:
    """Record a file as it was seen and return its id. The caller records or forgets its failure."""
    row = {"size": size, "mtime_ns": mtime_ns, "digest": digest, "racy": racy, "sidecar": sidecar}
    statement = upsert(files).values(root_id=root_id, path=path, **row)
    file_id: int = db.execute(
        statement.on_conflict_do_update(index_elements=["root_id", "path"], set_=row).returning(
            files.c.id
        )
    ).scalar_one()
    return file_id


def put_failure(db: Connection, file_id: int, reason: str) -> None:
    """Remember why a file could not be read. A reason that stays the same keeps its time."""
    now = datetime.now(UTC).isoformat()
    statement = upsert(failures).values(file_id=file_id, reason=reason, at=now)
    db.execute(
        statement.on_conflict_do_update(
            index_elements=["file_id"],
            set_={"reason": reason, "at": now},
            where=failures.c.reason != reason,
        )
    )


def forget_failure(db: Connection, file_id: int) -> None:
    """Forget the failure of a file, if it had one: it could be read."""
    db.execute(delete(failures).where(failures.c.file_id == file_id))


def add_item(db: Connection, file_id: int, position: int, content: Content) -> int:
    """Add an item and return its id. The caller adds its embedding and its entry in the log."""
    row = {
        "file_id": file_id,
        "kind": content.kind,
        "position": position,
        "digest": content.digest,
        "text": content.text,
        "width": content.width,
        "height": content.height,
        "format": content.format,
        "taken_at": content.taken_at and content.taken_at.isoformat(),
        "camera": content.camera,
        "lens": content.lens,
        "latitude": content.latitude,
        "longitude": content.longitude,
    }
    item_id: int = db.execute(insert(items).values(row).returning(items.c.id)).scalar_one()
    return item_id


def describe_picture(db: Connection, file_id: int, description: Description) -> None:
    """Replace what sidecars said about a file's picture by `description`. The time and the place in
    the picture's own metadata stay, and so does an annotation with the name of a field."""
    of_file = select(items.c.id).where(items.c.file_id == file_id, items.c.kind == "image")
    no_time = or_(items.c.taken_at.is_(None), items.c.time_from_sidecar)
    no_place = or_(items.c.latitude.is_(None), items.c.place_from_sidecar)
    latitude, longitude = description.place or (None, None)
    time = description.taken_at and description.taken_at.isoformat()
    db.execute(
        update(items)
        .where(items.c.id.in_(of_file))
        .values(
            text=description.caption,
            taken_at=case((no_time, time), else_=items.c.taken_at),
            latitude=case((no_place, latitude), else_=items.c.latitude),
            longitude=case((no_place, longitude), else_=items.c.longitude),
            time_from_sidecar=and_(no_time, literal(time is not None)),
            place_from_sidecar=and_(no_place, literal(description.place is not None)),
        )
    )
    db.execute(delete(fields).where(fields.c.item_id.in_(of_file), fields.c.from_sidecar))
    rows = [
        _field(item_id, name, value, from_sidecar=True)
        for item_id in db.execute(of_file).scalars()
        for name, value in description.fields.items()
    ]
    if rows:
        db.execute(upsert(fields).on_conflict_do_nothing(), rows)


def annotate(db: Connection, values: Iterable[tuple[int, str, FieldValue]]) -> None:
    """Store (item id, field name, value) triples; each replaces the item's value of that name."""
    rows = [_field(*triple, from_sidecar=False) for triple in values]
    if rows:
        statement = upsert(fields)
        new = statement.excluded
        db.execute(
            statement.on_conflict_do_update(
                index_elements=["item_id", "name"],
                set_={"number": new.number, "text": new.text, "from_sidecar": new.from_sidecar},
            ),
            rows,
        )


def replace_fields(
    db: Connection, names: Collection[str], values: Iterable[tuple[int, str, FieldValue]]
) -> None:
    """As `annotate`, without items that are gone. Every other field with one of `names` is deleted,
    unless a sidecar gave it."""
    db.execute(delete(fields).where(fields.c.name.in_(names), ~fields.c.from_sidecar))
    rows = list(values)
    named = among(items.c.id, (row[0] for row in rows))
    live = set(db.execute(select(items.c.id).where(named)).scalars())
    annotate(db, (row for row in rows if row[0] in live))


def _field(item_id: int, name: str, value: FieldValue, *, from_sidecar: bool) -> dict[str, object]:
    return {
        "item_id": item_id,
        "name": name,
        "number": value if isinstance(value, float) else None,
        "text": value if isinstance(value, str) else None,
        "from_sidecar": from_sidecar,
    }


def place_item(db: Connection, item_id: int, position: int) -> None:
    """Record the position that an item has in its file now."""
    db.execute(update(items).where(items.c.id == item_id).values(position=position))


def adopt_items(db: Connection, from_file: int, to_file: int) -> None:
    """Give all items of one file to another file, and forget the first file."""
    db.execute(update(items).where(items.c.file_id == from_file).values(file_id=to_file))
    db.execute(delete(files).where(files.c.id == from_file))


def add_embeddings(db: Connection, model_id: int, rows: Iterable[tuple[int, bytes]]) -> None:
    """Store (item id, float16 vector) pairs, in place of those that the items had of this model."""
    values = [{"item_id": id, "model_id": model_id, "vector": vector} for id, vector in rows]
    if values:
        statement = upsert(embeddings)
        db.execute(
            statement.on_conflict_do_update(
                index_elements=["item_id", "model_id"],
                set_={"vector": statement.excluded.vector},
            ),
            values,
        )


def log_added(db: Connection, added: Iterable[tuple[int, Kind]]) -> None:
    """Log (item id, kind) pairs as added: searches find these items from now on."""
    rows = [{"item_id": id, "kind": kind, "op": "add"} for id, kind in added]
    if rows:
        db.execute(insert(changes), rows)


def delete_items(db: Connection, ids: Collection[int]) -> None:
    """Delete items and their embeddings."""
    if ids:
        chosen = among(items.c.id, ids)
        _log_deleted(db, chosen)
        db.execute(delete(items).where(chosen))


def delete_files(db: Connection, file_ids: Collection[int]) -> int:
    """Forget files with their items and failures; return the number of items."""
    if not file_ids:
        return 0
    count = _log_deleted(db, among(items.c.file_id, file_ids))
    db.execute(delete(files).where(among(files.c.id, file_ids)))
    return count


def _log_deleted(db: Connection, chosen: ColumnElement[bool]) -> int:
    rows = select(items.c.id, items.c.kind, literal("delete")).where(chosen).order_by(items.c.id)
    return db.execute(insert(changes).from_select(["item_id", "kind", "op"], rows)).rowcount


def add_generation(db: Connection, model_id: int, generation: Generation) -> None:
    """Make a written index file the head of its kind. The head before it is kept, and older
    generations are forgotten."""
    now = datetime.now(UTC).isoformat()
    row = {**asdict(generation), "model_id": model_id, "created_at": now}
    db.execute(insert(generations).values(row))
    of_kind = (generations.c.kind == generation.kind) & (generations.c.model_id == model_id)
    newest = select(generations.c.id).where(of_kind).order_by(generations.c.id.desc()).limit(2)
    db.execute(delete(generations).where(of_kind, generations.c.id.not_in(newest)))
