"""Exact search, which everything approximate is measured and finished with."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from indexer.database.embeddings import Rows, Vectors

TOLERANCE = 1e-5
"""Float32 sums of the same products in another order differ by less, for vectors of length 1."""

Scores = npt.NDArray[np.float32]


def exact_bounds(queries: Rows, pieces: Iterator[Vectors], k: int) -> Scores:
    """Scores of the k best of each query over all pieces, best first; (q, k), or (q, n) where there
    are only n < k."""
    best = np.zeros((len(queries), 0), np.float32)
    for _, rows in pieces:
        best = np.hstack([best, queries @ rows.T])
        if best.shape[1] > k:
            best = np.partition(best, best.shape[1] - k, axis=1)[:, -k:]
    return -np.sort(-best, axis=1)


def exact_scores(rows: Rows, query: npt.NDArray[np.float32]) -> Scores:
    """Row by row in float64: equal vectors get equal scores wherever they were stored, which
    neither BLAS nor FAISS promises."""
    products: npt.NDArray[np.float64] = np.einsum(
        "nd,d->n", rows.astype(np.float64), query.astype(np.float64)
    )
    return products.astype(np.float32)
