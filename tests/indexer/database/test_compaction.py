"""A library that stays small, and copies of it."""

import shutil
import sqlite3
from contextlib import closing

import pytest

from encoder.fake import FakeEncoder
from indexer import Library, StorageError


def count(photos, sql, table):
    ((number,),) = sql(photos.library, f"SELECT count(*) FROM {table}")
    return number


@pytest.fixture
def busy(photos):
    """A library whose pictures were replaced several times."""
    for shade in range(8):
        for n in range(6):
            photos.paint(f"{n}.png", (n, shade, 0))
            photos.touch(photos.folder / f"{n}.png", shade)
        photos.index()
    return photos


def test_the_log_of_changes_is_pruned(busy, sql):
    """Each run changes everything: it logs 12 changes and publishes a generation."""
    assert count(busy, sql, "changes") <= 24
    assert busy.library.verify() == []
    before = busy.nearest("red", 9)
    with Library.open(busy.folder) as fresh:
        query = FakeEncoder().encode_texts(["red"])[0]
        assert fresh.search(query, 9).ids.tolist() == before
    # Ids and changes go on from their last numbers.
    busy.paint("new.png", "red")
    busy.rescan()
    assert busy.ids("new.png") == [49]
    assert busy.nearest("red", 1) == [49]


def test_a_search_that_is_behind_a_pruned_log_starts_again(photos):
    """Its own kind has no generation, so only the log could tell."""
    photos.paint("0.png", "red")
    photos.index(photos.folder, photos.write("t.txt", "red\ngreen"))
    with photos.library._reader.begin() as db:
        db.exec_driver_sql("SELECT 1")
    assert photos.nearest("red", 9, kind="text") == photos.ids("t.txt")
    with Library.open(photos.folder) as other:
        (photos.folder / "t.txt").unlink()
        other.index([], FakeEncoder)
        for shade in range(4):
            photos.paint("0.png", (0, shade, 0))
            photos.touch(photos.folder / "0.png", shade)
            other.index([], FakeEncoder)
    assert photos.nearest("red", 9, kind="text") == []


def test_compacting_gives_space_back_and_keeps_every_answer(busy, sql):
    busy.paint("0.png", "red")
    busy.touch(busy.folder / "0.png", 99)
    said = busy.write("t.csv", "path,n\n1.png,5\n2.png,6\n")
    busy.library.annotate(said)
    busy.library.tag(["red"], [(44, "red", 0.5), (45, "red", 0.5)], {}, fingerprint="fa4e")
    busy.index()
    texts = busy.write("many.txt", "\n".join(map(str, range(1000))))
    busy.index(texts)
    texts.unlink()
    kept = (busy.folder / "1.png").read_bytes()
    for n in (1, 2, 3):
        (busy.folder / f"{n}.png").unlink()
    busy.rescan()
    before = busy.nearest("red", 9)
    assert count(busy, sql, "annotations") == 4
    old, new = busy.library.compact(FakeEncoder)
    assert new < 0.7 * old
    assert new == (busy.library.path / "library.db").stat().st_size
    assert sql(busy.library, "PRAGMA freelist_count") == [(0,)]
    assert count(busy, sql, "annotations") == 2  # only what a person said
    assert busy.nearest("red", 9) == before
    assert [(g.delta, g.deleted) for g in busy.library.status().generations] == [(0, 0)] * 2
    assert busy.library.verify() == []
    busy.write("1.png", kept)
    busy.rescan()
    (item,) = busy.library.find(busy.folder / "1.png")
    assert dict(item.fields) == {"n": 5.0}


def test_what_was_forgotten_is_not_left_in_the_file(photos):
    """As a text, which can be looked for."""
    texts = photos.write("t.txt", "a very private sentence\nanother")
    photos.index(texts)
    photos.library.forget([texts])
    photos.library.close()
    for path in photos.library.path.rglob("*"):
        if path.is_file():
            assert b"very private" not in path.read_bytes(), path


def test_a_backup_is_a_whole_library(busy, tmp_path):
    busy.library.annotate(busy.write("t.csv", "path,n\n1.png,5\n"))
    file = tmp_path / "copy.db"
    before = busy.nearest("red", 9)
    assert busy.library.backup(file) == file.stat().st_size
    busy.paint("later.png", "white")
    busy.rescan()
    busy.library.backup(file)  # replaces the first
    shutil.rmtree(busy.library.path)
    busy.library.path.mkdir()
    shutil.copy(file, busy.library.path / "library.db")
    with Library.open(busy.folder) as restored:
        assert restored.verify() == []
        query = FakeEncoder().encode_texts(["red"])[0]
        found = restored.search(query, 9)
        assert sorted(found.ids.tolist()) == sorted([*before, 49])
        assert found.degraded is None
        restored.rebuild(FakeEncoder)
        assert restored.index([], FakeEncoder).unchanged == 7
        (item,) = restored.find(busy.folder / "1.png")
        assert dict(item.fields) == {"n": 5.0}
        assert restored.verify() == []


def test_a_backup_while_another_process_writes_is_of_one_state(busy, tmp_path):
    """A transaction that is open is not waited for, and is not in the copy."""
    with closing(sqlite3.connect(busy.library.path / "library.db", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("DELETE FROM annotations")
        db.execute("DELETE FROM items")
        busy.library.backup(tmp_path / "copy.db")
        db.execute("ROLLBACK")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT count(*) FROM items").fetchone() == (6,)


def test_nothing_foreign_is_replaced_by_a_backup(busy, tmp_path):
    foreign, other = tmp_path / "notes.txt", tmp_path / "other"
    foreign.write_text("mine")
    with pytest.raises(StorageError, match="is no backup of this library"):
        busy.library.backup(foreign)
    assert foreign.read_text() == "mine"
    other.mkdir()
    with Library.create(other) as library, pytest.raises(StorageError, match="is no backup"):
        library.backup(busy.library.path / "library.db")
    with pytest.raises(StorageError, match="is no backup of this library"):
        busy.library.backup(tmp_path)
    with pytest.raises(StorageError, match="is the library itself"):
        busy.library.backup(busy.library.path / "library.db")
    assert busy.library.verify() == []
    with pytest.raises(StorageError, match="cannot be written"):
        busy.library.backup(tmp_path / "gone/copy.db")
    assert list(tmp_path.glob("*.tmp")) == []
