"""What must not grow with the library, or with the square of the work.

Work is counted in steps of SQLite's virtual machine, or in calls, which do not depend on the
machine.
"""

import fnmatch
import os
import sqlite3
from functools import partial

import numpy as np
import pytest
from sqlalchemy import event

from encoder.fake import FakeEncoder
from indexer import Library
from indexer.database import catalogue, connection, embeddings
from indexer.search import view

EVERY = 50
"""Steps between two calls of the counter."""


@pytest.fixture
def steps(monkeypatch):
    """A list whose length grows by one with every `EVERY` steps of any connection made from now
    on."""
    made, connect = list[None](), connection.connect

    def counting(database, *, writable):
        engine = connect(database, writable=writable)

        @event.listens_for(engine, "connect")
        def count(raw: sqlite3.Connection, _):
            raw.set_progress_handler(lambda: made.append(None), EVERY)

        return engine

    monkeypatch.setattr(connection, "connect", counting)
    return made


@pytest.fixture
def shelf(make_vectors, unit_rows, steps):
    """A function that makes a library of n vectors with a generation."""

    def make(n):
        vectors = make_vectors(4)
        vectors.add(unit_rows(n))
        vectors.publish()
        return vectors

    return make


def cost(steps, work):
    steps.clear()
    work()
    return len(steps)


def test_status_is_linear_in_deletions(shelf, steps):
    costs = []
    for n in (1000, 4000):
        vectors = shelf(n + 10)
        vectors.delete(list(vectors.live)[:n])
        (head,) = vectors.library.status().generations
        assert (head.count, head.delta, head.deleted) == (n + 10, 0, n)
        costs.append(cost(steps, vectors.library.status))
    assert costs[1] < 6 * costs[0]


def test_one_file_costs_the_same_in_a_large_library(shelf, steps, tmp_path):
    costs = []
    for n in (100, 3000):
        file = shelf(n).library.path.parent / "new.txt"
        with Library.open(file.parent) as library:
            index = partial(library.index, [file], partial(FakeEncoder, "m", "f"))
            file.write_text("red")
            index()
            file.write_text("green")
            costs.append(cost(steps, index))
    assert costs[1] < 1.5 * costs[0]


def test_forgetting_a_file_costs_the_same_in_a_large_library(shelf, steps):
    costs = []
    for n in (200, 6000):
        library = shelf(n).library
        paths = [library.path.parent / str(number) for number in range(1, 101)]
        costs.append(cost(steps, partial(library.forget, paths)))
        assert library.status().counts["image"] == n - 100
    assert costs[1] < 1.5 * costs[0]


def test_naming_many_files_costs_the_same_in_a_large_library(shelf, steps):
    """None of these files exists any more; they are looked up by their folders' names, too."""
    costs = []
    for n in (500, 6000):
        library = shelf(n).library
        with library._reader.begin() as db:
            known = partial(
                catalogue.known_files, db, 1, 1, {b"%d" % number for number in range(1, 400)}
            )
            assert len(known()) == 399
            costs.append(cost(steps, known))
    assert costs[1] < 1.5 * costs[0]


def test_a_search_after_a_commit_reads_only_what_changed(make_vectors, unit_rows, monkeypatch):
    vectors = make_vectors(4)
    vectors.add(unit_rows(50))
    read, decode = list[int](), embeddings._decode
    monkeypatch.setattr(
        embeddings, "_decode", lambda db, rows, dim: read.append(len(rows)) or decode(db, rows, dim)
    )
    query = unit_rows(1)[0]
    assert vectors.library.search(query, 50).ids.tolist() == vectors.expected(query, 50)[0]
    assert read == [50]
    vectors.add(unit_rows(2))
    vectors.delete([3])
    assert vectors.library.search(query, 99).ids.tolist() == vectors.expected(query, 99)[0]
    assert read == [50, 2]


@pytest.mark.parametrize("published", [False, True])
def test_a_view_that_is_extended_equals_one_that_is_read(make_vectors, unit_rows, published):
    vectors = make_vectors(4)
    vectors.add(unit_rows(60))
    if published:
        vectors.publish()
    rng = np.random.default_rng(0)
    library, seen = vectors.library, None
    for _ in range(20):
        vectors.add(unit_rows(int(rng.integers(3))))
        vectors.delete(rng.choice(sorted(vectors.live), 2, replace=False).tolist())
        with library._reader.begin() as db:
            seen = view.refresh(db, library.path, "image", seen)
            fresh = view.refresh(db, library.path, "image", None)
        for mine, expected in zip(seen.delta, fresh.delta, strict=True):
            np.testing.assert_array_equal(mine, expected)
        # More may be hidden, but nothing that the generation must show.
        shown = set(range(1, 61)) - set(seen.hidden.tolist())
        assert shown == set(range(1, 61)) - set(fresh.hidden.tolist())


def test_a_run_publishes_as_the_library_grows(photos, counting, monkeypatch, sql):
    monkeypatch.setattr("indexer.indexing.run.PUBLISH_EVERY", 6)
    for n in range(60):
        photos.paint(f"{n:02}.png", (n, 0, 0))
    with pytest.raises(KeyboardInterrupt):
        photos.index(encoder=counting(fail_at=19), batch_size=2)
    (head,) = photos.library.status().generations
    assert (head.count, head.delta) == (36, 0)
    photos.index(batch_size=2)
    # At 6, 12, 18 ... items, then at every eighth: the work stays in proportion to the library.
    ((published,),) = sql(photos.library, "SELECT max(id) FROM generations")
    assert published <= 11


def test_forgetting_many_files_compiles_no_globs(photos, monkeypatch):
    paths = [photos.paint(f"{n}[*].png", (n, 0, 0)) for n in range(30)]
    photos.index()
    compiled, translate = list[str](), fnmatch.translate
    monkeypatch.setattr(fnmatch, "translate", lambda glob: compiled.append(glob) or translate(glob))
    assert photos.library.forget(paths).items == 30
    assert photos.rescan() == {}
    assert compiled == []
    assert photos.index(paths[0]) == {"added": 1, "embedded": 1}


def test_a_batch_of_any_size_fits_any_build_of_sqlite(photos, monkeypatch):
    connect = sqlite3.connect

    def limited(*arguments, **options):
        db = connect(*arguments, **options)
        db.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)
        return db

    monkeypatch.setattr(sqlite3, "connect", limited)
    photos.index()
    texts = photos.write("many.txt", "\n".join(map(str, range(2500))))
    assert photos.index(texts, batch_size=40_000) == {"added": 2500, "embedded": 2500}
    photos.write("many.txt", "\n".join(map(str, range(1200, 2500))))
    assert photos.rescan(batch_size=40_000) == {"deleted": 1200, "unchanged": 1300}
    table = photos.write("t.csv", "path,n\n" + "many.txt,1\n" * 1500)
    assert photos.library.annotate(table).matched == 1500


def test_many_named_files_are_looked_up_one_by_one(photos, monkeypatch):
    """Not each known one compared with each named one."""
    paths = [photos.paint(f"{n}.png", (n, 0, 0)) for n in range(40)]
    photos.index(*paths)
    asked, dirname = list[bytes](), os.path.dirname
    monkeypatch.setattr(
        "indexer.folders.walk.os.path.dirname", lambda path: asked.append(path) or dirname(path)
    )
    assert photos.index(*paths) == {"unchanged": 40}
    assert len(asked) < 40 * 10
