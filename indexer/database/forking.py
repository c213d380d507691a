"""SQLite beside a fork. SQLite has locks of its own for the whole process. If a thread holds one
while another thread forks, the child waits for it for ever. So a fork waits until no thread is
inside SQLite."""

import os
import sqlite3
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

LONGEST_WAIT = 10.0
"""Seconds that a fork waits for a statement of another thread."""

P = ParamSpec("P")
T = TypeVar("T")


class _Gate:
    """Any number of threads may be inside, none while a fork is on."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """As in a child, which has one thread."""
        # Every row that is fetched passes here. So the lock is taken without the methods of the
        # condition, which are Python, and only a fork that waits is told of it.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._inside = 0
        self._closed = False

    def __enter__(self) -> None:
        with self._lock:
            while self._closed:
                self._changed.wait()
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._closed:
                self._changed.notify_all()

    def close(self) -> None:
        """Let nobody in, and wait until everybody is out."""
        with self._lock:
            self._closed = True
            self._changed.wait_for(lambda: self._inside == 0, LONGEST_WAIT)

    def open(self) -> None:
        """Let threads in again."""
        with self._lock:
            self._closed = False
            self._changed.notify_all()


GATE = _Gate()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=GATE.close, after_in_parent=GATE.open, after_in_child=GATE.reset)


def _inside(method: Callable[P, T]) -> Callable[P, T]:
    @wraps(method)
    def gated(*arguments: P.args, **named: P.kwargs) -> T:
        with GATE:
            return method(*arguments, **named)

    return gated


class Cursor(sqlite3.Cursor):
    """A cursor whose calls a fork waits for."""

    execute = _inside(sqlite3.Cursor.execute)
    executemany = _inside(sqlite3.Cursor.executemany)
    executescript = _inside(sqlite3.Cursor.executescript)
    fetchone = _inside(sqlite3.Cursor.fetchone)
    fetchmany = _inside(sqlite3.Cursor.fetchmany)
    fetchall = _inside(sqlite3.Cursor.fetchall)
    close = _inside(sqlite3.Cursor.close)

    def __next__(self) -> Any:
        with GATE:
            return super().__next__()


class Connection(sqlite3.Connection):
    """A connection whose calls a fork waits for."""

    commit = _inside(sqlite3.Connection.commit)
    rollback = _inside(sqlite3.Connection.rollback)
    close = _inside(sqlite3.Connection.close)
    backup = _inside(sqlite3.Connection.backup)

    def cursor(self, factory: Any = Cursor) -> Any:
        """A cursor of this kind."""
        return super().cursor(factory)

    # The methods below would make their cursors without `cursor`, or go around its methods.

    def execute(self, *arguments: Any) -> Any:
        """As that of a cursor."""
        return self._run(Cursor.execute, *arguments)

    def executemany(self, *arguments: Any) -> Any:
        """As that of a cursor."""
        return self._run(Cursor.executemany, *arguments)

    def executescript(self, *arguments: Any) -> Any:
        """As that of a cursor."""
        return self._run(Cursor.executescript, *arguments)

    def _run(self, method: Callable[..., Any], *arguments: Any) -> Any:
        cursor = self.cursor()
        try:
            return method(cursor, *arguments)
        except BaseException:
            cursor.close()  # or the traceback would keep it, and with it the connection, open
            raise


def connect(*arguments: Any, **named: Any) -> sqlite3.Connection:
    """As `sqlite3.connect`."""
    with GATE:
        return sqlite3.connect(*arguments, factory=Connection, **named)
