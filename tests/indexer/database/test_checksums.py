"""Every value of every row: `verify` finds a change on disk, `repair` replaces the row."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from encoder.fake import FakeEncoder
from indexer import Finding, Imported, Library, LibraryDamaged, Repair
from indexer.database.checksums import checked_columns, row_crc32
from indexer.database.schema import metadata
from indexer.integrity.row_repair import REMEDIES
from indexer.records import KINDS

OTHERS: dict[type, list[Any]] = {
    int: [0, 77, -(2**62), None, "x", b"x", 0.5],
    float: [-0.0, 1e300, None, "x", b"x"],
    str: ["", "y", None, b"y"],
    bytes: [b"", b"\xff", None, "y"],
    type(None): [0, 1, 0.5, "", "a", b"", b"a"],
}
"""What values of a type may turn into, though a column keeps only some of it."""


@pytest.fixture
def full(photos, settled, sql):
    """A library with a row in every table but that of imports."""
    for n, colour in enumerate(["red", "green", "blue"]):
        photos.paint(f"{n}.png", colour)
    photos.write("0.json", "{}")
    photos.write("2.json", '{"shade": "dark"}')
    photos.write("bad.png", "bad")
    photos.write("film.mov", "")
    photos.index(photos.folder, photos.write("t.txt", "red\ngreen"), exclude=["*.tmp"])
    photos.library.annotate(photos.write("f.csv", "path,rank,town\n1.png,3,Bern\n2.png,2.5,Ulm\n"))
    (photos.folder / "0.png").unlink()
    photos.rescan()
    sql(photos.library, "INSERT INTO phrases (model_id, vectors) VALUES (1, zeroblob(80))")
    assert photos.library.verify(read_data=(1, 1)) == []
    return photos


def rows(library, table):
    """By rowid, without the checksum."""
    names = ", ".join(checked_columns(metadata.tables[table]))
    with closing(sqlite3.connect(library.path / "library.db")) as db:
        db.text_factory = lambda data: data.decode(errors="surrogateescape")
        return {row[0]: row[1:] for row in db.execute(f"SELECT rowid, {names} FROM {table}")}


def everything(library):
    return {table: rows(library, table) for table in metadata.tables}


def columns(table):
    """With its number, without the checksum; that the library's id is 1 is a rule of its table."""
    names = checked_columns(metadata.tables[table])
    return [(at, name) for at, name in enumerate(names) if (table, name) != ("library", "id")]


def strike(photos, damage, table, column, value):
    """Damage the newest row; the row's number then, or None where SQLite does not allow it."""
    before = rows(photos.library, table)
    try:
        damage(photos.library, table, max(before), column, value)
    except sqlite3.IntegrityError:
        return None
    after = rows(photos.library, table)
    if repr(after) == repr(before):
        return None
    return max(after.keys() - before.keys() or before.keys())


def damaged(table, rowid):
    problem = f"row {rowid} is not what was written; repair {REMEDIES[table].promise}"
    return Finding("row", table, problem, True, (rowid,))


@pytest.mark.parametrize("table", [t for t in metadata.tables if t != "imports"])
def test_another_value_anywhere_is_found(full, damage, table):
    before = everything(full.library)
    for at, column in columns(table):
        old = before[table][max(before[table])][at]
        tried = 0
        for other in OTHERS[type(old)]:
            rowid = strike(full, damage, table, column, other)
            if rowid is not None:
                tried += 1
                assert full.library.verify() == [damaged(table, rowid)], (column, other)
                damage(full.library, table, rowid, column, old)
        assert tried > 0, column
    assert everything(full.library) == before
    assert full.library.verify() == []


def test_a_damaged_import_is_never_scanned(photos, damage):
    place = Path("/imported/a.jpg")
    photos.library.import_embeddings([Imported(place, np.ones(4))], FakeEncoder)
    for value in ("never", "again"):
        damage(photos.library, "imports", 1, "at", value)
        assert [finding.where for finding in photos.library.verify()] == ["imports"]
        assert photos.library.repair(FakeEncoder).lost == []
        assert photos.library.verify() == []
        assert photos.library.index([], FakeEncoder).deleted == 0
        assert len(photos.library.find(place)) == 1


def contents(photos, library=None):
    """What a library finds, whatever its ids are: equal scores come in the order of the paths."""
    library = library or photos.library
    found = []
    for colour in ("red", "blue"):
        for kind in KINDS:
            (query,) = FakeEncoder().encode_texts([colour])
            near = library.search(query, 9, kind=kind)
            items = zip(library.items(near.ids.tolist()), near.scores.tolist(), strict=True)
            found += sorted(
                (kind, -score, i.path, i.text, i.width, i.digest, i.position) for i, score in items
            )
    return found


@pytest.mark.parametrize("table", [t for t in metadata.tables if t not in ("roots", "imports")])
def test_damaged_rows_are_replaced(full, damage, table, sql):
    before = contents(full)
    for at, column in columns(table):
        old = rows(full.library, table)
        value = old[max(old)][at]
        others = OTHERS[type(value)]
        if not any(strike(full, damage, table, column, o) is not None for o in others):
            continue
        done = full.library.repair(FakeEncoder)
        assert done.repaired[0].what == "row"
        assert full.library.verify() == [], column
        with Library.open(full.folder) as fresh:
            fresh.index([], FakeEncoder)
            assert fresh.verify() == []
        assert contents(full) == before, column
        if table == "phrases":
            sql(
                full.library, "INSERT OR REPLACE INTO phrases (model_id, vectors) VALUES (1, x'00')"
            )
        full.library.annotate(full.folder / "f.csv")


@pytest.mark.parametrize(
    ("column", "value"), [("path", b"gone"), ("path", "text"), ("exclude", "[")]
)
def test_a_damaged_root_loses_no_file(full, damage, column, value):
    before = everything(full.library)
    strike(full, damage, "roots", column, value)
    (lost,) = full.library.repair(FakeEncoder).lost
    assert lost.startswith("some options of the watched folder ")
    assert full.library.verify() == []
    full.rescan()
    if column == "path":
        (root,) = full.library.roots()
        assert root.state == "missing"
        full.library.move_root(root.path, full.folder)
    assert full.library.verify() == []
    assert everything(full.library)["items"] == before["items"]


def test_a_wrong_checksum_is_made_right(full):
    before = contents(full)
    with closing(sqlite3.connect(full.library.path / "library.db")) as db, db:
        db.execute("UPDATE files SET checksum = (checksum | 8) - (checksum & 8)")
    (found,) = full.library.verify()
    assert found.problem.startswith("rows 2, 3, 4, 5 are not what was written; ")
    (lost,) = full.library.repair(FakeEncoder).lost
    assert lost == "the state of 4 files: the next `align index` reads them again"
    assert full.library.verify() == []
    full.rescan()
    assert full.library.verify() == []
    assert contents(full) == before


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1,), (1.0,)),
        (("a",), (b"a",)),
        ((None,), (0,)),
        (("a", "b"), ("ab", "")),
        ((0.0,), (-0.0,)),
    ],
)
def test_types_and_places_are_told_apart(one, other):
    assert row_crc32(*one) != row_crc32(*other)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE sqlite_sequence SET seq = 2 WHERE name = 'items'", ["items"]),
        ("UPDATE sqlite_sequence SET seq = 'x' WHERE name = 'changes'", ["changes"]),
        ("DELETE FROM sqlite_sequence WHERE name = 'generations'", ["generations"]),
        ("UPDATE sqlite_sequence SET name = 'ipems' WHERE name = 'items'", ["ipems", "items"]),
        (
            "UPDATE sqlite_sequence SET name = CAST(x'ff74' AS TEXT) WHERE name = 'items'",
            ["\udcfft", "items"],
        ),
    ],
)
def test_numbers_are_not_given_twice(full, sql, statement, found):
    photo = full.paint("last.png", "white")
    full.rescan()
    (last,) = full.ids("last.png")
    photo.unlink()
    full.rescan()
    sql(full.library, statement)
    seen = full.library.verify()
    assert [(f.what, f.repairable) for f in seen] == [("sequence", True)] * len(found)
    assert sorted(f.where for f in seen) == sorted(found)
    assert full.library.repair(FakeEncoder) == Repair(seen, [])
    assert full.library.verify() == []
    full.paint("next.png", "purple")
    full.rescan()
    assert full.ids("next.png") == [last + 1]


@pytest.mark.parametrize("number", [" 001", b"0001"])
def test_a_damaged_number_of_the_schema(full, sql, number):
    sql(full.library, "UPDATE alembic_version SET version_num = ?", number)
    (found,) = full.library.verify()
    assert (found.what, found.repairable) == ("database", False)


def places(path, content):
    """Where in a file `content` begins."""
    data = path.read_bytes()
    return [match.start() for match in re.finditer(re.escape(content), data)]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT path FROM files WHERE path = CAST('1.png' AS BLOB)",
        "SELECT digest FROM items WHERE kind = 'image' LIMIT 1",
        "SELECT fingerprint FROM models",
        "SELECT name FROM fields WHERE name = 'shade'",
        "SELECT name FROM annotations WHERE name = 'rank' LIMIT 1",
        "SELECT name FROM generations ORDER BY id DESC LIMIT 1",
    ],
)
@pytest.mark.parametrize("bit", [0, 1, 7])
def test_a_bit_flipped_on_disk_in_a_table_and_in_its_index(full, sql, statement, bit):
    """Each copy of a value that is indexed, one at a time; 1.png becomes 0.png, which is gone, and
    a text none."""
    before, answered = everything(full.library), contents(full)
    ((value,),) = sql(full.library, statement)
    content = value if isinstance(value, bytes) else value.encode()
    full.library.close()
    path = full.library.path / "library.db"
    whole = path.read_bytes()
    at = places(path, content)
    seen: set[str] = set()
    for place in at:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << bit
        path.write_bytes(flipped)
        with Library.open(full.folder) as library:
            found = {finding.what for finding in library.verify()}
            assert found <= {"row", "index"}
            assert ("row" in found) == (everything(library) != before)
            seen |= found
            lost = library.repair(FakeEncoder).lost
            assert library.verify() == []
            if "row" not in found:
                assert lost == []
                derived = dict.fromkeys(["generations", "changes"])  # the new one prunes the log
                assert {**everything(library), **derived} == {**before, **derived}
            library.index([], FakeEncoder)
            assert library.verify() == []
            assert contents(full, library) == answered
        for name in ("library.db-wal", "library.db-shm"):
            path.with_name(name).unlink(missing_ok=True)
    assert seen == {"row", "index"}


def test_an_index_while_two_rows_seem_to_be_the_same(full, sql):
    """Two files of one path: the damaged row waits for its file, which the next run finds."""
    full.paint("3.png", "yellow")
    full.rescan()
    before, ids = contents(full), full.ids("1.png")
    full.library.close()
    path = full.library.path / "library.db"
    data = path.read_bytes()
    page = int.from_bytes(data[16:18])
    with closing(sqlite3.connect(path)) as db:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'files'"
        start = (db.execute(query).fetchone()[0] - 1) * page
    place = data.index(b"1.png", start, start + page)
    path.write_bytes(data[:place] + b"3" + data[place + 1 :])
    with Library.open(full.folder) as library:
        assert {finding.what for finding in library.verify()} == {"row", "index"}
        assert library.repair(FakeEncoder).lost == [
            "the state of 1 files: the next `align index` reads them again"
        ]
        assert library.verify() == []
        library.index([], FakeEncoder)
        assert library.verify() == []
        assert contents(full, library) == before
        assert [item.id for item in library.find(full.folder / "1.png")] == ids


OF_ANOTHER = "CAST((SELECT path FROM files WHERE path = x'322e706e67') AS TEXT)"
"""2.png as a text, where paths are BLOBs."""


@pytest.mark.parametrize(
    "path", ["x'2f6574632f706173737764'", "x'2e2e2f78'", "x'610062'", "x''", "5", OF_ANOTHER]
)
def test_a_path_that_no_file_can_have_is_replaced(full, path):
    """/etc/passwd, ../x, a NUL, nothing, a number, and the path of another file."""
    before, ids = contents(full), full.ids("1.png")
    with closing(sqlite3.connect(full.library.path / "library.db")) as db, db:
        db.execute(f"UPDATE files SET path = {path} WHERE path = x'312e706e67'")
    assert {finding.what for finding in full.library.verify()} == {"row"}
    full.library.repair(FakeEncoder)
    assert full.library.verify() == []
    full.rescan()
    assert full.library.verify() == []
    assert contents(full) == before
    assert full.ids("1.png") == ids


@pytest.mark.parametrize("path", ["x'610062'", "x''", "5", "x'2f00'"])
def test_a_root_whose_path_no_folder_can_have_waits_for_its_folder(full, path):
    before = everything(full.library)["items"]
    with closing(sqlite3.connect(full.library.path / "library.db")) as db:
        db.execute(f"UPDATE roots SET path = {path}")
        db.commit()
    full.library.repair(FakeEncoder)
    assert full.library.verify() == []
    (root,) = full.library.roots()
    assert (root.path, root.state) == (full.folder / ".damaged-1", "missing")
    full.rescan()
    full.library.move_root(root.path, full.folder)
    full.rescan()
    assert everything(full.library)["items"] == before


def test_the_lost_row_of_the_library_is_made_again(full):
    before = contents(full)
    with closing(sqlite3.connect(full.library.path / "library.db")) as db, db:
        db.execute("DELETE FROM library")
    (finding,) = full.library.verify()
    assert finding.problem.startswith("its only row is lost; repair sets the options")
    assert full.library.repair(FakeEncoder).lost[0].startswith("the options of the index: ")
    assert full.library.verify() == []
    full.rescan()
    assert contents(full) == before


@pytest.mark.parametrize("globs", ['["*"]', '["*.png"]', "[]"])
def test_what_a_damaged_root_leaves_out_forgets_nothing(full, damage, globs):
    before = {item.path for item in full.library.items(full.library.ids("image"))}
    damage(full.library, "roots", 1, "exclude", globs)
    with pytest.raises(LibraryDamaged, match="not what was written: run `align repair`"):
        full.library.index([], FakeEncoder)
    full.library.repair(FakeEncoder)
    full.library.index([], FakeEncoder)
    assert {item.path for item in full.library.items(full.library.ids("image"))} == before


def test_a_database_that_lost_everything_is_no_new_library(full):
    full.library.close()
    (full.library.path / "library.db").write_bytes(b"")
    with pytest.raises(LibraryDamaged, match="has lost all that was in it; restore it"):
        Library.open(full.folder)
    assert list((full.library.path / "generations").iterdir())


def test_a_folder_in_the_place_of_an_index_is_removed(full):
    (path, *_) = (full.library.path / "generations").iterdir()
    path.unlink()
    (path / "below").mkdir(parents=True)
    assert "generation" in {finding.what for finding in full.library.verify()}
    full.library.repair(FakeEncoder)
    assert full.library.verify() == []
