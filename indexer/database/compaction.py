"""Keep the database small, and copy it whole."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy import Connection, Engine, and_, delete, exists, func, select

from encoder.durable import replacing
from indexer.database import catalogue, field_catalogue, forking, journal
from indexer.database.schema import annotations, changes, generations, library, models
from indexer.errors import StorageError


def prune_log(db: Connection, model_id: int) -> None:
    """For each kind, forget the changes that all of its kept generations include, apart from the
    newest of these: it shows how far back the log reaches."""
    oldest = (
        select(generations.c.kind, func.min(generations.c.seq))
        .where(generations.c.model_id == model_id)
        .group_by(generations.c.kind)
    )
    for kind, seq in db.execute(oldest).all():
        of_kind = changes.c.kind == kind
        newest = select(func.max(changes.c.seq)).where(of_kind, changes.c.seq <= seq)
        db.execute(delete(changes).where(of_kind, changes.c.seq < newest.scalar_subquery()))


def drop_unused(db: Connection) -> None:
    """Drop the embeddings of models that searches do not use, and what files and tools said of
    contents that no item holds any more. What people said stays: the picture may come back."""
    current = catalogue.current_model(db)
    if current:
        db.execute(delete(models).where(models.c.id != current[0]))
        prune_log(db, current[0])
    held = exists().where(field_catalogue.of_item())
    journal.take_back(db, and_(annotations.c.speaker != "person", ~held))


def vacuum(engine: Engine) -> None:
    """Give free pages back to the file system. For the holder of the writer lock; searches go on.
    Needs room for a second copy of the database."""
    raw = engine.raw_connection()  # SQLAlchemy's own would begin a transaction
    try:
        raw.cursor().execute("VACUUM")
    finally:
        raw.close()


def backup(reader: Engine, database: Path, file: Path) -> int:
    """Write a whole copy of `database`, as it is at one moment, to `file`; return its bytes.

    The copy names no generations, because it has none: they are built again. An earlier backup of
    the same library is replaced. Raises StorageError if anything else lies at `file`, or if it
    cannot be written.
    """
    with reader.begin() as db:
        uuid = db.execute(select(library.c.uuid)).scalar()
    if file.exists() and (file.samefile(database) or _uuid(file) != uuid):
        what = (
            "is the library itself" if file.samefile(database) else "is no backup of this library"
        )
        raise StorageError(f"{file} exists and {what}; name another file, nothing was written")
    try:
        with replacing(file) as temporary:
            raw = reader.raw_connection()
            try:
                raw.cursor().execute("VACUUM INTO ?", (str(temporary),))
            finally:
                raw.close()
            with closing(forking.connect(temporary)) as copy, copy:
                copy.execute("DELETE FROM generations")
            return temporary.stat().st_size
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StorageError(
            f"{file} cannot be written ({reason}); make room or name another file"
        ) from error


def _uuid(file: Path) -> str | None:
    """The library that a file is a backup of; None if it is none."""
    with (
        suppress(sqlite3.Error),
        closing(forking.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as db,
    ):
        found: str = db.execute("SELECT uuid FROM library").fetchone()[0]
        return found
    return None
