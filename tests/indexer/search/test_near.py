"""All that is near some items, compared with every product."""

import numpy as np
import pytest

from indexer import FieldTest, FilterError, Filters, Library
from indexer.ann import faiss_index

DIM = 100


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def rows():
    """2,000 rows around 40 directions; each fifth is a near-duplicate of another."""
    rng = np.random.default_rng(0)
    centres = unit(rng.normal(size=(40, DIM)))
    rows = unit(centres[rng.integers(0, 40, 2000)] + 0.5 * unit(rng.normal(size=(2000, DIM))))
    copies = rng.permutation(2000)[:400]
    noise = rng.uniform(0, 0.4, (400, 1)) * unit(rng.normal(size=(400, DIM)))
    rows[copies] = rows[rng.integers(0, 2000, 400)] + noise
    return unit(rows)


@pytest.fixture
def vectors(make_vectors, rows):
    made = make_vectors(DIM)
    made.add(rows)
    return made


def expected(vectors, id, threshold, kind="image"):
    if id not in vectors.live:
        return set()
    others = [other for other, (of, _) in vectors.live.items() if of == kind]
    stored = np.array([vectors.live[other][1] for other in others])
    scores = (stored @ vectors.live[id][1]).astype(np.float32)
    return {other for other, score in zip(others, scores, strict=True) if score >= threshold}


def assert_exact(vectors, ids, **options):
    sizes = 0
    for threshold in (0.5, 0.9, 0.97, 0.999):
        found = vectors.library.near(ids, threshold, **options)
        assert [set(each.tolist()) for each in found] == [
            expected(vectors, id, threshold, **options) for id in ids
        ]
        assert all(len(set(each.tolist())) == len(each) for each in found)
        sizes += sum(map(len, found))
    assert sizes > 5 * len(ids)


def test_a_flat_index_is_exact(vectors):
    vectors.publish()
    assert_exact(vectors, list(range(1, 2000, 40)))


def test_without_a_generation_it_is_exact(vectors):
    assert_exact(vectors, list(range(1, 2000, 40)))


@pytest.mark.parametrize("layout", ["flat", "ivf"])
def test_what_came_and_went_since_counts(vectors, rows, layout, monkeypatch):
    """Where all lists are searched, an index with lists is exact too."""
    monkeypatch.setattr("indexer.search.near.NEAR", 1.0)
    vectors.publish(rows[:100], layout=layout)
    assert vectors.library.status().generations[0].type == layout
    vectors.library.near([1], 0.9)
    vectors.delete(range(1, 300, 2))
    vectors.add(rows[:40])
    vectors.add(rows[:20], kind="text")
    assert_exact(vectors, [1, 2, 4, 500, 2001, 2040, 2050])
    vectors.publish(rows[:100], layout=layout)
    assert_exact(vectors, [1, 2, 4, 500, 2001, 2040, 2050])
    (texts,) = vectors.library.near([2041], 0.999, kind="text")
    assert set(texts.tolist()) == expected(vectors, 2041, 0.999, kind="text") != set()


def test_many_near_ones_in_an_index_with_lists(vectors, rows, monkeypatch):
    """More than are asked for at first."""
    monkeypatch.setattr("indexer.search.near.NEAR", 1.0)
    vectors.add(np.repeat(rows[:1], 700, axis=0))
    vectors.publish(rows[:100], layout="ivf")
    assert_exact(vectors, [1, 2, 2400, 3])


def test_an_index_with_lists_finds_nearly_all(vectors, rows, monkeypatch):
    monkeypatch.setattr("indexer.ann.layout.SAMPLE_PER_LIST", 50)
    vectors.publish(rows[:100], layout="ivf")
    assert vectors.library.status().generations[0].nlist == 40
    ids = list(range(1, 2001, 2))
    found = vectors.library.near(ids, 0.97)
    wanted = [expected(vectors, id, 0.97) for id in ids]
    assert all(set(each.tolist()) <= want for each, want in zip(found, wanted, strict=True))
    others = sum(map(len, wanted)) - len(ids)
    assert others > 50
    assert sum(map(len, found)) - len(ids) >= 0.995 * others


@pytest.mark.parametrize("layout", ["flat", "ivf"])
def test_one_pass_for_all(vectors, rows, layout, monkeypatch):
    vectors.publish(rows[:100], layout=layout)
    vectors.library.near([1], 0.9)
    calls = []
    search, contents = faiss_index.in_lists, faiss_index.contents
    monkeypatch.setattr(
        faiss_index, "in_lists", lambda *given: calls.append("search") or search(*given)
    )
    monkeypatch.setattr(
        faiss_index, "contents", lambda index: calls.append("read") or contents(index)
    )
    vectors.library.near(list(range(1, 100)), 0.97)
    assert calls == ([] if layout == "flat" else ["search"])


def test_filters_hold(photos):
    sizes = {"a": (8, 8), "b": (9, 9), "c": (10, 10)}  # other bytes, which have other fields
    names = {name: photos.paint(f"{name}.png", "red", size) for name, size in sizes.items()}
    table = photos.write("table.csv", "path,stars\na.png,1\nb.png,5\nc.png,5\n")
    photos.index()
    photos.library.annotate(table)
    a, b, c = (photos.ids(path.name)[0] for path in names.values())
    good = Filters(fields=(FieldTest("stars", ">=", "3"),))
    (found,) = photos.library.near([a], 0.9, filters=good)
    assert set(found.tolist()) == {b, c}
    with pytest.raises(FilterError, match="moons"):
        photos.library.near([a], 0.9, filters=Filters(fields=(FieldTest("moons", "=", "3"),)))


def test_an_empty_library_and_no_ids(tmp_path, vectors):
    with Library.create(tmp_path / "empty") as library:
        assert [len(each) for each in library.near([1, 2], 0.9)] == [0, 0]
    assert vectors.library.near([], 0.9) == []
    assert [len(each) for each in vectors.library.near([99_999], 0.9)] == [0]
