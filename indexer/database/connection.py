"""Connections to library.db, and the migration of an older one."""

import logging
import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select, text
from sqlalchemy.exc import DatabaseError, MultipleResultsFound, NoResultFound
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from indexer.database import checksums, filesystem, forking, functions
from indexer.database.schema import SCHEMA_VERSION, library
from indexer.database.sqlite_errors import REMEDY, explain_all, explained, trusting_rows
from indexer.errors import LibraryDamaged, LibraryLocked, NewerLibrary, StorageError

NAME = "library.db"
FILES = (NAME, *(f"{NAME}-{part}" for part in ("wal", "shm", "journal")))
"""All files that SQLite may write for the database."""
"""Name of the file in the library directory."""

_PATIENCE = 1_000
"""Milliseconds that a checkpoint waits for searches to end. Without this time, the log of a library
that is always searched would grow for ever. With more time, one slow reader would delay the
writer."""

_HOME = "align home"
"""The name of the execution option that keeps `home`."""

_log = logging.getLogger(__name__)


def connect(database: Path, *, writable: bool) -> Engine:
    """An engine on the file at the absolute path `database`, made if `writable` and missing; its
    connections know `home`.

    ``engine.begin()`` gives a reader one committed state for all its queries, however long they
    take. Only the holder of the writer lock may ask for `writable`. The first connection raises
    LibraryLocked if a reader prevents a change of the journal mode. Errors of the disk or the file
    become LibraryErrors (see `indexer.database.sqlite_errors`).
    """

    def open_connection() -> sqlite3.Connection:
        mode = "mode=rwc" if writable else "mode=ro"
        if not writable and _is_still(database):
            mode += "&immutable=1"
        connection = forking.connect(
            f"{database.as_uri()}?{mode}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=30,
        )
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # what is forgotten is overwritten
        functions.register(connection)
        if writable:
            _set_journal_mode(connection, database)
            if _is_current(connection):
                checksums.maintain(connection)
        return connection

    # No limit: every thread that searches holds a connection until it has its answer. The one that
    # was used last comes first: it remembers filters (`indexer.search.filter_sql`).
    engine = create_engine(
        "sqlite://",
        creator=open_connection,
        poolclass=QueuePool,
        max_overflow=-1,
        pool_use_lifo=True,
        execution_options={_HOME: os.fsencode(database.parent.parent)},
    )
    explain_all(engine, database)

    # A pool that was disposed of forgets the connections that are in use, and would leave them to
    # the garbage collector when they come back.
    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        record.info["pool"] = engine.pool

    @event.listens_for(engine, "checkin")
    def returned(connection: sqlite3.Connection | None, record: ConnectionPoolEntry) -> None:
        if connection is not None and record.info.get("pool") is not engine.pool:
            record.close()

    # Python's sqlite3 would begin a transaction only before a write: reads would not be consistent.
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writable else "BEGIN")

    return engine


def trusting(db: Connection) -> AbstractContextManager[None]:
    """For code that uses rows as what was written: where damage made one unusable, it raises
    LibraryDamaged."""
    return trusting_rows(Path(os.fsdecode(home(db))) / ".align" / NAME)


def home(db: Connection) -> bytes:
    """The absolute folder that holds the library directory. Relative roots start at this folder."""
    folder: bytes = db.get_execution_options()[_HOME]
    return folder


@contextmanager
def writer(database: Path) -> Iterator[Engine]:
    """A writable engine for the holder of the writer lock. At the end, unless an error was raised,
    a checkpoint moves the write-ahead log into the database file."""
    engine = connect(database, writable=True)
    try:
        yield engine
        with explained(database):
            checkpoint(engine)
    finally:
        engine.dispose()


def _is_current(connection: sqlite3.Connection) -> bool:
    """Whether the tables are there and need no migration."""
    try:
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:  # no such table
        return False
    return bool(found == (f"{SCHEMA_VERSION:04}",))


def _set_journal_mode(connection: sqlite3.Connection, database: Path) -> None:
    """Set durable commits, and a write-ahead log or, if that cannot work, a rollback journal."""
    place = filesystem.type_of(database.parent)
    shared = filesystem.is_shared(place)
    if shared:
        _say_slower(database, place)
    try:
        connection.execute(f"PRAGMA journal_mode = {'DELETE' if shared else 'WAL'}")
    except sqlite3.OperationalError as error:
        connection.close()
        if "locked" not in str(error):
            raise
        raise LibraryLocked(
            f"{database} lies on another file system than when it was written last and must be"
            " converted, but a search has it open; end that and run again"
        ) from error
    # Without a log, only EXTRA makes sure that the journal of a finished commit is gone for good.
    connection.execute(f"PRAGMA synchronous = {'EXTRA' if shared else 'FULL'}")


@cache
def _say_slower(database: Path, place: str) -> None:
    _log.warning(
        "%s lies on a file system (%s) that several machines may share, where SQLite's write-ahead"
        " log is not safe: searches wait while a batch is written",
        database,
        place or "of a type that the system does not tell",
    )


def _is_still(database: Path) -> bool:
    """Whether SQLite can read the database only if we tell it that nothing changes the file.

    A reader of a database with a write-ahead log makes files beside the database, to coordinate
    with the writer. On a read-only medium or in a read-only folder it cannot make them, and it does
    not need them if no log is left. If another process that can write there begins to write, a
    library that is open must be opened again.
    """
    log = database.with_name(f"{database.name}-wal")
    if filesystem.is_writable(database.parent) or (log.exists() and log.stat().st_size):
        return False
    # Only where we cannot write: closing the file frees all locks that this process has on it.
    with open(database, "rb") as file:
        return file.read(20)[18:] == b"\2\2"  # the header's mark of a write-ahead log


def journal_mode(db: Connection) -> str:
    """``wal`` or ``delete``; ``delete`` also if SQLite was told that nothing changes the file."""
    mode: str = db.exec_driver_sql("PRAGMA journal_mode").scalar_one()
    return mode


def checkpoint(engine: Engine) -> None:
    """Move the write-ahead log into the database file, except for pages that a reader still needs.
    For the holder of the writer lock."""
    connection = engine.raw_connection()  # SQLAlchemy's own would begin a transaction
    connection.detach()  # no one else should get a connection with this short timeout
    try:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {_PATIENCE}")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def version(engine: Engine, database: Path) -> int:
    """The number of the schema; 0 for an empty database, or if a writer must open it first.

    Raises NewerLibrary for a number above `SCHEMA_VERSION`, and LibraryDamaged if SQLite cannot
    read the database.
    """
    try:
        with engine.begin() as db:
            if not inspect(db).has_table("alembic_version"):
                return 0
            found = int(db.execute(text("SELECT version_num FROM alembic_version")).scalar_one())
    except (TypeError, ValueError, NoResultFound, MultipleResultsFound) as error:
        raise _damaged(database, "its schema has no number") from error
    except DatabaseError as error:
        raise _damaged(database, str(error.orig)) from error
    except StorageError as error:
        if _is_unfinished(error.__cause__):
            return 0
        if "unable to open" in str(error.__cause__) and not filesystem.is_writable(database.parent):
            raise LibraryDamaged(
                f"{database} has changes in its write-ahead log that cannot be read where"
                f" {database.parent} is read-only; run `align index` once where it can be written"
            ) from error
        raise
    if found > SCHEMA_VERSION:
        raise NewerLibrary(
            f"{database} has schema {found} but this program knows up to {SCHEMA_VERSION};"
            " upgrade align-retrieval"
        )
    return found


def _damaged(database: Path, problem: str) -> LibraryDamaged:
    return LibraryDamaged(f"{database} cannot be read ({problem}); {REMEDY}")


def _is_unfinished(error: BaseException | None) -> bool:
    """Whether a killed writer left a journal, which only another writer can roll back."""
    code = error.sqlite_errorcode if isinstance(error, sqlite3.Error) else None
    return code == sqlite3.SQLITE_READONLY_ROLLBACK


def migrate(database: Path) -> None:
    """Bring the schema to `SCHEMA_VERSION` in one transaction. For the holder of the lock."""
    from alembic.command import upgrade
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "indexer.database:migrations")
    with writer(database) as engine, engine.begin() as db:
        config.attributes["connection"] = db
        try:
            upgrade(config, "head")
        except CommandError as error:
            raise _damaged(database, "its schema has an unknown number") from error
        connection = db.connection.driver_connection
        assert isinstance(connection, sqlite3.Connection)
        checksums.maintain(connection)
        if db.execute(select(library.c.id)).first() is None:
            db.execute(
                insert(library).values(
                    id=1, uuid=str(uuid.uuid4()), created_at=datetime.now(UTC).isoformat()
                )
            )
