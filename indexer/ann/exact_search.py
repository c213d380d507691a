"""Exact search: approximate results are measured with it, and it makes the final order."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from indexer.database.embeddings import Rows, Vectors

TOLERANCE = 1e-5
"""For vectors of length 1, float32 sums of the same products differ by less than this, whatever the
order of the sum."""

Scores = npt.NDArray[np.float32]


class BestScores:
    """The k best scores of each of q queries, from portions of all scores."""

    def __init__(self, queries: int, k: int) -> None:
        self._best = np.zeros((queries, 0), np.float32)
        self._k = k

    def add(self, scores: Scores) -> None:
        """More scores, (q, n)."""
        if self._best.shape[1] == self._k:
            low = self._best.min(axis=1, keepdims=True, initial=np.inf)
            scores = scores[:, (scores > low).any(axis=0)]
        best = np.hstack([self._best, scores])
        if best.shape[1] > self._k:
            best = np.partition(best, best.shape[1] - self._k, axis=1)[:, -self._k :]
        self._best = best

    def sorted(self) -> Scores:
        """Best first: shape (q, k), or (q, n) if there are only n < k."""
        return -np.sort(-self._best, axis=1)


def exact_bounds(queries: Rows, pieces: Iterable[Vectors], k: int) -> Scores:
    """The scores of the k best embeddings of all pieces for each query, best first: shape (q, k),
    or (q, n) for only n < k embeddings."""
    best = BestScores(len(queries), k)
    for _, rows in pieces:
        best.add(queries @ rows.T)
    return best.sorted()


def exact_scores(rows: Rows, query: npt.NDArray[np.float32]) -> Scores:
    """Scores of `rows`, (n,) float32, each computed by itself in float64. Equal vectors get equal
    scores wherever they are stored, which neither BLAS nor FAISS promises."""
    products: npt.NDArray[np.float64] = np.einsum(
        "nd,d->n", rows.astype(np.float64), query.astype(np.float64)
    )
    return products.astype(np.float32)
