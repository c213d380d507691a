"""An evaluation searches the index that a library would publish."""

import dataclasses

import numpy as np
import pytest

from indexer import TrialIndex, trial_index
from indexer.ann.layout import layout


def nobody():
    pytest.fail("a flat index asks nobody")


def exact(rows, query, k):
    """The float16 rows that score as well as the k-th best of them, or better; best first."""
    scores = rows.astype(np.float16).astype(np.float64) @ query.astype(np.float64)
    scores = scores.astype(np.float32)
    best = np.flatnonzero(scores >= np.sort(scores)[-min(k, len(scores))])
    return best[np.lexsort((best, -scores[best]))], np.sort(scores[best])[::-1]


def recall(index, rows, queries, k=10):
    return np.mean(
        [
            np.isin(exact(rows, query, k)[0][:k], index.search(query, k)[0]).mean()
            for query in queries
        ]
    )


@pytest.mark.parametrize("k", [1, 10, 3000])
def test_flat_is_exact(clustered, queries, k):
    index = trial_index(clustered, "flat", nobody)
    assert index.lists is None
    for query in queries:
        ids, scores = index.search(query, k)
        true_ids, true_scores = exact(clustered, query, k)
        assert ids.tolist() == true_ids.tolist()
        assert scores == pytest.approx(true_scores, abs=1e-6)


def with_nprobe(index: TrialIndex, nprobe: int) -> TrialIndex:
    """Which looks into that many lists, whatever it expects of the others."""
    fixed = dataclasses.replace(index.probing, nprobe=nprobe, missed=float("inf"))
    return dataclasses.replace(index, probing=fixed)


def lists_of(index: TrialIndex) -> tuple[int, int]:
    return index.lists or (0, 0)


def test_lists_are_those_of_a_library_and_reach_the_target(clustered, queries):
    index = trial_index(clustered, "ivf", lambda: queries, target=0.9)
    nlist, nprobe = lists_of(index)
    assert nlist == layout(2000, "ivf").nlist == 31
    assert 1 < nprobe < nlist
    assert recall(index, clustered, queries) >= 0.9
    fewer = with_nprobe(index, nprobe // 2)
    assert recall(fewer, clustered, queries) < 0.9


def test_lists_are_tuned_with_the_queries_given(clustered, queries):
    hard = trial_index(clustered, "ivf", lambda: queries)
    easy = trial_index(clustered, "ivf", lambda: clustered[::40])
    assert lists_of(easy)[1] < lists_of(hard)[1]


def test_all_lists_equal_flat(clustered, queries):
    flat = trial_index(clustered, "flat", nobody)
    lists = trial_index(clustered, "ivf", lambda: queries, target=0.5)
    assert recall(lists, clustered, queries) < 1
    nlist, _ = lists_of(lists)
    every = with_nprobe(lists, nlist)
    for query in queries:
        ids, scores = flat.search(query, 10)
        other_ids, other_scores = every.search(query, 10)
        assert ids.tolist() == other_ids.tolist()
        assert scores.tolist() == other_scores.tolist()


def test_all_rows_that_tie_with_the_last_come_back(unit_rows):
    rows = np.repeat(unit_rows(3, 16, seed=3), [5, 90, 5], axis=0)
    index = trial_index(rows, "flat", nobody)
    ids, scores = index.search(rows[50], 10)
    assert sorted(ids.tolist()) == list(range(5, 95))
    assert len(set(scores.tolist())) == 1


@pytest.mark.parametrize("count", [1, 63])
def test_an_index_of_too_few_rows_for_lists_is_flat(unit_rows, count):
    index = trial_index(unit_rows(count, 16, seed=4), "ivf", nobody)
    assert index.lists is None
    assert len(index.search(unit_rows(1, 16, seed=5)[0], 10)[0]) == min(count, 10)
