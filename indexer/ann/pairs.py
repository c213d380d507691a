"""Pairs of embeddings that are nearly the same, found without comparing all pairs.

No pair is missed. Sketches (see `sketches`) that lie apart rule a pair out. They are sorted into
lists, each around a centroid. Where the two of a pair are in different lists, the plane halfway
between the centroids divides them, so one of the two is no further from that plane than half their
distance. That one *visits* the other list: it is compared with all that is in it.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from indexer.ann.exact_search import TOLERANCE, Scores
from indexer.ann.layout import SAMPLE_SEED
from indexer.ann.sketches import SAMPLE, Sketcher, farthest
from indexer.database.embeddings import CHUNK, Rows
from indexer.progress import NULL, Progress

DIMENSIONS = 128
"""So many dimensions of an embedding are in its sketch."""

BLOCK = 2048
"""So many embeddings are compared with as many others at once. With 640 dimensions this takes
40 MB; at worst, if all embeddings are alike, it takes 270 MB. So few need no lists."""

_SAMPLE_PER_LIST = 32
_ROUNDS = 5
_TRIED = 1000
_ROUNDING = 1e-6
"""The square of the distance of two centroids is less than this too small."""

_AT_ONCE = 4_000_000

Places = npt.NDArray[np.intp]
"""(n,), numbers of embeddings."""

Pairs = tuple[Places, Places]
"""The pairs (left[i], right[i]); left is ascending."""


def near_pairs(
    halves: npt.NDArray[np.float16],
    threshold: float,
    groups: Callable[[Places], Places],
    *,
    block: int = BLOCK,
    progress: Progress = NULL,
) -> Iterator[Pairs]:
    """The pairs of rows of `halves`, (n, dim), whose product is at least `threshold`, above 0.

    Rows are unit vectors or all zeros. `groups` tells in which group some rows are at present;
    pairs within one group are left out. A pair may come twice, in either order. Besides `halves`
    memory holds two blocks and a sketch, 520 bytes, of every row.
    """
    if len(halves) < 2:
        return
    sketches = _sketches(halves)
    lists = _lists(sketches, farthest(threshold), block)
    progress.start(len(halves), "comparing")
    try:
        for left, right in lists.comparisons(sketches, block, progress):
            left_groups, right_groups = groups(left), groups(right)
            if (left_groups == right_groups[0]).all() and (right_groups == right_groups[0]).all():
                continue
            alike = sketches[left] @ sketches[right].T >= threshold - TOLERANCE
            alike &= left_groups[:, np.newaxis] != right_groups
            if left is right:
                alike = np.triu(alike, 1)
            i, j = np.flatnonzero(alike.any(axis=1)), np.flatnonzero(alike.any(axis=0))
            products = halves[left[i]].astype(np.float32) @ halves[right[j]].astype(np.float32).T
            near = np.nonzero((products >= threshold) & alike[np.ix_(i, j)])
            if len(near[0]):
                yield left[i[near[0]]], right[j[near[1]]]
    finally:
        progress.finish()


def _sketches(halves: npt.NDArray[np.float16]) -> Rows:
    sketcher = Sketcher.of(halves[_sample(len(halves), SAMPLE)].astype(np.float32), DIMENSIONS)
    sketches = np.empty((len(halves), sketcher.basis.shape[1] + 1), np.float32)
    for start in range(0, len(halves), CHUNK):
        piece = slice(start, start + CHUNK)
        sketches[piece] = sketcher(halves[piece].astype(np.float32))
    return sketches


def _sample(count: int, most: int) -> Places:
    """At most `most` of the numbers below `count`, ascending."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(SAMPLE_SEED).choice(count, most, replace=False))


@dataclass(frozen=True)
class _Lists:
    """Lists of sketches around `centroids`, (lists, d)."""

    centroids: Rows
    distance: float
    """At most this far apart are the two sketches of a pair."""

    @cached_property
    def _halves(self) -> Scores:
        halves: Scores = np.einsum("nd,nd->n", self.centroids, self.centroids) / 2
        return halves

    def assign(self, sketches: Rows) -> tuple[Places, Scores]:
        """The list of each sketch, and its score there: the higher, the nearer; both (n,)."""
        own, best = np.empty(len(sketches), np.intp), np.empty(len(sketches), np.float32)
        for start in range(0, len(sketches), CHUNK):
            piece = slice(start, start + CHUNK)
            scores = sketches[piece] @ self.centroids.T - self._halves
            own[piece] = scores.argmax(axis=1)
            best[piece] = scores.max(axis=1)
        return own, best

    def visits(
        self, sketches: Rows, own: Places, best: Scores, some: Places
    ) -> npt.NDArray[np.bool_]:
        """Which of the lists `some` each sketch visits, (n, some), besides its own."""
        centroids, halves = self.centroids[some], self._halves[some]
        squares = 2 * (self._halves[:, np.newaxis] + halves - self.centroids @ centroids.T)
        between = np.sqrt(np.maximum(squares, 0) + _ROUNDING)
        behind = best[:, np.newaxis] - (sketches @ centroids.T - halves)
        found: npt.NDArray[np.bool_] = behind <= self.distance / 2 * between[own] + TOLERANCE
        found &= own[:, np.newaxis] != some
        return found

    def comparisons(self, sketches: Rows, block: int, progress: Progress) -> Iterator[Pairs]:
        """What to compare: each row of the one part with each of the other. If both parts are the
        same array, its rows with each other."""
        own, best = self.assign(sketches)
        order = np.argsort(own, kind="stable")
        lists = np.split(order, np.cumsum(np.bincount(own, minlength=len(self.centroids)))[:-1])
        at_once = max(1, _AT_ONCE // len(sketches))
        for first in range(0, len(lists), at_once):
            some = np.arange(first, min(first + at_once, len(lists)))
            visits = self.visits(sketches, own, best, some)
            for number in some:
                members, visitors = lists[number], np.flatnonzero(visits[:, number - first])
                for start in range(0, len(members), block):
                    left = members[start : start + block]
                    yield left, left
                    for right in range(start + block, len(members), block):
                        yield left, members[right : right + block]
                    for right in range(0, len(visitors), block):
                        yield left, visitors[right : right + block]
                    progress.advance(len(left))


def _lists(sketches: Rows, distance: float, block: int) -> _Lists:
    """Lists for `sketches`; only one where more would not spare half of the comparisons."""
    count = len(sketches)
    one = _Lists(sketches[:1], distance)
    wanted = min(round(4 * math.sqrt(count)), count // _SAMPLE_PER_LIST)
    if count <= block or wanted < 2:
        return one
    sample = sketches[_sample(count, _SAMPLE_PER_LIST * wanted)]
    centroids = np.unique(sample[::_SAMPLE_PER_LIST], axis=0)
    for _ in range(_ROUNDS):
        own, _ = _Lists(centroids, distance).assign(sample)
        order = np.argsort(own, kind="stable")
        _, starts, sizes = np.unique(own[order], return_index=True, return_counts=True)
        centroids = np.add.reduceat(sample[order], starts)
        centroids /= sizes[:, np.newaxis].astype(np.float32)
    lists = _Lists(centroids, distance)
    own, best = lists.assign(sample)
    sizes = np.bincount(own, minlength=len(centroids))
    tried = slice(0, len(sample), max(1, len(sample) // _TRIED))
    visits = lists.visits(sample[tried], own[tried], best[tried], np.arange(len(centroids)))
    met = visits @ sizes.astype(np.float32) + sizes[own[tried]] / 2
    return lists if met.mean() < len(sample) / 2 else one
