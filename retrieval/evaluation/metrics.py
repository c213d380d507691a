"""Recall@K in pure numpy: ranks of right answers, and the share that is among the first K.

The protocol is the field's: Recall@K of image-text retrieval is a hit rate, the share of queries
with at least one right answer among the first K.
"""

import numpy as np
import numpy.typing as npt

KS = (1, 5, 10)
"""The K of the field's tables."""

BLOCK = 1024

NOT_FOUND = np.iinfo(np.int64).max
"""The rank of a right answer that a list does not hold."""


def ranks(
    queries: npt.NDArray[np.float32],
    gallery: npt.NDArray[np.float32],
    query_owner: npt.NDArray[np.int64],
    gallery_owner: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Rank (first = 1) of the best right answer of each query; (n,) int64.

    `queries` (n, d) and `gallery` (m, d) are unit rows; an entry is right when its owner is the
    query's. Ties count against the query: a right answer stands behind every wrong one of the same
    score, so a matrix of equal scores earns nothing; equal rows of the gallery always tie. NaN
    scores also count against the query. ValueError where a query has no right answer.
    """
    distinct, place = _distinct(gallery)
    found = np.empty(len(queries), np.int64)
    for start in range(0, len(queries), BLOCK):
        block = slice(start, start + BLOCK)
        scores = queries[block] @ distinct.T  # (block, distinct)
        if place is not None:
            scores = scores[:, place]  # (block, m)
        right = query_owner[block, None] == gallery_owner[None]
        if not right.any(1).all():
            raise ValueError("a query has no right answer in the gallery")
        best = np.where(right, scores, -np.inf).max(1, keepdims=True)
        # Not >=: a score that is no number would be no better than any, and all of them first.
        found[block] = 1 + (~(scores < best) & ~right).sum(1)
    return found


def rank_in_list(scores: npt.NDArray[np.float32], owners: npt.NDArray[np.int64], owner: int) -> int:
    """Rank of the best right answer among those that a search returned, by the rule of `ranks`;
    NOT_FOUND where there is none. `scores` (n,) and `owners` (n,) must hold all entries that score
    as the last one does."""
    right = owners == owner
    if not right.any():
        return NOT_FOUND
    return 1 + int(((scores >= scores[right].max()) & ~right).sum())


def recall(ranks: npt.NDArray[np.int64], k: int) -> float:
    """Share of queries, in [0, 1], whose best right answer is among the first `k`."""
    return float((ranks <= k).mean())


def median_rank(ranks: npt.NDArray[np.int64]) -> float:
    """Median of ranks, the first being 1: half of an odd number where two stand in the middle."""
    return float(np.median(ranks))


def mean_rank(ranks: npt.NDArray[np.int64]) -> float:
    """Mean of ranks, the first being 1."""
    return float(np.mean(ranks))


def _distinct(
    rows: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp] | None]:
    """The rows without repetitions, and which of them each row is; (rows, None) where none repeats.

    BLAS gives equal rows scores that differ in the last bit, by where in the matrix they stand.
    """
    rows = np.ascontiguousarray(rows)
    whole = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
    _, first, place = np.unique(whole, return_index=True, return_inverse=True)
    return (rows, None) if len(first) == len(rows) else (rows[first], place)
