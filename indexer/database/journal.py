"""Every change of the database. Items are added and deleted only here, each with its entry in the
change log.

All functions run inside the caller's transaction.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    delete,
    exists,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from encoder.protocol import Encoder, is_of
from indexer.content import Content, Description, Key
from indexer.database.catalogue import among, current_model
from indexer.database.rows import Generation
from indexer.database.schema import (
    annotations,
    changes,
    embeddings,
    failures,
    fields,
    files,
    generations,
    items,
    library,
    models,
    passed_over,
    phrases,
    statements,
)
from indexer.records import Kind, LayoutChoice, Model, Speaker
from indexer.values import FieldValues, columns

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


def rename_model(db: Connection, model_id: int, name: str) -> None:
    """Remember another name under which `load_encoder` finds the same model."""
    db.execute(update(models).where(models.c.id == model_id).values(name=name))


def recognise(db: Connection, encoder: Encoder) -> None:
    """Replace the fingerprint that searches use if it is an earlier one of `encoder`."""
    current = current_model(db)
    if current is None or current[1].fingerprint == encoder.fingerprint:
        return
    if is_of(encoder, current[1].fingerprint):
        renewed = update(models).where(models.c.id == current[0])
        db.execute(renewed.values(fingerprint=encoder.fingerprint))


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


def put_passed_over(db: Connection, root_id: int, counts: Mapping[str, int]) -> None:
    """Replace what is remembered of the files that a look at a whole root passed over."""
    db.execute(delete(passed_over).where(passed_over.c.root_id == root_id))
    rows = [{"root_id": root_id, "ending": e, "files": n} for e, n in counts.items() if n]
    if rows:
        db.execute(insert(passed_over), rows)


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


def put_failure(db: Connection, file_id: int, reason: str, *, passing: bool) -> None:
    """Remember why a file could not be read, and whether the reason may pass. A reason that stays
    the same keeps its time."""
    row = {"reason": reason, "at": datetime.now(UTC).isoformat(), "passing": passing}
    statement = upsert(failures).values(file_id=file_id, **row)
    db.execute(
        statement.on_conflict_do_update(
            index_elements=["file_id"],
            set_=row,
            where=or_(failures.c.reason != reason, failures.c.passing != passing),
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
    the picture's own metadata stay."""
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
    db.execute(delete(fields).where(fields.c.item_id.in_(of_file)))
    rows = [
        {"item_id": item_id, **row}
        for item_id in db.execute(of_file).scalars()
        for name, values in description.fields.items()
        for row in _values(name, values)
    ]
    if rows:
        db.execute(insert(fields), rows)


def add_statement(db: Connection, about: Mapping[str, object]) -> int:
    """The id of a new statement, which annotations can name. `about` is kept as JSON."""
    row = {"at": datetime.now(UTC).isoformat(), "about": json.dumps(about)}
    new: int = db.execute(insert(statements).values(row).returning(statements.c.id)).scalar_one()
    return new


def annotate(
    db: Connection,
    speaker: Speaker,
    statement_id: int | None,
    values: Iterable[tuple[Key, str, FieldValues | None]],
) -> None:
    """Store what `speaker` says of bytes: (kind and digest, field name, value) triples. Each
    replaces what the same speaker said of these bytes under this name; None takes it back."""
    said = {(key, name): value for key, name, value in values}
    _unsay(db, speaker, said.keys())
    rows = [
        {
            "kind": kind,
            "digest": digest,
            "speaker": speaker,
            **row,
            "statement_id": statement_id,
        }
        for ((kind, digest), name), value in said.items()
        if value is not None
        for row in _values(name, value)
    ]
    if rows:
        db.execute(insert(annotations), rows)


def _unsay(db: Connection, speaker: Speaker, said: Iterable[tuple[Key, str]]) -> None:
    a = annotations.c
    statement = delete(annotations).where(
        a.kind == bindparam("of_kind"),
        a.digest == bindparam("of_digest"),
        a.speaker == speaker,
        a.name == bindparam("of_name"),
    )
    rows = [
        {"of_kind": kind, "of_digest": digest, "of_name": name} for (kind, digest), name in said
    ]
    if rows:
        db.execute(statement, rows)


def replace_annotations(
    db: Connection,
    speaker: Speaker,
    about: Mapping[str, object],
    names: Collection[str],
    values: Iterable[tuple[int, str, FieldValues]],
) -> None:
    """Replace all that `speaker` said under `names` by `values`, triples of item id, field name and
    value, in one statement `about` them. Items that are gone are left out."""
    take_back(db, and_(annotations.c.speaker == speaker, annotations.c.name.in_(names)))
    rows = list(values)
    live = select(items.c.id, items.c.kind, items.c.digest)
    keys: dict[int, Key] = {
        id: (kind, digest)
        for id, kind, digest in db.execute(live.where(among(items.c.id, {row[0] for row in rows})))
    }
    said = ((keys[id], name, value) for id, name, value in rows if id in keys)
    annotate(db, speaker, add_statement(db, about), said)
    forget_silent(db)


def take_back(db: Connection, chosen: ColumnElement[bool]) -> int:
    """Delete the annotations that a condition on the table `annotations` chooses. Returns the
    number of values."""
    count = db.execute(delete(annotations).where(chosen)).rowcount
    forget_silent(db)
    return count


def forget_silent(db: Connection) -> None:
    """Delete the statements that say nothing any more."""
    told = exists().where(annotations.c.statement_id == statements.c.id)
    db.execute(delete(statements).where(~told))


def forget_unheld(db: Connection, keys: Iterable[Key]) -> None:
    """Delete the annotations of contents that no item holds any more."""
    for kind, digest in keys:
        held = exists().where(items.c.kind == kind, items.c.digest == digest)
        a = annotations.c
        db.execute(delete(annotations).where(a.kind == kind, a.digest == digest, ~held))


def _values(name: str, values: FieldValues) -> list[dict[str, object]]:
    """The columns of a named value, or of several."""
    each = values if isinstance(values, tuple) else (values,)
    return [{"name": name, "n": n, **columns(value)._asdict()} for n, value in enumerate(each)]


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
