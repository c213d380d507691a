"""How many lists a search must look into, measured with the kind of queries that users ask."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from indexer.ann.exact_search import TOLERANCE, BestScores, Scores, exact_bounds
from indexer.ann.layout import SAMPLE_SEED
from indexer.database.embeddings import Rows, Vectors
from indexer.recall_curve import CaseRecall, Point, Probing, RecallCurve

if TYPE_CHECKING:
    from indexer.ann.faiss_index import Chosen, Index

K, K_100 = 10, 100
"""Recall is measured among the best 10 and the best 100."""

_SAMPLE = 20_000
"""So many embeddings say where the nearest half of all ends."""

_CASES_SHARE, _CASES_QUERIES = 10, 20
"""The kinds of searches are measured with a tenth of the queries, since those with filters are
slow, but with no fewer than 20."""

_MISSED = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0)
"""What `Probing.missed` may be; 0 makes a search look into all lists."""
_ONE_SIDED_95 = 1.645

NEAR = 0.9
"""Near-duplicates are found among those with this cosine, or a higher one."""
_NEAR_SHARE = 0.99
_NEAR_TRIED = 1000

ALL = "all items"
_NOTHING = np.zeros(0, np.int64)
_SCATTERED = 20

Pieces = Callable[[], Iterable[Vectors]]


@dataclass(frozen=True)
class Queries:
    """The queries that an index is measured with."""

    vectors: Rows
    """(q, dim), of unit length."""
    origin: str
    """Where they come from, in words."""

    def some(self, count: int) -> "Queries":
        """At most `count` of them, from all parts."""
        step = max(1, -(-len(self.vectors) // count))
        return replace(self, vectors=self.vectors[::step])


class _Measured(NamedTuple):
    recall: float
    milliseconds: float
    surely: float


def measure(
    index: "Index",
    queries: Queries,
    pieces: Pieces,
    target: float,
    before: RecallCurve | None = None,
) -> RecallCurve:
    """The recall of an index with lists, and how to search it so that it surely reaches `target`:
    for the 10 and for the 100 best, without a filter and with filters of all kinds.

    `pieces()` are all its embeddings. `before` tells of an earlier index with the same lists: what
    it needed is tried first, and kept if it is enough. An answer counts as found if its score is at
    least the k-th best exact score, so that one copy of a picture may stand for another.
    """
    from indexer.ann import faiss_index

    bounds = exact_bounds(queries.vectors, pieces(), K)
    sample = faiss_index.some_rows(index, _SAMPLE)
    closeness, spread = _scatter(index, queries.vectors, sample)
    probing = Probing(1, _MISSED[0], closeness, spread, _lists_of_near(index, sample))

    def at(nprobe: int) -> Point:
        fixed = replace(probing, nprobe=nprobe, missed=float("inf"))
        chosen = [faiss_index.all_but(_NOTHING, index)] * len(queries.vectors)
        return Point(nprobe, *_measured(index, queries.vectors, bounds, K, chosen, fixed))

    first = before.probing.nprobe if before else 1
    nprobe, points = fewest(at, index.nlist, target, first, before is not None)
    fewer = queries.some(max(_CASES_QUERIES, len(queries.vectors) // _CASES_SHARE))
    missed, cases = _cases(
        index, fewer.vectors, sample, pieces, target, replace(probing, nprobe=nprobe)
    )
    return RecallCurve(
        origin=queries.origin,
        queries=len(queries.vectors),
        points=points,
        cases=cases,
        probing=replace(probing, nprobe=nprobe, missed=missed),
        trained=before.trained if before else (index.count, nprobe),
    )


def fewest(
    at: Callable[[int], Point], nlist: int, target: float, first: int = 1, enough: bool = False
) -> tuple[int, tuple[Point, ...]]:
    """The smallest nprobe that surely reaches `target`, and all points that were measured for it.

    Tries `first` and then twice as many lists each time, and narrows the last step down to a
    sixteenth. If `first` is already `enough`, fewer lists are not tried. Returns `nlist` if not
    even all lists reach the target.
    """
    points: dict[int, Point] = {}

    def reaches(nprobe: int) -> bool:
        points[nprobe] = at(nprobe)
        return points[nprobe].surely >= target

    high = min(first, nlist)
    low = high - 1 if enough else 0
    while not reaches(high) and high < nlist:
        low, high = high, min(2 * high, nlist)
    while high - low > max(1, high // 16):
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high, tuple(points[nprobe] for nprobe in sorted(points))


def _measured(
    index: "Index",
    queries: Rows,
    bounds: Scores,
    k: int,
    chosen: Sequence["Chosen"],
    probing: Probing,
) -> _Measured:
    """`bounds` are the best scores of the chosen items for each query, best first."""
    from indexer.ann import faiss_index

    recalls, times = [], []
    for query, best, some in zip(queries, bounds, chosen, strict=True):
        best = best[:k][np.isfinite(best[:k])]
        if not len(best):
            continue
        began = time.perf_counter()
        _, scores = faiss_index.candidates(index, query, k, some, probing, TOLERANCE)
        times.append(time.perf_counter() - began)
        found = np.count_nonzero(scores >= best[-1] - TOLERANCE)
        recalls.append(min(int(found), len(best)) / len(best))
    if not recalls:
        return _Measured(1.0, 0.0, 1.0)
    mean = float(np.mean(recalls))
    error = float(np.std(recalls)) / len(recalls) ** 0.5
    return _Measured(mean, float(np.median(times)) * 1e3, mean - _ONE_SIDED_95 * error)


_Flags = npt.NDArray[np.bool_]


class _Traits(NamedTuple):
    """What a filter can go by: of some items (n,), or for each query (q, n)."""

    chance: Scores
    """In [0, 1)."""
    nearness: npt.NDArray[np.uint8]
    """2 in the tenth nearest to the query, 1 elsewhere in the nearest half, 0 in the farthest."""
    alike: _Flags
    """Whether an item is in one of the lists nearest to the query, which hold a sixth of all."""


_FILTERS: dict[str, Callable[[_Traits], _Flags]] = {
    "a random half": lambda items: items.chance < 0.5,
    "a random fifth": lambda items: items.chance < 0.2,
    "the nearest half": lambda items: items.nearness > 0,
    "the farthest half": lambda items: items.nearness == 0,
    "all but the nearest tenth": lambda items: items.nearness < 2,
    "all but the nearest lists": lambda items: ~items.alike,
}
"""Which items a filter lets pass."""

_ALIKE = 1 / 6


def _cases(
    index: "Index", queries: Rows, sample: Rows, pieces: Pieces, target: float, probing: Probing
) -> tuple[float, tuple[CaseRecall, ...]]:
    """The largest `Probing.missed` with which searches of all kinds surely reach `target`, and what
    was measured."""
    from indexer.ann import faiss_index

    half, tenth = np.quantile(queries @ sample.T, (0.5, 0.9), axis=1)[:, :, np.newaxis]
    nearness = np.zeros((len(queries), index.count), np.uint8)
    chance = np.random.default_rng(SAMPLE_SEED).random(index.count, np.float32)
    near_lists = _nearest_lists(index, queries, _ALIKE)
    listed, numbers = faiss_index.list_numbers(index)
    own = np.zeros(index.count, np.int32)
    all_ids = np.zeros(index.count, np.int64)
    best = {name: BestScores(len(queries), K_100) for name in (ALL, *_FILTERS)}
    start = 0
    for ids, rows in pieces():
        piece = slice(start, start + len(ids))
        start += len(ids)
        all_ids[piece] = ids
        own[piece] = numbers[np.searchsorted(listed, ids)]
        scores = queries @ rows.T
        best[ALL].add(scores)
        nearness[:, piece] = (scores >= half).astype(np.uint8) + (scores >= tenth)
        items = _Traits(chance[piece], nearness[:, piece], near_lists[:, own[piece]])
        for name, passes in _FILTERS.items():
            best[name].add(np.where(passes(items), scores, np.float32(-np.inf)))

    step, found = 0, []
    for name, bounds in best.items():
        if name == ALL:
            allowed = [faiss_index.all_but(_NOTHING, index)] * len(queries)
        else:
            allowed = [
                faiss_index.only(all_ids[_FILTERS[name](_Traits(chance, near, alike[own]))])
                for near, alike in zip(nearness, near_lists, strict=True)
            ]
        for k in (K, K_100):
            case = partial(_measured, index, queries, bounds.sorted(), k, allowed)
            measured = case(replace(probing, missed=_MISSED[step]))
            while measured.surely < target and step < len(_MISSED) - 1:
                step += 1
                measured = case(replace(probing, missed=_MISSED[step]))
            found.append(CaseRecall(name, k, *measured))
    return _MISSED[step], tuple(found)


def _nearest_lists(index: "Index", queries: Rows, share: float) -> _Flags:
    """Which lists are so near to each query that together they hold `share` of all items, (q,
    nlist)."""
    assert index.ivf is not None
    order = index.ivf.quantizer.search(queries, index.nlist)[1]
    filled = np.cumsum(index.sizes[order], axis=1)
    near = np.zeros(order.shape, bool)
    np.put_along_axis(near, order, filled <= share * index.count, axis=1)
    return near


def _scatter(index: "Index", queries: Rows, sample: Rows) -> tuple[float, float]:
    """`Probing.closeness` and `Probing.spread`."""
    assert index.ivf is not None
    products, own = index.ivf.quantizer.search(sample, 1)
    closeness = float(products.mean())
    centroids = index.ivf.quantizer.reconstruct_n(0, index.nlist)
    few = queries[:: max(1, len(queries) // _SCATTERED)]
    expected = closeness * (few @ centroids.T)[:, own[:, 0]]
    return closeness, float(np.std(few @ sample.T - expected))


def _lists_of_near(index: "Index", sample: Rows) -> int:
    """In how many lists, the nearest to an embedding, its near-duplicates are. Measured with some
    of `sample`, each turned towards another one."""
    assert index.ivf is not None
    some = sample[:: max(1, len(sample) // _NEAR_TRIED)]
    aside = np.random.default_rng(SAMPLE_SEED).permutation(some)
    aside = aside - np.einsum("nd,nd->n", aside, some)[:, np.newaxis] * some
    length = np.linalg.norm(aside, axis=1)
    there = length > TOLERANCE
    some, aside = some[there], aside[there] / length[there, np.newaxis]
    if not len(some):
        return 1
    turned = np.float32(NEAR) * some + np.float32((1 - NEAR**2) ** 0.5) * aside
    own = index.ivf.quantizer.search(some, 1)[1]
    order = index.ivf.quantizer.search(turned, index.nlist)[1]
    places = (order == own).argmax(axis=1)
    return int(np.quantile(places, _NEAR_SHARE, method="higher")) + 1
