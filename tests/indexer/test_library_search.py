"""Search against a slow oracle: every live vector times the query, sorted."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from encoder.fake import FakeEncoder
from indexer import EmbeddingError


def check(vectors, query, k, **options):
    found = vectors.library.search(query, k, **options)
    ids, scores = vectors.expected(query, k, **options)
    assert found.ids.tolist() == ids
    np.testing.assert_allclose(found.scores, scores, rtol=0, atol=1e-7)
    assert found.degraded is None
    assert (found.ids.dtype, found.scores.dtype) == (np.int64, np.float32)


# Few directions, so that ties are the rule and not the exception.
DIRECTIONS = np.array(
    [[1, 0, 0, 0], [0, 1, 0, 0], [0.6, 0.8, 0, 0], [0.8, 0.6, 0, 0], [0, 0, -1, 0], [0.5] * 4]
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(st.integers(0, 5), max_size=40)),
        st.tuples(st.just("delete"), st.frozensets(st.integers(1, 60), max_size=20)),
        st.tuples(st.just("publish"), st.none()),
    ),
    max_size=7,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=steps,
    query=st.sampled_from(DIRECTIONS.tolist()),
    k=st.integers(0, 50),
    exclude=st.frozensets(st.integers(1, 60), max_size=30),
)
def test_generation_delta_and_deletions_equal_brute_force(make_vectors, steps, query, k, exclude):
    vectors = make_vectors(4)
    query = np.array(query, np.float32)
    for step, argument in steps:
        if step == "add":
            vectors.add(DIRECTIONS[argument])
        elif step == "delete":
            vectors.delete(argument)
        else:
            vectors.publish()
        check(vectors, query, k)
        check(vectors, query, k, exclude=exclude)


def test_random_vectors_with_ties_equal_brute_force(make_vectors, unit_rows):
    vectors = make_vectors(64)
    rows = unit_rows(300, 64)
    twice = np.concatenate([rows, rows[:100]])
    vectors.add(twice[np.random.default_rng(1).permutation(400)])
    vectors.add(rows[:50], kind="text")
    for publish in (False, True):
        if publish:
            vectors.publish()
            vectors.add(rows[::3])
            vectors.delete(range(5, 600, 7))
        for seed, k in enumerate((1, 2, 3, 5, 10, 50, 399, 400, 1000)):
            query = unit_rows(1, 64, seed)[0] if seed % 2 else rows[seed]
            check(vectors, query, k)
            check(vectors, query, k, exclude=frozenset(range(1, 300, 2)))
            check(vectors, query, k, kind="text")


@pytest.mark.parametrize("published", [0, 100, 200])
def test_ties_at_the_boundary_are_broken_by_id_in_generation_and_delta(
    make_vectors, unit_rows, published
):
    """200 equal vectors and a better one: k cuts through the tie."""
    vectors = make_vectors(48)
    tied, better = unit_rows(2, 48)
    vectors.add([tied] * published)
    vectors.publish()
    vectors.add([tied] * (200 - published))
    vectors.add([better])
    for k in (1, 2, 3, 60, 150, 200, 201, 300):
        found = vectors.library.search(better, k)
        assert found.ids.tolist() == [201, *range(1, 201)][:k]
    found = vectors.library.search(tied, 201)
    assert found.ids.tolist() == [*range(1, 201), 201]
    assert len(set(found.scores[:200].tolist())) == 1


@pytest.mark.parametrize("published", [0, 150, 300])
def test_ties_that_float32_sums_would_break(make_vectors, unit_rows, published):
    """Permutations of one vector and a query of equal numbers have equal sums, but not in every
    order of adding. FAISS or BLAS alone would not return the smallest ids."""
    vectors = make_vectors(64)
    rng = np.random.default_rng(3)
    rows = np.stack([rng.permutation(unit_rows(1, 64)[0]) for _ in range(300)])
    vectors.add(rows[:published])
    vectors.publish()
    vectors.add(rows[published:])
    query = np.full(64, 0.123, np.float32)
    assert len(set((rows.astype(np.float16).astype(np.float32) @ query).tolist())) > 1
    assert vectors.library.search(query, 10).ids.tolist() == list(range(1, 11))


def test_all_items_come_back_when_there_are_fewer_than_k(make_vectors, unit_rows):
    vectors = make_vectors(8)
    rows = unit_rows(100, 8)
    vectors.add(rows)
    vectors.publish()
    vectors.delete(range(1, 91))
    assert len(vectors.library.search(rows[0], 10).ids) == 10
    assert len(vectors.library.search(rows[0], 20).ids) == 10
    assert len(vectors.library.search(rows[0], 10, exclude=frozenset({95, 96})).ids) == 8
    assert len(vectors.library.search(rows[0], 0).ids) == 0
    vectors.delete(range(91, 101))
    assert vectors.library.search(rows[0], 10).ids.tolist() == []


def test_a_least_score_cuts_the_answer(make_vectors, unit_rows):
    vectors = make_vectors(8)
    vectors.add(unit_rows(60, 8))
    vectors.publish()
    vectors.add(unit_rows(20, 8, seed=2))
    query = unit_rows(1, 8, seed=3)[0]
    ids, scores = vectors.expected(query, 80)
    for n in (0, 1, 15, 79):
        found = vectors.library.search(query, 80, at_least=float(scores[n]))
        assert found.ids.tolist() == ids[: n + 1]
        assert (
            vectors.library.search(query, 10, at_least=scores[n]).ids.tolist() == ids[:10][: n + 1]
        )
    assert vectors.library.search(query, 80, at_least=1.1).items == ()


def test_items_are_those_of_the_ids(photos):
    for name, colour in (("a.png", "red"), ("b.png", "green"), ("c.png", "blue")):
        photos.paint(name, colour)
    photos.index()
    found = photos.library.search(FakeEncoder().encode_texts(["green"])[0], 2)
    assert found.items == tuple(photos.library.items(found.ids))
    assert found.items[0].path.name == "b.png"


@pytest.mark.parametrize("vector", [[1, 0, 0], [1, 0, 0, np.nan], [[1, 0, 0, 0]]])
def test_queries_that_are_refused(make_vectors, vector):
    vectors = make_vectors(4)
    with pytest.raises(EmbeddingError) as caught:
        vectors.library.search(np.array(vector, np.float32), 1)
    assert str(caught.value) == (
        "a query must be 4 finite numbers, as m embeds; embed it with the library's own model"
    )


def test_a_warm_search_reads_nothing_again(photos, monkeypatch):
    photos.paint("a.png", "red")
    photos.index()
    assert photos.nearest("red") == [1]
    photos.paint("b.png", "green")
    for name in ("indexer.ann.generations._check", "indexer.database.embeddings.delta_vectors"):
        monkeypatch.setattr(name, None)
    assert photos.nearest("red") == [1]
    monkeypatch.undo()
    photos.index()
    assert photos.nearest("green") == [2]


def test_each_kind_is_searched_by_itself(photos):
    photos.paint("a.png", "red")
    caption = photos.write("c.txt", "red\ngreen")
    photos.index(photos.folder, caption)
    vector = FakeEncoder().encode_texts(["red"])[0]
    assert photos.library.search(vector, 9).ids.tolist() == photos.ids("a.png")
    assert photos.library.search(vector, 9, kind="text").ids.tolist() == photos.ids("c.txt")
