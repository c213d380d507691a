"""Damage to everything a library stores: found by `verify`, mended by `repair`."""

import hashlib
import os
import sqlite3
from contextlib import closing, suppress
from functools import partial

import numpy as np
import pytest

from encoder.fake import FakeEncoder
from indexer import (
    EmbeddingError,
    Finding,
    Library,
    LibraryDamaged,
    LibraryError,
    LibraryLocked,
    Repair,
)
from indexer.database.lock import writing

COLOURS = ["red", "green", "blue", "yellow", "purple"]


@pytest.fixture
def filled(photos, settled):
    """Five pictures and three texts; a generation of each kind, and an older one of pictures."""
    for n, colour in enumerate(COLOURS[:3]):
        photos.paint(f"{n}.png", colour)
    photos.index()
    for n, colour in enumerate(COLOURS[3:], start=3):
        photos.paint(f"{n}.png", colour)
    photos.index(photos.folder, photos.write("t.txt", "a red thing\na green one\nwhite"))
    (photos.folder / "0.png").unlink()
    photos.rescan()
    assert photos.library.verify(read_data=(1, 1)) == []
    return photos


def kinds(found):
    return sorted({finding.what for finding in found})


def answers(photos):
    """What every colour finds, of both kinds."""
    return [
        (photos.nearest(colour, 9), photos.nearest(colour, 9, kind="text")) for colour in COLOURS
    ]


def mended(photos) -> Repair:
    """Repair, and look again, from here and from a library newly opened."""
    done = photos.library.repair(FakeEncoder)
    assert photos.library.verify(read_data=(1, 1)) == []
    with Library.open(photos.folder) as fresh:
        assert fresh.verify() == []
    return done


def indexed_again(photos):
    photos.rescan()
    assert photos.library.verify(read_data=(1, 1)) == []
    return answers(photos)


def names(photos):
    return sorted((photos.library.path / "generations").iterdir())


def flip(path, at, bit=0):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ (1 << bit)]))


def test_bit_flips_and_truncations_of_a_generation(filled):
    for path in names(filled):
        whole = path.read_bytes()
        for at in range(0, len(whole), 11):
            flip(path, at, at % 8)
            (found,) = filled.library.verify()
            assert found == Finding(
                "generation",
                f"generations/{path.name}",
                "is damaged (its checksum is wrong)",
                True,
            )
            path.write_bytes(whole)
        for size in (0, 1, len(whole) // 2, len(whole) - 1):
            os.truncate(path, size)
            (found,) = filled.library.verify()
            assert found.problem == f"is {size} bytes long instead of {len(whole)}"
            path.write_bytes(whole)
        path.write_bytes(whole + b"x")
        assert kinds(filled.library.verify()) == ["generation"]
        path.write_bytes(whole)
    assert filled.library.verify() == []


@pytest.mark.parametrize("which", ["first", "last", "all"])
def test_generations_are_rebuilt(filled, which):
    before = answers(filled)
    paths = {"first": names(filled)[:1], "last": names(filled)[-1:], "all": names(filled)}[which]
    for path in paths:
        path.unlink()
    found = filled.library.verify()
    assert {f.problem for f in found} == {"cannot be read (No such file or directory)"}
    assert len(found) == len(paths)
    assert mended(filled) == Repair(found, [])
    assert answers(filled) == before
    assert filled.library.status().degraded is None
    rows = {g.kind: g.count for g in filled.library.status().generations}
    assert rows == {"image": 4, "text": 3}


def values_of(path):
    """Every table by its rows; a value with its type."""
    with closing(sqlite3.connect(path)) as db:
        db.text_factory = lambda data: ("text", data)
        tables = db.execute("SELECT CAST(name AS BLOB) FROM sqlite_master WHERE type = 'table'")
        return {
            table: sorted(db.execute(f"SELECT rowid, * FROM {table.decode()}").fetchall(), key=repr)
            for (table,) in tables.fetchall()
        }


def places(path):
    """Bytes to flip: some of all the file, and more of the pages where the rows of tables are."""
    whole = path.read_bytes()
    chosen = set(range(0, len(whole), 367))
    with closing(sqlite3.connect(path)) as db:
        pages = db.execute("SELECT rootpage FROM sqlite_master WHERE type = 'table'").fetchall()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    for (page,) in pages:
        used = [at for at in range((page - 1) * size, page * size) if whole[at]]
        chosen.update(used[::23])
    return sorted(chosen)


def test_bit_flips_in_every_region_of_the_database(filled):
    """Each is found, or changes no value of any row; but that numbers are left out, harmlessly."""
    path = filled.library.path / "library.db"
    filled.library.close()
    whole = path.read_bytes()
    before = values_of(path)
    numbers = dict(row[1:] for row in before.pop(b"sqlite_sequence"))
    found_some = 0
    for at in places(path):
        flip(path, at, at % 8)
        try:
            with Library.open(filled.folder) as library:
                found = library.verify()
        except LibraryError:
            found = [Finding("database", "", "", False)]
        found_some += bool(found)
        if not found:
            after = values_of(path)
            last = dict(row[1:] for row in after.pop(b"sqlite_sequence"))
            assert after == before, at
            assert last.keys() == numbers.keys(), at
            assert all(last[name] >= number for name, number in numbers.items()), at
        for name in ("library.db-wal", "library.db-shm"):
            path.with_name(name).unlink(missing_ok=True)
        path.write_bytes(whole)
    assert found_some > 100


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.97])
def test_a_truncated_database_is_beyond_repair(filled, share):
    path = filled.library.path / "library.db"
    filled.library.close()
    os.truncate(path, int(path.stat().st_size * share))
    remedy = "restore it from a backup, or delete it and run `align index` again"
    try:
        library = Library.open(filled.folder)
    except LibraryDamaged as error:  # not even its schema could be read
        said = str(error)
    else:
        with library:
            found = library.verify()
            assert kinds(found) == ["database"]
            assert not any(f.repairable or remedy not in f.problem for f in found)
            with pytest.raises(LibraryDamaged) as caught:
                library.repair(FakeEncoder)
        said = str(caught.value)
    assert remedy in said


def half(*numbers):
    return np.array(numbers, "<f2").tobytes()


@pytest.mark.parametrize(
    ("vector", "problem"),
    [
        (half(0.6, 0.8, 0, 0.5), "its embedding has length 1.12 instead of 1"),
        (half(np.nan, 0, 0, 1), "its embedding has length nan instead of 1"),
        (half(np.inf, 0, 0, 1), "its embedding has length inf instead of 1"),
        (half(1, 0, 0), "its embedding has the wrong size"),
        (b"", "its embedding has the wrong size"),
        ("text", "its embedding has the wrong size"),
        (half(-1, 0, 0, 0), "its embedding differs from the one in the index"),
        (None, "has no embedding"),
    ],
)
def test_a_bad_embedding(filled, sql, vector, problem):
    before = answers(filled)
    if vector is None:
        sql(filled.library, "DELETE FROM embeddings WHERE item_id = 3")
    else:
        sql(filled.library, "UPDATE embeddings SET vector = ? WHERE item_id = 3", vector)
    found = filled.library.verify()
    expected = Finding("embedding", "item 3", problem, True, (3,))
    assert expected in found
    done = mended(filled)
    assert done.lost == [
        "1 embeddings: `align index` embeds their items again, then searches find them"
    ]
    assert 3 not in filled.nearest("blue", 9)
    assert indexed_again(filled) == before
    assert filled.ids("2.png") == [3]


def test_bad_embeddings_of_many_texts_are_one_finding(photos, sql):
    photos.index(photos.write("t.txt", "\n".join(f"text {n}" for n in range(9))))
    before = photos.nearest("red", 9, kind="text")
    sql(photos.library, "UPDATE embeddings SET vector = x'00' WHERE item_id > 2")
    (finding,) = photos.library.verify()
    assert (finding.where, finding.ids) == ("items 3, 4, 5, 6, 7 and 2 more", tuple(range(3, 10)))
    mended(photos)
    assert sorted(photos.nearest("red", 9, kind="text")) == [1, 2]
    photos.rescan()
    assert photos.nearest("red", 9, kind="text") == before
    assert photos.library.verify() == []


@pytest.mark.parametrize("table", ["items", "files"])
def test_a_damaged_hash_of_a_picture(filled, sql, table):
    key = "id" if table == "items" else "path"
    value = 2 if table == "items" else b"1.png"
    sql(filled.library, f"UPDATE {table} SET digest = zeroblob(32) WHERE {key} = ?", value)
    assert kinds(filled.library.verify()) == ["record"]
    assert len(mended(filled).lost) == 1
    indexed_again(filled)
    assert len(filled.nearest("green", 9)) == 4
    if table == "files":
        assert filled.ids("1.png") == [2]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM changes WHERE item_id = 9",
        "UPDATE changes SET kind = 'text' WHERE item_id = 9",
        "UPDATE changes SET op = 'delete' WHERE item_id = 9",
        "UPDATE changes SET item_id = 77 WHERE item_id = 9",
        "INSERT INTO changes (item_id, kind, op) VALUES (99, 'image', 'add')",
        "DELETE FROM changes WHERE op = 'delete'",
        "DELETE FROM changes",
    ],
)
def test_a_damaged_log_of_changes(filled, sql, statement):
    filled.paint("5.png", "white")
    (filled.folder / "1.png").unlink()
    filled.rescan()
    # The log holds what came after the older generation, and the newest change before that.
    assert sql(filled.library, "SELECT item_id, op FROM changes WHERE kind = 'image'") == [
        (1, "delete"),
        (9, "add"),
        (2, "delete"),
    ]
    before = answers(filled)
    sql(filled.library, statement)
    found = set(kinds(filled.library.verify()))
    assert found
    assert found <= {"change", "generation", "sequence"}
    assert mended(filled).lost == []
    assert answers(filled) == before
    assert indexed_again(filled) == before


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE generations SET seq = 0 WHERE id = (SELECT max(id) FROM generations)", "older"),
        ("UPDATE generations SET seq = 99 WHERE id = 2", "has items that are deleted: 1"),
        ("UPDATE generations SET kind = 'text' WHERE kind = 'image'", ""),
        ("UPDATE generations SET kind = 'audio'", "belongs to no kind or model that is searched"),
        ("UPDATE generations SET name = 'a' || char(0) WHERE id = 2", "null byte"),
        ("UPDATE generations SET bytes = bytes + 1", "bytes long instead of"),
    ],
)
def test_a_generation_that_does_not_fit_the_database(filled, sql, statement, problem):
    before = answers(filled)
    sql(filled.library, statement)
    found = filled.library.verify()
    assert kinds(found) == ["generation"]
    assert any(problem in f.problem for f in found)
    mended(filled)
    assert answers(filled) == before


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("DELETE FROM files WHERE path = CAST('1.png' AS BLOB)", "items"),
        ("DELETE FROM items WHERE id = 4", "embeddings"),
        ("DELETE FROM items WHERE text = 'a green one'", "embeddings"),
        ("INSERT INTO failures (file_id, reason, at) VALUES (99, 'x', '2026-01-01')", "failures"),
        ("DELETE FROM models", "library"),
        ("DELETE FROM roots", "files"),
    ],
)
def test_rows_that_belong_to_nothing(filled, sql, statement, table):
    before = [tuple(map(len, found)) for found in answers(filled)]
    sql(filled.library, statement)
    assert table in {f.where for f in filled.library.verify() if f.what == "reference"}
    done = mended(filled)
    assert done.lost
    filled.index(filled.folder, filled.folder / "t.txt")
    assert filled.library.verify(read_data=(1, 1)) == []
    assert [tuple(map(len, found)) for found in answers(filled)] == before


def test_files_are_read_by_parts_and_compared(filled):
    rotten = filled.folder / "3.png"
    status = rotten.stat()
    flip(rotten, status.st_size - 5)
    os.utime(rotten, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert filled.library.verify() == []
    found = [f for n in range(1, 5) for f in filled.library.verify(read_data=(n, 4))]
    assert [(f.what, f.where, f.repairable) for f in found] == [("file", str(rotten), False)]
    assert found[0].problem.startswith("its bytes changed although its size and time did not; ")
    assert filled.library.repair(FakeEncoder) == Repair(
        [], []
    )  # of the library, nothing is damaged
    filled.touch(rotten)  # now it is a file that changed, and no damage
    assert filled.library.verify(read_data=(1, 1)) == []
    (filled.folder / "4.png").unlink()
    assert filled.library.verify(read_data=(1, 1)) == []


def test_a_file_that_cannot_be_read(filled, monkeypatch):
    def fail(file, name):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(hashlib, "file_digest", fail)
    (finding,) = {f.problem for f in filled.library.verify(read_data=(1, 1))}
    assert finding.startswith("cannot be read (Input/output error); check the disk")


@pytest.mark.parametrize("part", [(0, 1), (2, 1), (-1, 4)])
def test_a_part_that_is_none(photos, part):
    with pytest.raises(ValueError, match="1 <= N <= T"):
        photos.library.verify(read_data=part)


def test_verifying_beside_a_writer(filled):
    """Also while the generation that it looks at is replaced."""
    found = []

    class Peeking(FakeEncoder):
        def encode_images(self, pictures):
            found.extend(filled.library.verify(read_data=(1, 1)))
            return super().encode_images(pictures)

    filled.paint("new.png", "white")
    filled.index(encoder=Peeking())
    assert found == []


def test_a_generation_replaced_meanwhile_is_no_damage(filled, monkeypatch):
    names(filled)[0].unlink()
    monkeypatch.setattr("indexer.integrity.verify.generation_names", lambda db: set())
    assert filled.library.verify() == []


def test_an_empty_library_and_an_interrupted_reembedding_are_clean(photos, counting):
    assert photos.library.verify(read_data=(1, 1)) == []
    assert photos.library.repair(FakeEncoder) == Repair([], [])
    for n, colour in enumerate(COLOURS):
        photos.paint(f"{n}.png", colour)
    photos.index()
    photos.paint("new.png", "white")
    with pytest.raises(KeyboardInterrupt):
        photos.rescan(encoder=counting("other", "07e4", fail_at=3), reembed=True, batch_size=2)
    assert photos.library.verify(read_data=(1, 1)) == []


def test_an_interrupted_first_run_is_clean(photos, counting):
    for n, colour in enumerate(COLOURS):
        photos.paint(f"{n}.png", colour)
    with pytest.raises(EmbeddingError):
        photos.index(encoder=counting(fail_at=3, error=EmbeddingError), batch_size=2)
    assert photos.library.verify() == []


def test_repair_is_for_one_writer_at_a_time(filled):
    with writing(filled.library.path), pytest.raises(LibraryLocked):
        filled.library.repair(FakeEncoder, wait=0.05)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE models SET dim = 0",
        "UPDATE models SET dim = 'many'",
        "UPDATE roots SET exclude = '{'",
        "UPDATE roots SET mounts = '[1]'",
        "UPDATE files SET path = 'text' WHERE id = 2",
        "UPDATE embeddings SET vector = 'text' WHERE item_id = 2",
        "UPDATE embeddings SET vector = x'00' WHERE item_id = 2",
        "UPDATE items SET taken_at = 5",
        "UPDATE library SET model_id = NULL",
        "UPDATE library SET model_id = 99",
    ],
)
def test_damage_that_makes_a_row_unusable_is_said_in_one_sentence(filled, sql, statement):
    filled.library.close()
    with closing(sqlite3.connect(filled.library.path / "library.db")) as db, db:
        db.execute("DELETE FROM generations")
        db.execute(statement)
    query = FakeEncoder().encode_texts(["red"])[0]
    for act in (
        lambda library: library.search(query, 9) and library.model,
        lambda library: library.index([], FakeEncoder),
    ):
        with Library.open(filled.folder) as library, suppress(LibraryDamaged):
            act(library)
    with Library.open(filled.folder) as library:
        assert library.verify() != []


def test_a_failure_with_a_damaged_time(filled, sql):
    filled.write("bad.png", "bad")
    filled.rescan()
    sql(filled.library, "UPDATE failures SET at = 5")
    with pytest.raises(LibraryDamaged, match="run `align repair`"):
        filled.library.failures()


def test_the_lost_model_of_a_library_is_not_replaced_by_another(filled, sql):
    sql(filled.library, "UPDATE library SET model_id = NULL")
    with pytest.raises(LibraryDamaged, match="run `align repair`"):
        filled.library.index([], partial(FakeEncoder, "other", "0123"))
    with pytest.raises(LibraryDamaged, match="run `align repair`"):
        filled.nearest("red", 9)


def test_the_last_text_of_a_file_comes_back(filled, sql):
    """Nothing tells how many texts a file held, apart from its embedding."""
    before = answers(filled)
    sql(filled.library, "PRAGMA foreign_keys = OFF")
    sql(filled.library, "DELETE FROM items WHERE text = 'white'")
    mended(filled)
    filled.rescan()
    assert [list(map(len, found)) for found in answers(filled)] == [
        list(map(len, found)) for found in before
    ]


def test_files_of_a_lost_folder_are_named(filled, sql):
    filled.library.annotate(filled.write("said.csv", "path,n\n1.png,5\n"))
    sql(filled.library, "DELETE FROM roots")
    (lost,) = mended(filled).lost
    assert "the watched folder of 1.png and 4 more: give that folder to `align index`" in lost
    filled.index(filled.folder)
    (item,) = filled.library.find(filled.folder / "1.png")
    assert dict(item.fields) == {"n": 5.0}
