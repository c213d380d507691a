"""How many lists a search must look into, measured with the kind of queries that users ask."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from indexer.ann.exact_search import TOLERANCE, Scores, exact_bounds
from indexer.database.embeddings import Rows, Vectors
from indexer.recall_curve import Point, RecallCurve

K = 10
"""Recall is measured among the best 10."""


@dataclass(frozen=True)
class Queries:
    """The queries that an index is measured with."""

    vectors: Rows
    """(q, dim), of unit length."""
    origin: str
    """Where they come from, in words."""


def measure(
    search: Callable[[Rows, int, int], Scores],
    nlist: int,
    queries: Queries,
    pieces: Iterator[Vectors],
    target: float,
) -> RecallCurve:
    """Try nprobe 1, 2, 4, ... until recall@10 reaches `target`, then narrow the last step down.

    ``search(query, k, nprobe)`` returns the scores that the index finds, best first. `pieces` are
    all its embeddings. An answer counts as found if its score is at least the tenth best exact
    score, so that one copy of a picture may stand for another.
    """
    bounds = exact_bounds(queries.vectors, pieces, K)
    points: dict[int, Point] = {}

    def reaches(nprobe: int) -> bool:
        points[nprobe] = _point(search, nprobe, queries.vectors, bounds)
        return points[nprobe].recall >= target

    low, high = 0, 1
    while not reaches(high) and high < nlist:
        low, high = high, min(2 * high, nlist)
    while high - low > max(1, high // 16):
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    ordered = tuple(points[nprobe] for nprobe in sorted(points))
    return RecallCurve(queries.origin, len(queries.vectors), ordered)


def _point(
    search: Callable[[Rows, int, int], Scores], nprobe: int, queries: Rows, bounds: Scores
) -> Point:
    found, times = [], []
    k = bounds.shape[1]
    for query, bound in zip(queries, bounds, strict=True):
        began = time.perf_counter()
        scores = search(query, k, nprobe)
        times.append(time.perf_counter() - began)
        found.append(np.count_nonzero(scores >= bound[-1] - TOLERANCE) / k)
    return Point(nprobe, float(np.mean(found)), float(np.median(times)) * 1e3)
