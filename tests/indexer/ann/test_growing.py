"""An index with lists that grows: it keeps its lists as long as they serve."""

import numpy as np
import pytest

from indexer.ann import faiss_index, generations
from indexer.ann.layout import Layout

DIM = 16


@pytest.fixture
def growing(make_vectors, clustered, queries, monkeypatch):
    """A library of 400 items, with a list for each 20."""
    monkeypatch.setattr("indexer.ann.layout.SAMPLE_PER_LIST", 20)
    vectors = make_vectors(DIM)
    vectors.add(clustered[::5])
    vectors.publish(queries, layout="ivf")
    return vectors


@pytest.fixture
def trainings(monkeypatch):
    """The sizes of the indexes that were trained."""
    sizes = []
    build = faiss_index.build

    def counted(*given):
        built = build(*given)
        sizes.append(built.count)
        return built

    monkeypatch.setattr(faiss_index, "build", counted)
    return sizes


@pytest.fixture
def written(monkeypatch):
    """The sizes of the files that were written."""
    sizes = []
    write = generations._write

    def counted(*given):
        size, digest = write(*given)
        sizes.append(size)
        return size, digest

    monkeypatch.setattr(generations, "_write", counted)
    return sizes


def head(vectors):
    return vectors.library.status().generations[0]


def lists(index):
    """What each list holds, without the order of the items."""
    return [
        dict(zip(ids.tolist(), codes.tolist(), strict=True))
        for ids, codes in (faiss_index._list(index, number) for number in range(index.nlist))
    ]


def test_an_extended_index_is_the_one_built_from_nothing(unit_rows):
    """With the same centroids, every item is in the same list with the same code."""
    rows = unit_rows(900, 8).astype(np.float16).astype(np.float32)
    ids = np.random.default_rng(0).permutation(5000)[:900].astype(np.int64)
    old = faiss_index.build(Layout(9), 8, lambda: rows[:700], lambda: [(ids[:700], rows[:700])])
    gone = ids[:700:3]
    extended = faiss_index.extended(old, gone, (ids[700:], rows[700:]))
    left = ~np.isin(ids, gone)
    anew = faiss_index.build(Layout(9), 8, lambda: rows[:700], lambda: [(ids[left], rows[left])])
    assert extended.count == anew.count == left.sum()
    assert lists(extended) == lists(anew)
    assert lists(faiss_index.extended(old, ids[:0], (ids[:0], rows[:0]))) == lists(old)


def test_some_rows_are_from_all_lists(unit_rows):
    rows = unit_rows(900, 8).astype(np.float16).astype(np.float32)
    index = faiss_index.build(Layout(9), 8, lambda: rows, lambda: [(np.arange(900), rows)])
    known = {row.tobytes() for row in rows}
    for count in (1, 90, 100, 899, 900, 5000):
        some = faiss_index.some_rows(index, count)
        assert len(some) == len(range(0, 900, max(1, 900 // count)))
        assert {row.tobytes() for row in some} <= known
        assert len({row.tobytes() for row in some}) == len(some)


def test_growing_fivefold_trains_three_times(growing, clustered, queries, trainings, written):
    """In steps of 1 %, as a collection grows over the years."""
    rest = np.delete(clustered, np.s_[::5], axis=0)
    files, start = 1, 0
    while start < len(rest):
        step = max(1, (400 + start) // 100)
        growing.add(rest[start : start + step])
        start += step
        before = head(growing).seq
        growing.publish(queries, force=False)
        files += head(growing).seq != before
    final = head(growing)
    assert final.count + final.delta == 2000
    assert final.delta <= 0.06 * 2000
    assert len(trainings) <= 3
    assert sum(written) <= 17 * final.bytes
    assert 20 < len(written) < 45
    for query in queries[:20]:
        found = set(growing.library.search(query, 10).ids.tolist())
        assert len(found & set(growing.expected(query, 10)[0])) >= 8
    assert final.curve.lowest.recall >= 0.95


def test_deleted_items_leave_the_lists(growing, queries, trainings):
    growing.delete(range(1, 100))
    growing.publish(queries, force=False)
    assert (head(growing).count, head(growing).deleted, trainings) == (301, 0, [])
    growing.library.search(queries[0], 5)
    opened = growing.library._views["image"].opened
    held = set().union(*lists(opened.index))
    assert held == set(range(100, 401))


def test_lists_are_trained_anew_when_most_is_gone(growing, queries, trainings):
    growing.delete(range(1, 220))
    growing.publish(queries, force=False)
    assert trainings == [181]


def test_a_rebuild_trains_anew(growing, queries, trainings):
    growing.publish(queries)
    assert trainings == [400]


def test_lists_that_serve_badly_are_trained_anew(growing, unit_rows, queries, trainings):
    """What is added lies where there was nothing, so that a search must look into many lists."""
    before = head(growing)
    rng = np.random.default_rng(3)
    growing.add(np.repeat(queries[:20], 18, axis=0) + 0.3 * rng.normal(size=(360, DIM)))
    growing.publish(queries, force=False)
    after = head(growing)
    assert after.count == 760
    needed = [curve.probing.nprobe for curve in (before.curve, after.curve)]
    assert trainings == ([760] if after.curve.trained[0] == 760 else [])
    assert needed[1] <= 2 * needed[0] or trainings


def test_a_damaged_head_is_built_anew(growing, clustered, queries, trainings, sql):
    name = sql(growing.library, "SELECT name FROM generations ORDER BY id DESC")[0][0]
    path = growing.library.path / "generations" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    growing.add(clustered[1:150:5])
    growing.publish(queries, force=False)
    growing.add(clustered[2:150:5])
    growing.publish(queries, force=False)
    assert trainings == [430]
    assert head(growing).count == 460


def test_a_curve_that_cannot_be_read_costs_only_time(growing, clustered, queries, trainings, sql):
    sql(growing.library, "UPDATE generations SET curve = ?", '{"with": "an older version"}')
    assert head(growing).curve is None
    for query in queries[:5]:
        found = growing.library.search(query, 10).ids.tolist()
        assert found == growing.expected(query, 10)[0]
    growing.add(clustered[1:150:5])
    growing.publish(queries, force=False)
    assert trainings == [430]
    assert head(growing).curve is not None
