"""Recall@K in pure numpy: ranks of right answers, and the share that is among the first K."""

import numpy as np
import numpy.typing as npt

BLOCK = 1024


def ranks(
    queries: npt.NDArray[np.float32],
    gallery: npt.NDArray[np.float32],
    query_owner: npt.NDArray[np.int64],
    gallery_owner: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Rank (first = 1) of the best right answer of each query; (n,) int64.

    `queries` (n, d) and `gallery` (m, d) are unit rows; an entry is right when its owner is the
    query's. Ties count against the query: a right answer stands behind every wrong one of the same
    score, so a matrix of equal scores earns nothing. ValueError where a query has no right answer.
    """
    found = np.empty(len(queries), np.int64)
    for start in range(0, len(queries), BLOCK):
        block = slice(start, start + BLOCK)
        scores = queries[block] @ gallery.T  # (block, m)
        right = query_owner[block, None] == gallery_owner[None]
        if not right.any(1).all():
            raise ValueError("a query has no right answer in the gallery")
        best = np.where(right, scores, -np.inf).max(1, keepdims=True)
        found[block] = 1 + ((scores >= best) & ~right).sum(1)
    return found


def recall(ranks: npt.NDArray[np.int64], k: int) -> float:
    """Share of queries, in [0, 1], whose best right answer is among the first `k`."""
    return float((ranks <= k).mean())
