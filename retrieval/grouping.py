"""Groups of near-duplicates among the hits; each group shows only its best hit."""

from collections.abc import Iterable, Sequence, Set
from datetime import UTC
from math import nan
from typing import Protocol

import numpy as np
import numpy.typing as npt

from encoder.bundled import facts
from indexer import Item, Library, Neighbours
from retrieval.defaults import NEAR_DUPLICATE

NEAR_IN_TIME = 60.0
"""Seconds. Pictures taken further apart are not near-duplicates, however alike they are."""

_COPY = 0.99
"""Copies have equal embeddings, but rounding to float16 moves their product away from 1."""

_MORE = 16
"""So many hits more than needed are fetched, at least."""


class Search(Protocol):
    """`Library.search` for one kind of item."""

    def __call__(
        self,
        vector: npt.NDArray[np.float32],
        k: int,
        *,
        exclude: Set[int],
    ) -> Neighbours: ...


class Near(Protocol):
    """`Library.near` for one kind of item, among the same items as `Search`."""

    def __call__(self, ids: Iterable[int], threshold: float) -> list[npt.NDArray[np.int64]]: ...


def clock(item: Item) -> float:
    """Capture time in seconds by the camera's own clock, NaN if there is none. The UTC offset is
    ignored: one file of a picture may have it, and another may have lost it."""
    return item.taken_at.replace(tzinfo=UTC).timestamp() if item.taken_at else nan


def near_duplicate(library: Library, asked: float | None) -> float:
    """The cosine from which pictures are near-duplicates: the one `asked` for, else that of the
    model of `library`. Raises ValueError for one outside (0, 1]."""
    if asked is None:
        own = facts(library.model.name).near_duplicate if library.model else None
        return own or NEAR_DUPLICATE
    if not 0 < asked <= 1:
        raise ValueError(f"threshold is {asked} but must be above 0 and at most 1")
    return asked


def leaders(
    library: Library,
    search: Search,
    near: Near,
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
    taken = set(exclude)
    similar: dict[int, int] = {}
    best: list[Item] = []
    scores: list[float] = []
    fetch = k + k // 4 + _MORE
    while True:
        found = search(vector, fetch, exclude=taken)
        places, alike = _best_of_groups(library, found.items, k - len(best), threshold)
        chosen = [found.items[place] for place in places]
        taken.update(item.id for item in chosen)
        others = _near_duplicates(library, near, chosen, found.items, threshold)
        for item, hits, rest in zip(chosen, alike, others, strict=True):
            group = ({found.items[place].id for place in hits} | rest) - taken
            taken |= group
            similar[item.id] = len(group)
        best += chosen
        scores += found.scores[places].tolist()
        if len(best) == k or len(found.items) < fetch:
            ids = np.array([item.id for item in best], np.int64)
            rows = np.array(scores, np.float32)
            return Neighbours(ids, rows, tuple(best), found.degraded), similar
        taken.update(found.ids.tolist())
        fetch = min(2 * fetch, 2 * (k - len(best)) * fetch // len(chosen) + _MORE)


def _best_of_groups(
    library: Library, items: Sequence[Item], k: int, threshold: float
) -> tuple[list[int], list[list[int]]]:
    """The places of the best item of each of the `k` best groups of `items`, which come best first,
    and for each of them the places of its near-duplicates."""
    rows = library.embeddings(item.id for item in items).astype(np.float64)
    cosines = (rows @ rows.T).astype(np.float32)
    digests = np.unique([item.digest for item in items], return_inverse=True)[1]
    alike = (cosines >= threshold) & ~_apart(items, items)
    alike |= digests[:, np.newaxis] == digests
    joined = np.zeros(len(items), bool)
    places: list[int] = []
    for place in range(len(items)):
        if not joined[place] and len(places) < k:
            places.append(place)
            joined |= alike[place]
    return places, [np.flatnonzero(alike[place]).tolist() for place in places]


def _near_duplicates(
    library: Library, near: Near, items: Sequence[Item], known: Sequence[Item], threshold: float
) -> list[set[int]]:
    """The ids of all near-duplicates of each of `items`; those `known` need not be read."""
    ids = [item.id for item in items]
    alike = near(ids, threshold)
    copies = near(ids, _COPY) if threshold > _COPY else alike
    by_id = {item.id: item for item in known}
    unknown = {id for found in (*alike, *copies) for id in found.tolist()} - by_id.keys()
    by_id |= {item.id: item for item in library.items(unknown)} if unknown else {}
    groups: list[set[int]] = []
    for item, near_ids, copy_ids in zip(items, alike, copies, strict=True):
        others = [by_id[id] for id in near_ids.tolist() if id in by_id]
        apart = _apart([item], others)[0].tolist()
        same = (by_id[id] for id in copy_ids.tolist() if id in by_id)
        groups.append(
            {other.id for other, is_apart in zip(others, apart, strict=True) if not is_apart}
            | {other.id for other in same if other.digest == item.digest}
        )
    return groups


def _apart(items: Sequence[Item], others: Sequence[Item]) -> npt.NDArray[np.bool_]:
    """Which pairs were taken at different times, (items, others)."""
    left, right = ([clock(item) for item in each] for each in (items, others))
    apart: npt.NDArray[np.bool_] = np.abs(np.subtract.outer(left, right)) > NEAR_IN_TIME
    return apart  # False where one has no time
