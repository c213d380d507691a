"""Every change of the database. Items come and go only here, each with its entry in the change log.

All functions belong inside the caller's transaction.
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

from indexer.content import Content, Said
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
"""A size no file has, for one whose items are not all written yet."""


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
    """Make a model the current one and drop the embeddings and generations of all others."""
    db.execute(update(library).values(model_id=model_id))
    db.execute(delete(models).where(models.c.id != model_id))


def want_layout(db: Connection, layout: LayoutChoice | None, target_recall: float | None) -> None:
    """Remember what generations are to be from now on; None leaves it as it is."""
    given = {"layout": layout, "target_recall": target_recall}
    row = {name: value for name, value in given.items() if value is not None}
    if row:
        db.execute(update(library).values(row))


def put_phrases(db: Connection, model_id: int, vectors: npt.NDArray[np.float32]) -> None:
    """Keep the embeddings of the bundled phrases."""
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
    """Record a file as seen and return its id; its failure is the caller's to put or forget."""
    row = {"size": size, "mtime_ns": mtime_ns, "digest": digest, "racy": racy, "sidecar": sidecar}
    statement = upsert(files).values(root_id=root_id, path=path, **row)
    file_id: int = db.execute(
        statement.on_conflict_do_update(index_elements=["root_id", "path"], set_=row).returning(
            files.c.id
        )
    ).scalar_one()
    return file_id


def put_failure(db: Connection, file_id: int, reason: str) -> None:
    """Remember why a file could not be read; the same reason as before keeps its time."""
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
    """A file could be read, if it could not before."""
    db.execute(delete(failures).where(failures.c.file_id == file_id))


def add_item(db: Connection, file_id: int, position: int, content: Content) -> int:
    """A new item's id. Its embedding and its entry in the log are the caller's to add."""
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


def describe_picture(db: Connection, file_id: int, said: Said) -> None:
    """Write what sidecars say of a file's picture in place of what they said before. What the
    picture says itself of time and place stands, and so does an annotation of the same name."""
    of_file = select(items.c.id).where(items.c.file_id == file_id, items.c.kind == "image")
    no_time = or_(items.c.taken_at.is_(None), items.c.time_from_sidecar)
    no_place = or_(items.c.latitude.is_(None), items.c.place_from_sidecar)
    latitude, longitude = said.place or (None, None)
    db.execute(
        update(items)
        .where(items.c.id.in_(of_file))
        .values(
            text=said.caption,
            taken_at=case(
                (no_time, said.taken_at and said.taken_at.isoformat()), else_=items.c.taken_at
            ),
            latitude=case((no_place, latitude), else_=items.c.latitude),
            longitude=case((no_place, longitude), else_=items.c.longitude),
            time_from_sidecar=and_(no_time, literal(said.taken_at is not None)),
            place_from_sidecar=and_(no_place, literal(said.place is not None)),
        )
    )
    db.execute(delete(fields).where(fields.c.item_id.in_(of_file), fields.c.from_sidecar))
    rows = [
        _field(item_id, name, value, from_sidecar=True)
        for item_id in db.execute(of_file).scalars()
        for name, value in said.fields.items()
    ]
    if rows:
        db.execute(upsert(fields).on_conflict_do_nothing(), rows)


def annotate(db: Connection, values: Iterable[tuple[int, str, FieldValue]]) -> None:
    """Store (item id, field name, value) triples in place of what the items had by these names."""
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
    """As `annotate`, leaving out items that are gone; nothing else keeps a field with one of
    `names`, but what a sidecar gave."""
    db.execute(delete(fields).where(fields.c.name.in_(names), ~fields.c.from_sidecar))
    rows = list(values)
    meant = among(items.c.id, (row[0] for row in rows))
    live = set(db.execute(select(items.c.id).where(meant)).scalars())
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
    """Record where in its file an item is now."""
    db.execute(update(items).where(items.c.id == item_id).values(position=position))


def adopt_items(db: Connection, from_file: int, to_file: int) -> None:
    """Hand all items of one file to another and forget the first."""
    db.execute(update(items).where(items.c.file_id == from_file).values(file_id=to_file))
    db.execute(delete(files).where(files.c.id == from_file))


def add_embeddings(db: Connection, model_id: int, rows: Iterable[tuple[int, bytes]]) -> None:
    """Store (item id, float16 vector) pairs."""
    some = [{"item_id": id, "model_id": model_id, "vector": vector} for id, vector in rows]
    if some:
        db.execute(insert(embeddings), some)


def log_added(db: Connection, added: Iterable[tuple[int, Kind]]) -> None:
    """Tell searches of (item id, kind) pairs that they can find from now on."""
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
    """Forget files with their items and failures; returns how many items."""
    if not file_ids:
        return 0
    count = _log_deleted(db, among(items.c.file_id, file_ids))
    db.execute(delete(files).where(among(files.c.id, file_ids)))
    return count


def _log_deleted(db: Connection, chosen: ColumnElement[bool]) -> int:
    rows = select(items.c.id, items.c.kind, literal("delete")).where(chosen).order_by(items.c.id)
    return db.execute(insert(changes).from_select(["item_id", "kind", "op"], rows)).rowcount


def add_generation(db: Connection, model_id: int, generation: Generation) -> None:
    """Make a written index file the head, keep the head before it, forget older ones."""
    now = datetime.now(UTC).isoformat()
    row = {**asdict(generation), "model_id": model_id, "created_at": now}
    db.execute(insert(generations).values(row))
    of_kind = (generations.c.kind == generation.kind) & (generations.c.model_id == model_id)
    newest = select(generations.c.id).where(of_kind).order_by(generations.c.id.desc()).limit(2)
    db.execute(delete(generations).where(of_kind, generations.c.id.not_in(newest)))
