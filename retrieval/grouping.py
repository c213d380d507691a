"""Near-duplicates among the hits, folded into the best of them."""

from collections.abc import Set
from datetime import UTC
from math import nan
from typing import Protocol

import numpy as np
import numpy.typing as npt

from indexer import Item, Library, Neighbours

NEAR_IN_TIME = 60.0
"""Seconds: pictures taken further apart are not one moment, however alike they are."""

_COPY = 0.99
"""Copies share an embedding, whose product with itself is 1 but for its rounding to float16."""

_FETCH = 16


class Search(Protocol):
    """`Library.search` of one kind of item."""

    def __call__(
        self,
        vector: npt.NDArray[np.float32],
        k: int,
        *,
        exclude: Set[int],
        at_least: float = float("-inf"),
    ) -> Neighbours: ...


def clock(item: Item) -> float:
    """Capture time in seconds, NaN where there is none, as the camera's own clock showed it: the
    same picture may have its UTC offset in one file and have lost it in another."""
    return item.taken_at.replace(tzinfo=UTC).timestamp() if item.taken_at else nan


def leaders(
    library: Library,
    search: Search,
    vector: npt.NDArray[np.float32],
    k: int,
    exclude: Set[int],
    threshold: float,
) -> tuple[Neighbours, dict[int, int]]:
    """The best item of each of the `k` best groups, and how many others each stands for, by id.

    Best first, every item joins the first group to whose best item it is a near-duplicate: the same
    content, or a cosine of at least `threshold`, in (0, 1], and not taken at another time. Else it
    begins a group. Fewer than k only where fewer groups exist. Items in `exclude` do not count.
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
