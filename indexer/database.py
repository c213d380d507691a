"""Connections to library.db, and bringing an older one up to date."""

import sqlite3
import uuid
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import QueuePool

from indexer.errors import LibraryDamaged, NewerLibrary
from indexer.schema import SCHEMA_VERSION, library


def connect(database: Path, *, writable: bool) -> Engine:
    """An engine on the file at the absolute path `database`, made if `writable` and missing.

    ``engine.begin()`` gives a reader one committed state for all its queries, however long they
    take. Only the holder of the writer lock may ask for `writable`.
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

    # Python's sqlite3 would begin a transaction only before a write: reads would not be consistent.
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writable else "BEGIN")

    return engine


_PATIENCE = 1_000
"""Milliseconds that a checkpoint waits for searches to end: without, a library that is always
searched would have its log grow for ever; longer, and one slow reader would hold the writer up."""


def checkpoint(engine: Engine) -> None:
    """Move what the write-ahead log holds into the database file, as far as no reader is in the
    way; for the holder of the writer lock."""
    connection = engine.raw_connection()  # SQLAlchemy's own would begin a transaction
    connection.detach()  # nobody else shall get one that is so impatient
    try:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {_PATIENCE}")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def version(engine: Engine, database: Path) -> int:
    """The schema's number, 0 for an empty database.

    Raises NewerLibrary above `SCHEMA_VERSION`, LibraryDamaged where SQLite cannot read it.
    """
    try:
        with engine.begin() as db:
            if not inspect(db).has_table("alembic_version"):
                return 0
            found = int(db.execute(text("SELECT version_num FROM alembic_version")).scalar_one())
    except DatabaseError as error:
        raise LibraryDamaged(
            f"{database} cannot be read ({error.orig}); restore it from a backup, or delete it and"
            " run `align index` again"
        ) from error
    if found > SCHEMA_VERSION:
        raise NewerLibrary(
            f"{database} has schema {found} but this program knows up to {SCHEMA_VERSION};"
            " upgrade align-retrieval"
        )
    return found


def migrate(database: Path) -> None:
    """Bring the schema to `SCHEMA_VERSION` in one transaction; for the holder of the lock."""
    from alembic.command import upgrade
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "indexer:migrations")
    engine = connect(database, writable=True)
    try:
        with engine.begin() as db:
            config.attributes["connection"] = db
            upgrade(config, "head")
            if db.execute(select(library.c.id)).first() is None:
                db.execute(
                    insert(library).values(
                        id=1, uuid=str(uuid.uuid4()), created_at=datetime.now(UTC).isoformat()
                    )
                )
    finally:
        engine.dispose()
