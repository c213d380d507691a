"""Exact search: approximate results are measured with it, and it makes the final order."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from indexer.database.embeddings import Rows, Vectors

TOLERANCE = 1e-5
"""For vectors of length 1, float32 sums of the same products differ by less than this, whatever the
order of the sum."""

Scores = npt.NDArray[np.float32]


def exact_bounds(queries: Rows, pieces: Iterator[Vectors], k: int) -> Scores:
    """The scores of the k best embeddings of all pieces for each query, best first: shape (q, k),
    or (q, n) for only n < k embeddings."""
    best = np.zeros((len(queries), 0), np.float32)
    for _, rows in pieces:
        best = np.hstack([best, queries @ rows.T])
        if best.shape[1] > k:
            best = np.partition(best, best.shape[1] - k, axis=1)[:, -k:]
    return -np.sort(-best, axis=1)


def exact_scores(rows: Rows, query: npt.NDArray[np.float32]) -> Scores:
    """Scores of `rows`, (n,) float32, each computed by itself in float64. Equal vectors get equal
    scores wherever they are stored, which neither BLAS nor FAISS promises."""
    products: npt.NDArray[np.float64] = np.einsum(
        "nd,d->n", rows.astype(np.float64), query.astype(np.float64)
    )
    return products.astype(np.float32)
