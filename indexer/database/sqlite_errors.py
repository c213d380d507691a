"""Errors of SQLite in the words of the library's owner, each with its remedy."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

from indexer.errors import LibraryDamaged, LibraryError, LibraryLocked, StorageError

REMEDY = "restore it from a backup, or delete it and run `align index` again"
"""For a database that cannot be repaired."""

_SAFE = "everything committed is safe"


def explain(error: sqlite3.Error, database: Path) -> LibraryError | None:
    """The error to raise instead of `error`; None if only a bug can have caused it."""
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:  # the higher bits hold details
        case sqlite3.SQLITE_FULL:
            return StorageError(
                f"{database} cannot be written, the disk is full: make room and run again, {_SAFE}"
            )
        case sqlite3.SQLITE_IOERR:
            return StorageError(
                f"{database} cannot be read or written ({error}): check the disk and its free"
                f" space and run again, {_SAFE}"
            )
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return StorageError(
                f"{database} cannot be opened or written ({error}): check the"
                f" permissions of {database.parent} and the free space and run again, {_SAFE}"
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
def trusting_rows(database: Path) -> Iterator[None]:
    """Rows are used as what was written. Where damage made one unusable, say so; `align verify`
    finds the others, too."""
    try:
        yield
    except (ValueError, TypeError, KeyError) as error:
        raise LibraryDamaged(
            f"{database} holds a row that is not what was written; run `align repair`"
        ) from error


@contextmanager
def explained(database: Path) -> Iterator[None]:
    """Replace an error of SQLite by that of `explain`."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, database) or error from error


def explain_all(engine: Engine, database: Path) -> None:
    """Replace every error of the connections of `engine` by that of `explain`."""

    @event.listens_for(engine, "handle_error")
    def handle(context: ExceptionContext) -> None:
        error = context.original_exception
        if isinstance(error, sqlite3.Error) and (known := explain(error, database)):
            raise known from error
