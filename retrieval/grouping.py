"""Groups of near-duplicates among the hits; each group shows only its best hit."""

from collections.abc import Set
from datetime import UTC
from math import nan
from typing import Protocol

import numpy as np
import numpy.typing as npt

from indexer import Item, Library, Neighbours

NEAR_IN_TIME = 60.0
"""Seconds. Pictures taken further apart are not near-duplicates, however alike they are."""

_COPY = 0.99
"""Copies have equal embeddings, but rounding to float16 moves their product away from 1."""

_FETCH = 16


class Search(Protocol):
    """`Library.search` for one kind of item."""

    def __call__(
        self,
        vector: npt.NDArray[np.float32],
        k: int,
        *,
        exclude: Set[int],
        at_least: float = float("-inf"),
    ) -> Neighbours: ...


def clock(item: Item) -> float:
    """Capture time in seconds by the camera's own clock, NaN if there is none. The UTC offset is
    ignored: one file of a picture may have it, and another may have lost it."""
    return item.taken_at.replace(tzinfo=UTC).timestamp() if item.taken_at else nan


def leaders(
    library: Library,
    search: Search,
    vector: npt.NDArray[np.float32],
    k: int,
    exclude: Set[int],
    threshold: float,
) -> tuple[Neighbours, dict[int, int]]:
    """Find the best item of each of the `k` best groups, and the number of other items in its
    group, by id. Fewer than k groups come back only if fewer exist.

    Items are taken best first. An item joins the first group whose best item is its near-duplicate:
    it has the same content, or a cosine of at least `threshold`, in (0, 1], and was not taken at
    another time. If there is no such group, the item begins one. Items in `exclude` do not count.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold is {threshold} but must be above 0 and at most 1")
    taken = set(exclude)
    similar: dict[int, int] = {}
    best: list[Item] = []
    scores: list[float] = []
    while True:
        found = search(vector, _FETCH + k - len(best), exclude=taken)
        for item, score in zip(found.items, found.scores.tolist(), strict=True):
            if item.id not in taken and len(best) < k:
                taken.add(item.id)
                others = _near_duplicates(library, search, item, taken, threshold)
                taken.update(others)
                similar[item.id] = len(others)
                best.append(item)
                scores.append(score)
        if len(best) == k or not found.items:
            ids = np.array([item.id for item in best], np.int64)
            rows = np.array(scores, np.float32)
            return Neighbours(ids, rows, tuple(best), found.degraded), similar
        taken.update(found.ids.tolist())


def _near_duplicates(
    library: Library, search: Search, item: Item, taken: Set[int], threshold: float
) -> list[int]:
    """Ids of all near-duplicates of `item` except those in `taken`."""
    (vector,) = library.embeddings([item.id])
    seen = set(taken)
    near: list[int] = []
    fetch = _FETCH
    while True:
        found = search(vector, fetch, exclude=seen, at_least=min(threshold, _COPY))
        for other, score in zip(found.items, found.scores, strict=True):
            apart = abs(clock(other) - clock(item)) > NEAR_IN_TIME  # False where one has no time
            if other.digest == item.digest or (score >= threshold and not apart):
                near.append(other.id)
        if len(found.items) < fetch:
            return near
        seen.update(found.ids.tolist())
        fetch *= 4
