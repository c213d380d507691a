"""A disk that is full or fails, and a database that is damaged: one sentence with what helps."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from encoder.fake import FakeEncoder
from indexer import Library, LibraryDamaged, LibraryLocked, StorageError
from indexer.database import connection
from indexer.database.sqlite_errors import explain

SAFE = "and run again, everything committed is safe"

EXPLAINED = [
    ("SQLITE_FULL", StorageError, f"cannot be written, the disk is full: make room {SAFE}"),
    (
        "SQLITE_IOERR_FSYNC",
        StorageError,
        f"cannot be read or written (it): check the disk and its free space {SAFE}",
    ),
    (
        "SQLITE_CANTOPEN",
        StorageError,
        "cannot be opened or written (it): check the permissions of /p/.align and the free space"
        f" {SAFE}",
    ),
    (
        "SQLITE_BUSY_SNAPSHOT",
        LibraryLocked,
        "is held by another program (it): end it and run again, everything committed is safe",
    ),
    (
        "SQLITE_CORRUPT_INDEX",
        LibraryDamaged,
        "cannot be read (it); `align repair` may help, else restore it from a backup, or delete it"
        " and run `align index` again",
    ),
]


@pytest.mark.parametrize(("name", "kind", "sentence"), EXPLAINED)
def test_what_is_said(name, kind, sentence):
    error = sqlite3.OperationalError("it")
    error.sqlite_errorcode = getattr(sqlite3, name)
    known = explain(error, Path("/p/.align/library.db"))
    assert type(known) is kind
    assert str(known) == f"/p/.align/library.db {sentence}"


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("SELECT nothing FROM nowhere", OperationalError),
        ("INSERT INTO library (id, uuid, created_at) VALUES (2, 'a', 'b')", IntegrityError),
    ],
)
def test_bugs_stay_what_they_are(photos, statement, kind):
    with (
        pytest.raises(kind),
        connection.writer(photos.library.path / "library.db") as engine,
        engine.begin() as db,
    ):
        db.exec_driver_sql(statement)


def test_a_full_disk(photos, monkeypatch):
    """SQLite is told that the file may not grow."""
    photos.paint("a.png", "red")
    photos.index()
    long = photos.write("long.txt", "green " * 10_000)
    real = sqlite3.connect

    def small(*arguments, **options):
        connection = real(*arguments, **options)
        connection.execute("PRAGMA max_page_count = 1")  # as many as there are, if that is more
        return connection

    with monkeypatch.context() as patch:
        patch.setattr("indexer.database.connection.sqlite3.connect", small)
        with pytest.raises(StorageError, match=r"library\.db cannot be written, the disk is full"):
            photos.index(long)
    assert photos.library.status().counts == {"image": 1, "text": 0}
    assert photos.nearest("red") == [1]
    assert photos.index(long) == {"added": 1, "embedded": 1}


def test_a_commit_that_the_disk_refuses_is_no_bug(photos):
    """And so is a connection that cannot be made: a folder stands where the log belongs."""
    photos.paint("a.png", "red")
    photos.index()
    (photos.library.path / "library.db-wal").mkdir()
    with pytest.raises(StorageError, match=r"library\.db cannot be opened or written"):
        photos.library.index([], FakeEncoder)


def test_searching_a_damaged_database(photos):
    for n in range(300):
        photos.paint(f"{n:03}.png", (n % 256, n // 256, 9))
    photos.index()
    photos.library.close()
    file = photos.library.path / "library.db"
    with open(file, "r+b") as handle:
        handle.seek(4096)
        handle.write(os.urandom(file.stat().st_size - 4096))
    with pytest.raises(LibraryDamaged) as caught, Library.open(photos.folder) as library:
        library.search(FakeEncoder().encode_texts(["red"])[0], 3)
    assert str(caught.value) == (
        f"{file} cannot be read (database disk image is malformed); `align repair` may help, else"
        " restore it from a backup, or delete it and run `align index` again"
    )


def test_what_a_crash_left_goes_with_the_next_run_though_nothing_changed(photos):
    photos.paint("a.png", "red")
    photos.index()
    folder = photos.library.path / "generations"
    kept = os.listdir(folder)
    id = "01234567-89ab-cdef-0123-456789abcdef"
    for name in (f"1-{id}.faiss", f"2-{id}.faiss.align.tmp", f"{id}.faiss.spool"):
        (folder / name).write_bytes(b"a crash left this")
    photos.rescan()
    assert os.listdir(folder) == kept


def test_a_writer_that_was_killed_while_it_made_the_database(photos):
    """Its journal must be rolled back, which readers may not do."""
    photos.library.close()
    (photos.library.path / "library.db").write_bytes(b"")
    code = f"""
import os, sqlite3
db = sqlite3.connect({str(photos.library.path / "library.db")!r}, isolation_level=None)
db.execute("PRAGMA cache_size = 1")
db.execute("PRAGMA cache_spill = 1")
db.execute("BEGIN")
db.execute("CREATE TABLE half (made)")
db.executemany("INSERT INTO half VALUES (?)", [("x" * 3000,)] * 100)
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    assert (photos.library.path / "library.db-journal").stat().st_size > 0
    with Library.open(photos.folder) as library:
        assert library.status().counts == {"image": 0, "text": 0}
        photos.library = library
        photos.paint("a.png", "red")
        assert photos.index() == {"added": 1, "embedded": 1}
