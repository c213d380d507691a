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
        self, vector: npt.NDArray[np.float32], k: int, *, exclude: Set[int]
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
    scores: list[float] = []
    while True:
        found = search(vector, _FETCH + k - len(similar), exclude=taken)
        for item in library.items(found.ids.tolist()):
            if item.id not in taken and len(similar) < k:
                taken.add(item.id)
                others = _near_duplicates(library, search, item, taken, threshold)
                taken.update(others)
                similar[item.id] = len(others)
                scores.append(float(found.scores[found.ids == item.id][0]))
        if len(similar) == k or not len(found.ids):
            best = Neighbours(
                np.fromiter(similar, np.int64), np.array(scores, np.float32), found.degraded
            )
            return best, similar
        taken.update(found.ids.tolist())


def _near_duplicates(
    library: Library, search: Search, item: Item, taken: Set[int], threshold: float
) -> list[int]:
    """Ids of all near-duplicates of `item` but those that are `taken`."""
    (vector,) = library.embeddings([item.id])
    fetch = _FETCH
    while True:
        found = search(vector, fetch, exclude=taken)
        near = found.scores >= min(threshold, _COPY)
        if near.sum() < fetch:
            break
        fetch *= 4
    scores = dict(zip(found.ids[near].tolist(), found.scores[near].tolist(), strict=True))
    return [
        other.id
        for other in library.items(scores)
        if other.digest == item.digest
        or (scores[other.id] >= threshold and not abs(clock(other) - clock(item)) > NEAR_IN_TIME)
    ]
