from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.evaluation import mean_rank, median_rank, ranks, recall
from retrieval.evaluation.metrics import NOT_FOUND, rank_in_list


def of_scores(
    scores: list[list[float]], query_owner: list[int], gallery_owner: list[int]
) -> list[int]:
    """Ranks of a score matrix written by hand. The gallery is the identity matrix."""
    queries = np.array(scores, np.float32)
    gallery = np.eye(queries.shape[1], dtype=np.float32)
    return ranks(queries, gallery, np.array(query_owner), np.array(gallery_owner)).tolist()


def test_ranks_by_hand() -> None:
    scores = [[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.2, 0.3, 0.1]]
    assert of_scores(scores, [0, 1, 2], [0, 1, 2]) == [1, 2, 3]


def test_the_best_of_several_right_answers_counts() -> None:
    assert of_scores([[0.1, 0.8, 0.5, 0.9]], [7], [7, 3, 7, 3]) == [3]


def test_two_right_answers_do_not_push_each_other_back() -> None:
    assert of_scores([[0.9, 0.9, 0.1]], [7], [7, 7, 3]) == [1]


def test_equal_scores_earn_nothing() -> None:
    found = of_scores([[0.5] * 4] * 4, [0, 1, 2, 3], [0, 1, 2, 3])
    assert found == [4, 4, 4, 4]
    assert recall(np.array(found), 1) == recall(np.array(found), 3) == 0.0


def test_nan_scores_earn_nothing() -> None:
    nan = np.nan
    assert of_scores([[nan] * 3, [0.5, nan, 0.1]], [0, 1], [0, 1, 2]) == [3, 3]


def test_recall_is_the_share_within_k() -> None:
    found = np.array([1, 2, 3, 11])
    assert [recall(found, k) for k in (1, 2, 10, 11)] == [0.25, 0.5, 0.75, 1.0]


def test_a_query_without_a_right_answer_is_an_error() -> None:
    with pytest.raises(ValueError, match="no right answer"):
        of_scores([[0.5, 0.1]], [9], [0, 1])


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 3))
def test_blocks_equal_sorting_the_whole_matrix(seed: int, images: int, captions: int) -> None:
    rng = np.random.default_rng(seed)
    gallery = rng.normal(size=(images, 5)).astype(np.float32)
    owners = np.repeat(np.arange(images), captions)
    queries = rng.normal(size=(len(owners), 5)).astype(np.float32)
    scores = queries @ gallery.T
    slow = [
        1 + [int(j) for j in np.argsort(-scores[i])].index(int(owner))
        for i, owner in enumerate(owners)
    ]
    assert ranks(queries, gallery, owners, np.arange(images)).tolist() == slow


def test_more_queries_than_a_block() -> None:
    n = 2500
    vectors = np.random.default_rng(0).normal(size=(n, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    owners = np.arange(n)
    assert ranks(vectors, vectors, owners, owners).tolist() == [1] * n


def test_equal_rows_tie_anywhere_in_the_gallery() -> None:
    """With BLAS alone, the scores of a tenth of the equal rows differ in the last bit."""
    rng = np.random.default_rng(1)
    gallery = rng.normal(size=(1003, 256)).astype(np.float32)
    copies = rng.permutation(1003)[:200].reshape(2, 100)
    gallery[copies[0]] = gallery[copies[1]]
    queries = rng.normal(size=(100, 256)).astype(np.float32)
    one, other = (ranks(queries, gallery, copies[i], np.arange(1003)) for i in (0, 1))
    assert one.tolist() == other.tolist()
    assert one.min() >= 2


def test_median_and_mean_rank() -> None:
    found = np.array([1, 2, 7, 1])
    assert (median_rank(found), mean_rank(found)) == (1.5, 2.75)


@pytest.mark.parametrize(
    ("scores", "owners", "rank"),
    [
        ([0.9, 0.8, 0.7], [3, 7, 7], 2),
        ([0.9, 0.8, 0.7], [7, 3, 3], 1),
        ([0.9, 0.9, 0.9], [7, 3, 3], 3),
        ([0.9, 0.9, 0.9], [7, 7, 3], 2),
        ([0.9, 0.8, 0.7], [3, 3, 3], NOT_FOUND),
    ],
)
def test_the_rank_in_a_list(scores: list[float], owners: list[int], rank: int) -> None:
    assert rank_in_list(np.array(scores, np.float32), np.array(owners), 7) == rank


whole = st.integers(-3, 3).map(float)
"""Small whole numbers: float32 holds their products exactly, in matrices of every shape."""


@st.composite
def tasks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Queries, a gallery and their owners, with ties."""
    images = draw(st.integers(1, 8))
    captions = draw(st.integers(1, 3))
    owners = np.repeat(np.arange(images), captions)
    rows = draw(st.lists(whole, min_size=3 * images, max_size=3 * images))
    texts = draw(st.lists(whole, min_size=3 * len(owners), max_size=3 * len(owners)))
    gallery = np.array(rows, np.float32).reshape(-1, 3)
    return np.array(texts, np.float32).reshape(-1, 3), gallery, owners, np.arange(images)


@given(tasks(), st.randoms(use_true_random=False))
def test_order_changes_nothing(
    task: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], random: Random
) -> None:
    queries, gallery, query_owner, gallery_owner = task
    q, g = list(range(len(queries))), list(range(len(gallery)))
    random.shuffle(q)
    random.shuffle(g)
    shuffled = ranks(queries[q], gallery[g], query_owner[q], gallery_owner[g])
    assert shuffled.tolist() == ranks(*task)[q].tolist()


@given(tasks(), st.lists(whole, min_size=3, max_size=3))
def test_a_distractor_never_helps(
    task: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], row: list[float]
) -> None:
    queries, gallery, query_owner, gallery_owner = task
    distractor = np.array([row], np.float32)
    more = ranks(
        queries, np.vstack([gallery, distractor]), query_owner, np.append(gallery_owner, 99)
    )
    before = ranks(*task)
    right = (queries * gallery[query_owner]).sum(1)
    assert (more - before).tolist() == ((queries @ distractor[0]) >= right).astype(int).tolist()


@given(tasks())
def test_a_whole_list_gives_the_rank_of_the_matrix(
    task: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    queries, gallery, query_owner, gallery_owner = task
    scores = queries @ gallery.T
    listed = [
        rank_in_list(row, gallery_owner, owner)
        for row, owner in zip(scores, query_owner, strict=True)
    ]
    assert listed == ranks(*task).tolist()
