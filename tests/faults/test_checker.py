"""The checks for losses and wrong answers find both."""

import sqlite3
from contextlib import closing

import pytest

from indexer.database import checksums
from tests.faults.checker import Promise, check, contents, look
from tests.faults.operations import OPERATIONS, prepared
from tests.faults.tally import Tally, assert_sound, spread, table


@pytest.fixture
def row():
    return Tally("none", "none")


@pytest.fixture
def promise(tmp_path):
    before = prepared("rebuild", tmp_path / "photos")
    after = contents(tmp_path / "photos")
    return Promise(before, after, list(after))


def test_a_library_that_was_not_struck_is_sound(tmp_path, promise, row):
    assert len(promise.before) == 8
    folder = tmp_path / "photos"
    check(folder, promise, OPERATIONS["rebuild"].commands(folder), row, "here")
    assert_sound([row])


@pytest.mark.parametrize(
    ("statement", "lost", "wrong"),
    [
        ("DELETE FROM items WHERE id = 2", 2, 0),  # searches leave its embedding out
        ("DELETE FROM embeddings WHERE item_id = 2", 2, 1),
        ("UPDATE items SET id = 99 WHERE id = 2", 2, 1),
        ("UPDATE embeddings SET vector = x'0000000000000038' WHERE item_id = 2", 2, 1),
        ("INSERT INTO changes (item_id, kind, op) VALUES (2, 'image', 'delete')", 0, 3),
    ],
)
def test_damage_is_found(tmp_path, promise, row, statement, lost, wrong):
    folder = tmp_path / "photos"
    with closing(sqlite3.connect(folder / ".align/library.db")) as db, db:
        checksums.maintain(db)
        db.execute(statement)
    look(folder, promise, row, "here")
    assert row.numbers[3:] == [lost, wrong, 0], row.problems


def test_litter_and_a_missing_item_are_found_after_the_next_run(tmp_path, promise, row):
    folder = tmp_path / "photos"
    (folder / ".align/x.tmp").write_bytes(b"")
    (folder / "3.png").unlink()
    check(folder, promise, [["index", "--library", str(folder)]], row, "here")
    assert row.numbers[3:] == [0, 3, 0]
    holds, missing, litter = row.wrong
    assert holds.startswith("here: run again: it holds [('0.png', 0), ")
    assert missing.startswith("here: run again: item 4 was ")
    assert litter.endswith(".align/x.tmp was left behind")


def test_spread():
    assert spread(range(100), 4) == [12, 37, 62, 87]
    assert spread([7], 2) == [7, 7]


def test_the_table_adds_up_rows_of_one_name():
    rows = [Tally("a", "b"), Tally("a", "b"), Tally("long", "c")]
    rows[0].count(-9)
    rows[1].count(1)
    rows[1].lost.append("x")
    assert table(rows) == [
        "fault  operation  points  died  ended  lost  wrong  uncaught",
        "a      b               2     1      1     1      0         0",
        "long   c               0     0      0     0      0         0",
    ]
