"""Repair what `verify` finds, as long as the database or the files still hold the content."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, literal_column, select, update
from sqlalchemy.exc import IntegrityError

from indexer.ann.generations import clean
from indexer.database import journal
from indexer.database.catalogue import among
from indexer.database.schema import (
    annotations,
    embeddings,
    files,
    generations,
    items,
    library,
    metadata,
    roots,
)
from indexer.errors import LibraryDamaged
from indexer.integrity.row_repair import (
    correct_log,
    drop_embeddings,
    drop_unusable_imports,
    embeddings_lost,
    only_model,
    read_again,
    read_texts_again,
    replace_rows,
)
from indexer.integrity.sequences import remember_numbers
from indexer.integrity.verify import verify
from indexer.records import Finding, Repair

_ROUNDS = 9
"""Most rounds of verify and repair: one damage can hide another."""


def repair(engine: Engine, directory: Path, publish: Callable[[], None]) -> Repair:
    """Repair all damage and `publish` new generations. For the holder of the writer lock.

    Raises LibraryDamaged if the database itself is damaged; then nothing is changed.
    """
    repaired: list[Finding] = []
    lost: list[str] = []
    for _ in range(_ROUNDS):
        found = verify(engine, directory)
        if not found:
            break
        for finding in found:
            if not finding.repairable:
                raise _hopeless(finding)
        with engine.begin() as db:
            lost += _repair_round(db, found)
        repaired += found
    else:
        raise _hopeless(found[0])
    if repaired:
        with engine.begin() as db:
            lost += drop_unusable_imports(db)
        clean(engine, directory)
        publish()
    return Repair(repaired, lost)


def _hopeless(finding: Finding) -> LibraryDamaged:
    return LibraryDamaged(f"{finding.where} cannot be repaired: {finding.problem}")


def _repair_round(db: Connection, found: Sequence[Finding]) -> list[str]:
    """Repair as much as one round can; returns what is lost, a clause each."""
    rows = {finding.where: finding.ids for finding in found if finding.what == "row"}
    indexes = [finding.where for finding in found if finding.what == "index"]
    if rows or indexes:
        return _repair_rows(db, rows, indexes)
    lost: list[str] = []
    ids = {what: _ids(found, what) for what in ("record", "embedding", "change")}
    for finding in found:
        if finding.what == "reference":
            lost += _drop_rows(db, finding)
    if ids["record"]:
        read_again(db, ids["record"])
        lost.append(
            f"the state of the files of {len(ids['record'])} items: the next `align index` reads"
            " them again"
        )
    if ids["embedding"]:
        drop_embeddings(db, ids["embedding"])
        lost.append(embeddings_lost(len(ids["embedding"])))
    correct_log(db, ids["change"])
    what = {finding.what for finding in found}
    if "sequence" in what:
        remember_numbers(db)
    if what == {"generation"}:
        names = [finding.where.removeprefix("generations/") for finding in found]
        db.execute(delete(generations).where(generations.c.name.in_(names)))
    elif what != {"sequence"}:  # they were built from rows that are corrected now
        db.execute(delete(generations))
    return lost


def _repair_rows(
    db: Connection, rows: Mapping[str, Collection[int]], indexes: Collection[str]
) -> list[str]:
    """Replace damaged rows; then rebuild the indexes that do not match their tables."""
    lost: list[str] = []
    # Otherwise SQLite refuses to change a row that an index lacks.
    db.exec_driver_sql("PRAGMA writable_schema = ON")
    try:
        if rows:
            db.execute(delete(generations))  # they were built from rows that are replaced now
            lost = replace_rows(db, rows)
        for name in indexes:
            with suppress(IntegrityError), db.begin_nested():  # two rows may still look the same
                db.exec_driver_sql(f"REINDEX {name}")
    finally:
        db.exec_driver_sql("PRAGMA writable_schema = OFF")
    return lost


def _ids(found: Sequence[Finding], what: str) -> set[int]:
    return {id for finding in found if finding.what == what for id in finding.ids}


def _drop_rows(db: Connection, finding: Finding) -> list[str]:
    table = metadata.tables[finding.where]
    if table is library:
        db.execute(update(library).values(model_id=only_model(db)))
        return ["the choice of the model: run `align index` with the --model that the library had"]
    if table is items:
        journal.delete_items(db, finding.ids)
    elif table is files:
        return [_drop_files(db, finding.ids)]
    elif table is annotations:  # what they say counts without its statement
        chosen = among(literal_column("rowid"), finding.ids)
        db.execute(update(annotations).where(chosen).values(statement_id=None))
        return []
    else:
        if table is embeddings:  # of an item that is lost; it may be one text of many
            read_texts_again(db)
        db.execute(delete(table).where(among(literal_column("rowid"), finding.ids)))
    return [f"{len(finding.ids)} rows of the table {table.name} that belonged to no other row"]


def _drop_files(db: Connection, ids: Collection[int]) -> str:
    """Forget files whose watched folder is lost, or pictures without an item."""
    chosen = select(files.c.path, roots.c.id).outerjoin(roots, roots.c.id == files.c.root_id)
    rows = db.execute(chosen.where(among(files.c.id, ids)).order_by(files.c.path)).all()
    journal.delete_files(db, ids)
    lost = [os.fsdecode(path) for path, root_id in rows if root_id is None]
    if not lost:
        return f"{len(ids)} rows of the table files that belonged to no other row"
    more = f" and {len(lost) - 1:,} more" if len(lost) > 1 else ""
    return (
        f"the watched folder of {lost[0]}{more}: give that folder to `align index` again; it embeds"
        " its pictures again, which keep their annotations"
    )
