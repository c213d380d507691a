"""What an error of SQLite means to the owner of the library, and what helps."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

from indexer.errors import LibraryDamaged, LibraryError, LibraryLocked, StorageError

REMEDY = "restore it from a backup, or delete it and run `align index` again"
"""Where the database itself is beyond repair."""

_SAFE = "everything committed is safe"


def explain(error: sqlite3.Error, database: Path) -> LibraryError | None:
    """The error to raise instead of SQLite's; None for those that only a bug can cause."""
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:  # above are the details
        case sqlite3.SQLITE_FULL:
            return StorageError(
                f"{database} cannot be written, the disk is full: make room and run again, {_SAFE}"
            )
        case sqlite3.SQLITE_IOERR:
            return StorageError(
                f"{database} cannot be read or written ({error}): check the disk and the room on"
                f" it and run again, {_SAFE}"
            )
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return StorageError(
                f"{database} cannot be opened or written ({error}): check who may write to"
                f" {database.parent} and the room on the disk and run again, {_SAFE}"
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_PROTOCOL:
            return LibraryLocked(
                f"{database} is held by another program ({error}): end it and run again, {_SAFE}"
            )
        case sqlite3.SQLITE_CORRUPT:
            return _damaged(error, database)
        case sqlite3.SQLITE_NOTADB:
            return LibraryDamaged(f"{database} cannot be read ({error}); {REMEDY}")
    if "Could not decode to UTF-8" in str(error):  # Python's own error, without a code
        return _damaged("a text in it is damaged", database)
    return None


def _damaged(problem: object, database: Path) -> LibraryDamaged:
    return LibraryDamaged(
        f"{database} cannot be read ({problem}); `align repair` may help, else {REMEDY}"
    )


@contextmanager
def explained(database: Path) -> Iterator[None]:
    """Raise what `explain` makes of an error of SQLite itself."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, database) or error from error


def explain_all(engine: Engine, database: Path) -> None:
    """Raise what `explain` makes of every error of `engine`'s connections."""

    @event.listens_for(engine, "handle_error")
    def handle(context: ExceptionContext) -> None:
        error = context.original_exception
        if isinstance(error, sqlite3.Error) and (known := explain(error, database)):
            raise known from error
