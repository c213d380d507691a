"""Which lists of an index are worth a look, by what is expected in them."""

import math

import numpy as np
import numpy.typing as npt

from indexer.ann.exact_search import Scores
from indexer.database.embeddings import Rows
from indexer.recall_curve import Probing

_DEVIATIONS = np.linspace(-9, 9, 1801)
_TAIL = np.array([math.erfc(z / math.sqrt(2)) / 2 for z in _DEVIATIONS])
"""The share of a normal distribution that lies so many standard deviations above its mean."""


def expected_above(
    bar: float,
    probing: Probing,
    query: Rows,
    sizes: npt.NDArray[np.int64],
    nearness: Scores,
) -> npt.NDArray[np.float64]:
    """How many items with a score above `bar` each list is expected to hold, (n,), if the scores in
    a list are distributed normally around what the `nearness` of its centroid to `query`, (dim,),
    lets expect. `sizes` and `nearness` are (n,)."""
    spread = max(probing.spread * float(np.linalg.norm(query)), 1e-9)
    deviations = (bar - probing.closeness * nearness) / spread
    share: npt.NDArray[np.float64] = np.interp(deviations, _DEVIATIONS, _TAIL)
    return sizes * share


def worthwhile(expected: npt.NDArray[np.float64], allowed: float) -> npt.NDArray[np.intp]:
    """The places of the largest numbers, in descending order, so many that all others together are
    at most half of `allowed`; none if all are within `allowed`."""
    total = expected.sum()
    if total <= allowed:
        return np.zeros(0, np.intp)
    order = np.argsort(-expected, kind="stable")
    return order[: int(np.searchsorted(np.cumsum(expected[order]), total - allowed / 2)) + 1]
