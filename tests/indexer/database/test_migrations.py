"""A library of every older schema opens, with everything that it held.

`version_1.zip` was written by schema 1: pictures with copies, captions, fields of sidecars and of
annotations, a text file, a file that cannot be read, one that was deleted, an excluded folder, and
two generations of pictures.
"""

import shutil
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from encoder.fake import FakeEncoder
from indexer import Library
from indexer.database.checksums import checked_columns
from indexer.database.schema import SCHEMA_VERSION, metadata
from indexer.integrity.row_repair import REMEDIES

ARCHIVE = Path(__file__).with_name("version_1.zip")


@pytest.fixture
def old(tmp_path):
    """The folder of a library that schema 1 wrote."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    return tmp_path / "photos"


def plain(folder):
    """A connection without anything of this project."""
    return closing(sqlite3.connect(folder / ".align/library.db"))


MOVED = {"fields", "annotations", "statements", "failures", "passed_over", "imports"}
"""Tables that schemas 3 and 4 changed or added."""


def rows(folder, without=frozenset()):
    """Every table's rows with their checksums, and the last numbers that tables gave."""
    with plain(folder) as db:
        held = {
            name: db.execute(
                f"SELECT {', '.join([*checked_columns(table), 'checksum'])} FROM {name}"
            ).fetchall()
            for name, table in metadata.tables.items()
            if name not in without
        }
        held["numbers"] = sorted(db.execute("SELECT * FROM sqlite_sequence").fetchall())
    return held


def version(folder):
    with plain(folder) as db:
        return db.execute("SELECT version_num FROM alembic_version").fetchall()


def test_everything_is_kept(old):
    before = rows(old, MOVED)
    assert version(old) == [("0001",)]
    assert min(len(held) for name, held in before.items() if name != "phrases") > 0
    with Library.open(old) as library:
        assert version(old) == [(f"{SCHEMA_VERSION:04}",)]
        assert rows(old, MOVED) == before
        assert library.verify() == []
        items = {item.path.name: item for item in library.items(library.ids("image"))}
    assert {name: (item.id, dict(item.fields)) for name, item in items.items()} == {
        "copy.png": (1, {"aesthetic": 7.5, "note": "mine"}),  # the bytes of red.png
        "red.png": (3, {"aesthetic": 7.5, "note": "mine", "stars": 4.0, "who": "Ann"}),
        "blue.jpg": (4, {"aesthetic": 3.0}),
        "green.png": (5, {"people": "Kim"}),
        "new.png": (9, {}),
    }
    with plain(old) as db:
        # Nobody can tell any more why it failed: it is tried again.
        assert db.execute("SELECT passing FROM failures").fetchall() == [(1,)]
        said = "SELECT name, speaker, statement_id FROM annotations ORDER BY name"
        # Nobody can tell any more what a tool said: no tool may replace it.
        assert db.execute(said).fetchall() == [
            (name, "person", None) for name in ("aesthetic", "aesthetic", "note")
        ]
        assert db.execute("SELECT name FROM fields ORDER BY name").fetchall() == [
            ("people",),
            ("stars",),
            ("who",),
        ]


def test_it_is_searched_and_written_as_a_new_one(old):
    with Library.open(old) as library:
        (query,) = FakeEncoder().encode_texts(["red"])
        found = library.search(query, 3)
        assert found.ids.tolist()[:2] == [1, 3]
        assert found.degraded is None
        shutil.copy(old / "sub/blue.jpg", old / "sub/next.png")
        report = library.index([], FakeEncoder)
        assert (report.copied, report.embedded, report.unchanged + report.updated) == (1, 0, 8)
        (item,) = library.find(old / "sub/next.png")
        assert item.id == 10
        assert library.verify() == []


def test_a_row_that_was_damaged_before_is_still_found(old):
    with plain(old) as db, db:
        db.create_function("row_crc32", -1, lambda *values: 7, deterministic=True)
        db.execute("UPDATE items SET width = 99 WHERE id = 3")
    with Library.open(old) as library:
        (finding,) = library.verify()
        assert (finding.what, finding.where, finding.ids) == ("row", "items", (3,))
        library.repair(FakeEncoder)
        library.index([], FakeEncoder)
        assert library.verify() == []


def test_a_field_that_was_damaged_before_is_still_found(old):
    with plain(old) as db, db:
        db.create_function("row_crc32", -1, lambda *values: 7, deterministic=True)
        db.execute("UPDATE fields SET text = 'theirs' WHERE name = 'note'")
    with Library.open(old) as library:
        (finding,) = library.verify()
        assert (finding.what, finding.where) == ("row", "fields")
        (lost,) = library.repair(FakeEncoder).lost
        assert lost == "1 fields of sidecars: the next `align index` reads the sidecars again"
        assert library.verify() == []


@pytest.fixture(params=["migrated", "new"])
def folder(request, old, tmp_path):
    """Of a library that was migrated, and of one that was made now."""
    if request.param == "new":
        shutil.rmtree(old / ".align")
        with Library.create(old) as library:
            library.index([old, old / "texts.csv"], FakeEncoder)
            library.annotate(old / "scores.csv")
    Library.open(old).close()
    return old


def vacuumed(db, path):
    db.execute("VACUUM INTO ?", (str(path),))


def dumped(db, path):
    with closing(sqlite3.connect(path)) as copy:
        copy.executescript("\n".join(db.iterdump()))


@pytest.mark.parametrize("copied", [vacuumed, dumped])
def test_any_sqlite_copies_and_restores_the_file(folder, tmp_path, copied):
    before = rows(folder)
    with plain(folder) as db:
        copied(db, tmp_path / "copy.db")
    for name in ("library.db", "library.db-wal", "library.db-shm"):
        (folder / ".align" / name).unlink(missing_ok=True)
    shutil.move(tmp_path / "copy.db", folder / ".align/library.db")
    assert rows(folder) == before
    with Library.open(folder) as library:
        assert library.verify() == []
        shutil.copy(folder / "red.png", folder / "next.png")
        assert library.index([], FakeEncoder).copied == 1
        assert library.verify() == []


def test_any_sqlite_writes_a_row_which_counts_as_damaged_then(folder):
    with plain(folder) as db, db:
        (id,) = db.execute("SELECT min(id) FROM items WHERE kind = 'image'").fetchone()
        db.execute("UPDATE items SET text = 'by hand' WHERE id = ?", (id,))
    with Library.open(folder) as library:
        (finding,) = library.verify()
    assert finding.problem == (
        f"row {id} is not what was written; repair {REMEDIES['items'].promise}"
    )
    with plain(folder) as db:
        db.execute("VACUUM")
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
