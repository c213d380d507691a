"""A fork waits until no thread is inside SQLite: a lock that one holds would stay locked for ever
in the child. `tests/retrieval/test_processes.py` forks beside searching threads."""

import os
import sqlite3
import threading
from contextlib import closing

import pytest

from indexer.database import connection, forking
from indexer.database.forking import GATE


@pytest.fixture
def fork():
    """Forks in a thread; tells when that is done, and the exit status of the child."""
    done, status = threading.Event(), list[int]()

    def run():
        pid = os.fork()
        if not pid:
            with GATE:  # the gate of the child is open and empty
                os._exit(7 if GATE._inside == 1 else 1)
        status.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        done.set()

    thread = threading.Thread(target=run)
    yield thread, done, status
    thread.join()


@pytest.fixture
def inside():
    """A thread that stays inside SQLite until it is let go."""
    entered, go = threading.Event(), threading.Event()

    def stay():
        with GATE:
            entered.set()
            go.wait(60)

    thread = threading.Thread(target=stay)
    thread.start()
    assert entered.wait(60)
    yield go
    go.set()
    thread.join()


def test_a_fork_waits_until_nobody_is_inside(fork, inside):
    thread, done, status = fork
    thread.start()
    assert not done.wait(0.3)
    inside.set()
    assert done.wait(60)
    assert status == [7]


def test_nobody_enters_while_a_fork_waits(fork, inside):
    thread, done, _ = fork
    thread.start()
    while not GATE._closed:
        assert not done.wait(0.01)
    entered = threading.Event()

    def enter():
        with GATE:
            entered.set()

    late = threading.Thread(target=enter)
    late.start()
    assert not entered.wait(0.3)
    inside.set()
    assert entered.wait(60)
    late.join()


def test_a_fork_does_not_wait_for_ever(fork, inside, monkeypatch):
    monkeypatch.setattr(forking, "LONGEST_WAIT", 0.1)
    thread, done, status = fork
    thread.start()
    assert done.wait(60)
    assert status == [7]


@pytest.mark.parametrize(
    ("call", "times"),
    [
        (lambda db, rows: db.execute("SELECT 1"), 1),
        (lambda db, rows: db.executemany("INSERT INTO t VALUES (?)", [(1,)]), 1),
        (lambda db, rows: db.executescript("SELECT 1"), 1),
        (lambda db, rows: db.cursor().execute("SELECT 1"), 1),
        (lambda db, rows: db.cursor().executemany("INSERT INTO t VALUES (?)", [(1,)]), 1),
        (lambda db, rows: db.cursor().executescript("SELECT 1"), 1),
        (lambda db, rows: rows.fetchone(), 1),
        (lambda db, rows: rows.fetchmany(1), 1),
        (lambda db, rows: rows.fetchall(), 1),
        (lambda db, rows: list(rows), 3),
        (lambda db, rows: rows.close(), 1),
        (lambda db, rows: db.commit(), 1),
        (lambda db, rows: db.rollback(), 1),
        (lambda db, rows: db.backup(sqlite3.connect(":memory:")), 1),
        (lambda db, rows: db.close(), 1),
    ],
)
def test_every_call_is_inside(tmp_path, monkeypatch, call, times):
    with closing(forking.connect(tmp_path / "a.db")) as db:
        db.execute("CREATE TABLE t (x)")
        rows = db.execute("VALUES (1), (2)")
        entries: list[None] = []
        enter = type(GATE).__enter__
        with monkeypatch.context() as patch:
            patch.setattr(type(GATE), "__enter__", lambda gate: entries.append(None) or enter(gate))
            call(db, rows)
        assert len(entries) == times


def test_a_statement_runs_inside(tmp_path):
    with closing(forking.connect(tmp_path / "a.db")) as db:
        db.create_function("inside", 0, lambda: GATE._inside)
        assert db.execute("SELECT inside()").fetchone() == (1,)
    assert GATE._inside == 0


def test_the_library_uses_such_connections(photos):
    photos.paint("a.png", "red")
    photos.index()
    engine = connection.connect(photos.library.path / "library.db", writable=False)
    with closing(engine.raw_connection()) as raw:
        assert isinstance(raw.dbapi_connection, forking.Connection)
        assert isinstance(raw.cursor(), sqlite3.Cursor)
        assert type(raw.cursor()) is forking.Cursor
    engine.dispose()
