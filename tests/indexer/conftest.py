"""A folder of small pictures, and an encoder that counts."""

import os
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from encoder.decoding import Decoders
from encoder.fake import COLOURS, FakeEncoder
from indexer import IndexReport, Library


class Counting(FakeEncoder):
    """Remembers how much it was asked for; `fail_at` makes the n-th batch raise."""

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


class Photos:
    """A folder with a library in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.library = Library.create(folder)

    def paint(self, name, colour, size=(8, 8)) -> Path:
        """A PNG of one colour; names that are bytes are taken as they are."""
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
        """Another modification time, far enough for any file system."""
        status = path.stat()
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + seconds * 10**9))

    def index(self, *sources, encoder=None, **options) -> dict[str, int]:
        """Index, the whole folder if nothing is named; the report's numbers that are not 0."""
        encoder = encoder or FakeEncoder()
        report = self.library.index(list(sources) or [self.folder], lambda: encoder, **options)
        return counted(report)

    def rescan(self, encoder=None, **options) -> dict[str, int]:
        encoder = encoder or FakeEncoder()
        return counted(self.library.index([], lambda: encoder, **options))

    def ids(self, *names) -> list[int]:
        return [item.id for name in names for item in self.library.find(self.folder / name)]

    def nearest(self, words, k=1, **options) -> list[int]:
        vector = FakeEncoder().encode_texts([words])[0]
        return self.library.search(vector, k, **options).ids.tolist()


def counted(report: IndexReport) -> dict[str, int]:
    numbers = {f.name: getattr(report, f.name) for f in fields(report) if f.name != "seconds"}
    return {name: number for name, number in numbers.items() if number}


@pytest.fixture(scope="session")
def _decoders():
    with Decoders() as made:
        yield made


@pytest.fixture(autouse=True)
def _decoders_stay(_decoders, monkeypatch):
    """All runs share their child processes: hundreds of small ones would each wait for new ones."""

    class Kept:
        def decode(self, data, prepare):
            return _decoders.decode(data, prepare)

        def close(self):
            pass

    monkeypatch.setattr("indexer.build.Decoders", Kept)


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
def sql():
    """Look into, or meddle with, the database behind the library's back."""
    import sqlite3
    from contextlib import closing

    def run(library, statement, *parameters):
        with closing(sqlite3.connect(library.path / "library.db")) as db, db:
            return db.execute(statement, parameters).fetchall()

    return run


@pytest.fixture
def unit_rows():
    def make(count, dim=4, seed=0):
        rows = np.random.default_rng(seed).normal(size=(count, dim))
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    return make
