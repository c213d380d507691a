"""Connections to library.db, and bringing an older one up to date."""

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select, text
from sqlalchemy.pool import QueuePool

from indexer.errors import NewerLibrary, StorageError
from indexer.schema import SCHEMA_VERSION, library
from indexer.troubles import explain_all, explained


def connect(database: Path, *, writable: bool) -> Engine:
    """An engine on the file at the absolute path `database`, made if `writable` and missing.

    ``engine.begin()`` gives a reader one committed state for all its queries, however long they
    take. Only the holder of the writer lock may ask for `writable`. Errors of the disk or the file
    are raised as LibraryErrors, see `indexer.troubles`.
    """
    uri = database.as_uri() + ("?mode=rwc" if writable else "?mode=ro")

    def open_connection() -> sqlite3.Connection:
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, timeout=30
        )
        connection.execute("PRAGMA foreign_keys = ON")
        if writable:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        return connection

    # No limit: every thread that searches holds a connection until it has its answer.
    engine = create_engine(
        "sqlite://", creator=open_connection, poolclass=QueuePool, max_overflow=-1
    )
    explain_all(engine, database)

    # Python's sqlite3 would begin a transaction only before a write: reads would not be consistent.
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writable else "BEGIN")

    return engine


@contextmanager
def writer(database: Path) -> Iterator[Engine]:
    """A writable engine for the holder of the writer lock; when all went well, what it wrote is
    moved into the database file."""
    engine = connect(database, writable=True)
    try:
        yield engine
        with explained(database):
            checkpoint(engine)
    finally:
        engine.dispose()


def checkpoint(engine: Engine) -> None:
    """Move what the write-ahead log holds into the database file, as far as no reader is in the
    way; for the holder of the writer lock."""
    connection = engine.raw_connection()  # SQLAlchemy's own would begin a transaction
    try:
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def version(engine: Engine, database: Path) -> int:
    """The schema's number, 0 for an empty database, and for one that a writer must open first.

    Raises NewerLibrary above `SCHEMA_VERSION`, LibraryDamaged where SQLite cannot read it.
    """
    try:
        with engine.begin() as db:
            if not inspect(db).has_table("alembic_version"):
                return 0
            found = int(db.execute(text("SELECT version_num FROM alembic_version")).scalar_one())
    except StorageError as error:
        if _is_unfinished(error.__cause__):
            return 0
        raise
    if found > SCHEMA_VERSION:
        raise NewerLibrary(
            f"{database} has schema {found} but this program knows up to {SCHEMA_VERSION};"
            " upgrade align-retrieval"
        )
    return found


def _is_unfinished(error: BaseException | None) -> bool:
    """Whether a writer was killed and left a journal, which only a writer can roll back."""
    code = error.sqlite_errorcode if isinstance(error, sqlite3.Error) else None
    return code == sqlite3.SQLITE_READONLY_ROLLBACK


def migrate(database: Path) -> None:
    """Bring the schema to `SCHEMA_VERSION` in one transaction; for the holder of the lock."""
    from alembic.command import upgrade
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "indexer:migrations")
    with writer(database) as engine, engine.begin() as db:
        config.attributes["connection"] = db
        upgrade(config, "head")
        if db.execute(select(library.c.id)).first() is None:
            db.execute(
                insert(library).values(
                    id=1, uuid=str(uuid.uuid4()), created_at=datetime.now(UTC).isoformat()
                )
            )
