import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.evaluation import ranks, recall


def of_scores(
    scores: list[list[float]], query_owner: list[int], gallery_owner: list[int]
) -> list[int]:
    """Ranks of a score matrix written by hand: the gallery is the identity."""
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
