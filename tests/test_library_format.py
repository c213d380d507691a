"""docs/library-format.md names every table and column, and its example reads a library."""

import json
import os
import re
import sqlite3
import subprocess
import sys
import zlib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from encoder.fake import COLOURS, FakeEncoder
from indexer import Library
from indexer.database.schema import metadata
from indexer.recall_curve import Point, Probing, RecallCurve

DOCUMENT = (Path(__file__).parent.parent / "docs/library-format.md").read_text()

SHADES = 220


def paint(folder, name, colour):
    with open(os.path.join(os.fsencode(folder), name), "wb") as file:
        Image.new("RGB", (4, 4), COLOURS.get(colour, colour)).save(file, "PNG")


def make(folder, shades):
    """A library with a relative and an absolute root: pictures, one of them with a name that is not
    UTF-8, copies, one newer than the index, one deleted; and a text."""
    home, other = folder / "photos", folder / "other"
    for root in (home, other, home / "sub"):
        root.mkdir()
    for number in range(shades):
        paint(home / "sub", b"%03d.png" % number, (number, 255 - number, 9))
    paint(home, b"caf\xe9.png", "red")
    paint(home, b"copy.png", "red")
    paint(other, b"gone.png", "yellow")
    paint(other, b"white.png", "white")
    (home / "c.txt").write_text("red")
    made = Library.create(home)
    made.index([home, other, home / "c.txt"], FakeEncoder)
    (other / "gone.png").unlink()
    paint(other, b"new.png", "purple")
    made.index([], FakeEncoder)
    return made


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A library with so many pictures that the latest changes do not need a new index."""
    with make(tmp_path_factory.mktemp("big"), SHADES) as made:
        (head,) = (g for g in made.status().generations if g.kind == "image")
        assert (head.delta, head.deleted) == (1, 1)
        yield made


@pytest.fixture
def small(tmp_path):
    with make(tmp_path, 3) as made:
        yield made


def sections():
    """The sections about tables: their text by the table's name."""
    parts = re.split(r"^### `(\w+)`$", DOCUMENT, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def described(section):
    """The columns that a section describes, and the one that every table has."""
    cells = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", section, re.MULTILINE)
    return [*(name for cell in cells for name in re.findall(r"\w+", cell)), "checksum"]


def test_the_tables_and_columns_described_are_those_of_the_schema():
    assert sorted(sections()) == sorted(metadata.tables)
    for name, table in metadata.tables.items():
        assert described(sections()[name].split("\n## ")[0]) == list(table.columns.keys()), name


def test_types_are_those_of_the_schema():
    said = {
        "integer": "INTEGER",
        "boolean": "BOOLEAN",
        "real": "FLOAT",
        "text": "TEXT",
        "BLOB": "BLOB",
    }
    for name, table in metadata.tables.items():
        rows = re.findall(r"^\| (`.+?`) \| (\w+)( or NULL)? \|", sections()[name], re.MULTILINE)
        for cell, kind, null in rows:
            for column in re.findall(r"\w+", cell):
                kept = table.columns[column]
                assert (said[kind], bool(null)) == (str(kept.type), kept.nullable), column


def test_what_the_database_holds_is_described(library):
    with closing(sqlite3.connect(library.path / "library.db")) as db:
        tables = {
            name: [column for _, column, *_ in db.execute(f"PRAGMA table_xinfo({name})")]
            for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if not name.startswith("sqlite_")
        }
        version = db.execute("SELECT version_num FROM alembic_version").fetchone()
    assert tables.pop("alembic_version") == ["version_num"]
    assert f"`{version[0]}`" in DOCUMENT
    assert {name: described(text.split("\n## ")[0]) for name, text in sections().items()} == tables
    (named,) = re.findall(r"\n    \.align/\n((?:      .+\n)+)", DOCUMENT)
    for path in library.path.iterdir():
        assert path.name in named.replace(", -shm", ", library.db-shm"), path


def documented_checksum(values):
    data = b""
    for value in values:
        match value:
            case None:
                data += b"n"
            case int():
                data += b"i" + value.to_bytes(8, "little", signed=True)
            case float():
                data += b"r" + np.array(value, "<f8").tobytes()
            case str():
                data += b"t" + len(value.encode()).to_bytes(8, "little") + value.encode()
            case bytes():
                data += b"b" + len(value).to_bytes(8, "little") + value
    return zlib.crc32(data)


def test_checksums_are_computed_as_described(small, tmp_path):
    """Any program can read them, copy the library and check the copy."""
    (tmp_path / "fields.csv").write_text("path,rank,town\nphotos/copy.png,3,Köln\n")
    small.annotate(tmp_path / "fields.csv")
    (tmp_path / "photos/bad.png").write_bytes(b"bad")
    (tmp_path / "photos/film.mov").touch()
    (tmp_path / "photos/copy.json").write_text('{"stars": 2.5}')
    small.index([], FakeEncoder)
    with (
        closing(sqlite3.connect(small.path / "library.db")) as db,
        closing(sqlite3.connect(tmp_path / "copy.db")) as copy,
    ):
        db.backup(copy)
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        types = set()
        for name in metadata.tables.keys() - {"phrases", "imports"}:
            rows = copy.execute(f"SELECT * FROM {name}").fetchall()
            assert rows, name
            for *values, checksum in rows:
                assert checksum == documented_checksum(values), name
                types |= {type(value) for value in values}
    assert types == {type(None), int, float, str, bytes}


def run_example(folder, library, *arguments):
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    imported = set(re.findall(r"^(?:import|from) (\w+)", example, re.MULTILINE))
    assert imported - set(sys.stdlib_module_names) == {"numpy"}
    file = folder / "example.py"
    file.write_text(example)
    home = library.path.parent
    return subprocess.run(
        [sys.executable, "-W", "error", file, home, *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": "", "PYTHONIOENCODING": "utf-8:surrogateescape"},
        capture_output=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("k", [1, 5, 1000])
@pytest.mark.parametrize("name", [b"photos/caf\xe9.png", b"other/new.png", b"photos/sub/099.png"])
def test_the_example_answers_as_a_search_does(library, tmp_path, name, k):
    path = Path(os.fsdecode(os.path.join(os.fsencode(library.path.parents[1]), name)))
    (item,) = library.find(path)
    done = run_example(tmp_path, library, item.id, k)
    assert done.stderr == b""
    rows = [line.split(b" ", 2) for line in done.stdout.splitlines()]

    query = FakeEncoder().encode_images([Image.open(path)])[0].astype("<f2").astype(np.float32)
    found = library.search(query, k)
    assert [int(id) for _, id, _ in rows] == found.ids.tolist()
    assert [float(score) for score, _, _ in rows] == pytest.approx(found.scores, abs=1e-6)
    shown = [os.fsencode(item.path) for item in library.items(found.ids)]
    assert [path for _, _, path in rows] == shown
    assert len(rows) == min(k, SHADES + 4)


def test_the_example_follows_a_library_that_was_moved(small, tmp_path):
    small.close()
    small.path.parent.rename(tmp_path / "elsewhere")
    with Library.open(tmp_path / "elsewhere") as moved:
        path = tmp_path / "elsewhere/sub/002.png"
        done = run_example(tmp_path, moved, moved.find(path)[0].id, 9)
        assert os.fsencode(path) in [row.split(b" ", 2)[2] for row in done.stdout.splitlines()]


def test_the_example_reads_while_another_process_writes(small, tmp_path):
    """The last commits are only in the write-ahead log, and the writer holds the lock."""
    (item,) = small.find(tmp_path / "other/white.png")

    class Asking(FakeEncoder):
        answers: tuple[subprocess.CompletedProcess[bytes], ...] = ()

        def encode_images(self, pictures):
            Asking.answers += (run_example(tmp_path, small, item.id, 1000),)
            return super().encode_images(pictures)

    home = small.path.parent
    for number in range(3):
        Image.new("RGB", (4, 4), (number, 7, 7)).save(home / f"late{number}.png")
    small.index([], Asking, batch_size=1)
    counts = [len(done.stdout.splitlines()) for done in Asking.answers]
    assert counts == [7, 8, 9]


def test_the_example_refuses_another_schema(small, tmp_path):
    with closing(sqlite3.connect(small.path / "library.db")) as db, db:
        db.execute("UPDATE alembic_version SET version_num = '0999'")
    done = run_example(tmp_path, small, 1, 1)
    assert (done.returncode, done.stderr) == (1, b"schema 0999 is not known\n")


def test_the_keys_of_a_curve_are_described():
    point = Point(1, 1.0, 0.5, 1.0)
    curve = RecallCurve("texts", 1, (point,), (), Probing(1, 0.1, 1, 1, 1), (1, 1))
    text = sections()["generations"].split("The keys of `curve`:")[1].split("\n## ")[0]
    keys = re.findall(r"^- (`.+?`):", text, re.MULTILINE)
    assert sorted(", ".join(keys).split(", ")) == sorted(
        f"`{key}`" for key in json.loads(curve.to_json())
    )
