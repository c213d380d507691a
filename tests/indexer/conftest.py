"""A folder of small pictures, and an encoder that counts."""

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from encoder.fake import COLOURS, FakeEncoder
from encoder.pictures.decoders import Decoders
from indexer import IndexReport, Library
from indexer.ann import generations
from indexer.ann.tuning import Queries
from indexer.content import Content
from indexer.database import checksums, connection, embeddings, journal
from indexer.folders import watching
from indexer.records import Model


class Counting(FakeEncoder):
    """Remembers the sizes of its batches; batch number `fail_at` raises `error`."""

    def __init__(self, name="fake", fingerprint="fa4e", fail_at=0, error=KeyboardInterrupt):
        super().__init__(name, fingerprint)
        self.batches = []
        self.fail_at = fail_at
        self.error = error

    def _embed(self, colours):
        if colours:
            self.batches.append(len(colours))
        if len(self.batches) == self.fail_at:
            raise self.error
        return super()._embed(colours)


class Vectors:
    """A library filled with vectors instead of files."""

    def __init__(self, folder, dim):
        self.library = Library.create(folder)
        self.live = {}
        self._engine = connection.connect(self.library.path / "library.db", writable=True)
        self._count = 0
        with self._engine.begin() as db:
            self._model = journal.add_model(db, Model("m", "f", dim))
            journal.use_model(db, self._model)
            watching.watch(db, os.fsencode(folder), recursive=True)

    def add(self, rows, kind="image"):
        with self._engine.begin() as db:
            for row in embeddings.encode(np.asarray(rows, np.float32)):
                self._count += 1
                file_id = journal.put_file(db, 1, b"%d" % self._count, 1, 1, b"")
                id = journal.add_item(db, file_id, 0, Content(kind, b"%d" % self._count))
                journal.add_embeddings(db, self._model, [(id, row)])
                journal.log_added(db, [(id, kind)])
                self.live[id] = kind, np.frombuffer(row, "<f2").astype(np.float64)

    def delete(self, ids):
        with self._engine.begin() as db:
            journal.delete_items(db, [id for id in ids if id in self.live])
        for id in ids:
            self.live.pop(id, None)

    def publish(self, queries=None, *, force=None, **wanted):
        """New generations; those with lists are measured with `queries`, (q, dim), and made also if
        little has changed unless `force` is False. `wanted` are arguments of
        `journal.want_layout`."""
        with self._engine.begin() as db:
            journal.want_layout(db, wanted.get("layout"), wanted.get("target_recall"))
        for kind in ("image", "text"):
            make_queries = partial(Queries, queries, "queries of a test")
            generations.publish(
                self._engine,
                self.library.path,
                kind,
                make_queries,
                force=queries is not None if force is None else force,
            )

    def expected(self, query, k, kind="image", exclude=frozenset()):
        chosen = [i for i, (of, _) in self.live.items() if of == kind and i not in exclude]
        scores = {i: np.float32(np.dot(self.live[i][1], query.astype(np.float64))) for i in chosen}
        best = sorted(chosen, key=lambda i: (-scores[i], i))[:k]
        return best, [scores[i] for i in best]

    def close(self):
        self._engine.dispose()
        self.library.close()


class Photos:
    """A folder with a library in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.library = Library.create(folder)

    def paint(self, name, colour, size=(8, 8)) -> Path:
        """A PNG of one colour; a name may be bytes that are not text."""
        path = Path(os.fsdecode(os.path.join(os.fsencode(self.folder), os.fsencode(name))))
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            Image.new("RGB", size, COLOURS.get(colour, colour)).save(file, "PNG")
        return path

    def write(self, name, text) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def touch(self, path, seconds=5) -> None:
        """Change the modification time by more than the clock of any file system needs."""
        status = path.stat()
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + seconds * 10**9))

    def index(self, *sources, encoder=None, **options) -> dict[str, int]:
        """Index the sources, or the whole folder without any; the counts that are not 0."""
        encoder = encoder or FakeEncoder()
        report = self.library.index(list(sources) or [self.folder], lambda: encoder, **options)
        return counted(report)

    def rescan(self, encoder=None, **options) -> dict[str, int]:
        encoder = encoder or FakeEncoder()
        return counted(self.library.index([], lambda: encoder, **options))

    def outcome(self, *sources, **options) -> tuple[tuple[str, ...], int, int]:
        """What is unavailable, and the numbers of added and deleted items, of a run over the
        sources, or over all roots without any."""
        report = self.library.index(list(sources), FakeEncoder, **options)
        return report.unavailable, report.added, report.deleted

    def ids(self, *names) -> list[int]:
        return [item.id for name in names for item in self.library.find(self.folder / name)]

    def nearest(self, words, k=1, **options) -> list[int]:
        vector = FakeEncoder().encode_texts([words])[0]
        return self.library.search(vector, k, **options).ids.tolist()


def counted(report: IndexReport) -> dict[str, int]:
    of_library = {"seconds", "failing", "passing", "passed_over"}
    numbers = {f.name: getattr(report, f.name) for f in fields(report) if f.name not in of_library}
    return {name: number for name, number in numbers.items() if number}


@pytest.fixture(scope="session")
def _decoders():
    with Decoders() as made:
        yield made


@pytest.fixture(autouse=True)
def _decoders_stay(_decoders, monkeypatch):
    """All runs share their child processes, or hundreds of small runs would each start new ones."""

    class Kept:
        def decode(self, data, prepare):
            return _decoders.decode(data, prepare)

        def close(self):
            pass

    monkeypatch.setattr("indexer.indexing.run.Decoders", Kept)


@pytest.fixture
def photos(tmp_path):
    made = Photos(tmp_path / "photos")
    yield made
    made.library.close()


@pytest.fixture
def make_photos(tmp_path):
    made = []

    def make(name):
        made.append(Photos(tmp_path / name))
        return made[-1]

    yield make
    for each in made:
        each.library.close()


@pytest.fixture
def counting():
    return Counting


@pytest.fixture
def must_not_load():
    def load():
        raise AssertionError("the encoder was asked for although nothing had to be embedded")

    return load


@pytest.fixture
def clock(monkeypatch):
    """The clock of the runs; it is `clock.seconds` ahead of the clock of the files."""

    class Clock:
        seconds = 0.0

    monkeypatch.setattr(
        "indexer.indexing.reading.time_ns", lambda: time.time_ns() + int(Clock.seconds * 10**9)
    )
    return Clock


@pytest.fixture
def settled(clock):
    """Runs take place long after the last change of any file."""
    clock.seconds = 1000


@pytest.fixture
def sql():
    """Read or change the database without the library."""

    def run(library, statement, *parameters):
        with closing(sqlite3.connect(library.path / "library.db")) as db, db:
            checksums.maintain(db)
            return db.execute(statement, parameters).fetchall()

    return run


@pytest.fixture
def damage():
    """Change one value of one row, as a failing disk does: the checksum stays what it was."""

    def strike(library, table, rowid, column, value):
        with closing(sqlite3.connect(library.path / "library.db")) as db, db:
            db.execute("PRAGMA ignore_check_constraints = ON")
            row = f"FROM {table} WHERE rowid = ?"
            (old,) = db.execute(f"SELECT {column} {row}", (rowid,)).fetchone()
            db.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, rowid))
            return old

    return strike


@pytest.fixture
def unit_rows():
    def make(count, dim=4, seed=0):
        rows = np.random.default_rng(seed).normal(size=(count, dim))
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    return make


@pytest.fixture
def make_vectors(tmp_path):
    made: list[Vectors] = []

    def make(dim):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Vectors(folder, dim))
        return made[-1]

    yield make
    for each in made:
        each.close()


class RecordedProgress(list):
    """A progress that records the calls."""

    def start(self, total, what):
        self.append((total, what))

    def advance(self, steps):
        self.append(steps)

    def finish(self):
        self.append("done")


@pytest.fixture
def progress():
    return RecordedProgress()


@pytest.fixture
def clustered(unit_rows):
    """2,000 rows of 16 dimensions around 40 directions, as suits an index with lists."""
    rng = np.random.default_rng(5)
    rows = np.repeat(unit_rows(40, 16, seed=1), 50, axis=0)
    rows = rows + 0.2 * rng.normal(size=rows.shape)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def queries(unit_rows):
    """60 queries for `clustered`."""
    return unit_rows(60, 16, seed=2)
