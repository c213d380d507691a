"""Exact copies and near-duplicates among the pictures of a library."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from indexer import NULL, Item, Library, Progress
from retrieval.grouping import clock, near_duplicate
from retrieval.results import json_values

if TYPE_CHECKING:
    from retrieval.engine import Engine

BURST_SECONDS = 3.0
"""Two frames of one burst are at most this far apart by the camera's clock."""

SAME_SHOT = 0.994
"""Two pictures of one size, format and capture time are versions of one photograph, and no frames
of a burst within a second, if their cosine is at least this. Measured with align-mini on 60
photographs: saved again at a JPEG quality of 50, 95 % stay above it; moved by a hundredth of their
width, none."""

_READ = 10_000

Places = npt.NDArray[np.intp]
"""(n,), numbers of pictures."""

Pairs = tuple[Places, Places]
"""Pairs (left[i], right[i]); left is ascending."""

Apart = Callable[[Places, Places], npt.NDArray[np.bool_]]
"""(left, right), of equal length, to which pairs (left[i], right[i]) are never near-duplicates,
however alike they are; (n,)."""


@dataclass(frozen=True)
class Duplicates:
    """Pictures that show the same."""

    kind: Literal["copy", "near"]
    """``copy``: the same bytes. ``near``: embeddings that are nearly the same."""
    items: tuple[Item, ...]
    """At least two, ordered by pixels (most first), then bytes (most first), then path."""

    def to_dict(self) -> dict[str, Any]:
        """The group as JSON values."""
        items = [
            {
                "id": item.id,
                "path": item.path,
                "width": item.width,
                "height": item.height,
                "bytes": item.bytes,
                "format": item.format,
                "taken_at": item.taken_at,
            }
            for item in self.items
        ]
        return json_values({"kind": self.kind, "wasted": self.wasted, "items": items})

    @property
    def wasted(self) -> int:
        """Bytes of all but the first."""
        return sum(item.bytes for item in self.items[1:])


def find_duplicates(
    library: "Library | Engine",
    *,
    exact: bool = False,
    threshold: float | None = None,
    progress: Progress = NULL,
) -> list[Duplicates]:
    """Find the groups of copies in a library, then, unless `exact`, the groups of near-duplicates;
    both are ordered by path.

    Two pictures are near-duplicates if their cosine is at least `threshold`, in (0, 1], by default
    that of the model, and they are not frames of one burst: pictures of one size and format within
    `BURST_SECONDS` of each other, unless they have the same capture time and a cosine of at least
    `SAME_SHOT`.
    Near-duplicates of near-duplicates are in the same group. Only one of several copies takes part.
    No pair is missed. For memory and room on the disk see `Library.near_pairs`.
    """
    library = library if isinstance(library, Library) else library.library
    threshold = near_duplicate(library, threshold)
    found = _groups(library, "copy", library.copies("image"))
    if exact:
        return found
    ids = library.distinct("image")
    pairs = partial(library.near_pairs, ids, threshold, progress=progress)
    near = near_groups(len(ids), pairs, _bursts(library, ids))
    return found + _groups(library, "near", [ids[group].tolist() for group in near])


def near_groups(
    count: int, pairs: Callable[[Callable[[Places], Places]], Iterator[Pairs]], apart: Apart
) -> list[list[int]]:
    """Group the pictures 0 to `count` - 1: a pair that is not `apart` is in one group. Groups have
    two or more members and are ascending.

    `pairs` gets a function that tells the groups of some pictures at present, and may leave out
    pairs within one group.
    """
    joined = _Joined(count)
    for left, right in pairs(joined.groups):
        wanted = ~apart(left, right)
        joined.join(left[wanted], right[wanted])
    return joined.members()


class _Joined:
    """Groups of the numbers 0 to `count` - 1; at first each number is a group of its own."""

    def __init__(self, count: int) -> None:
        self._parent = np.arange(count)  # union-find; the root of a tree is its smallest member

    def join(self, left: Places, right: Places) -> None:
        """Join the groups of left[i] and right[i], for each i; `left` is ascending."""
        rows, begins = np.unique(left, return_index=True)
        for row, others in zip(rows, np.split(right, begins[1:]), strict=False):
            members = np.append(others, row)
            roots = np.unique(self.groups(members))
            self._parent[roots] = self._parent[members] = roots[0]

    def groups(self, places: Places) -> Places:
        """The smallest member of the group of each of `places`, (n,)."""
        nodes = places
        while ((above := self._parent[nodes]) != nodes).any():
            self._parent[nodes] = self._parent[above]  # or paths could grow as long as the library
            nodes = self._parent[nodes]
        return nodes

    def members(self) -> list[list[int]]:
        """The groups of two or more, ascending."""
        roots = self.groups(np.arange(len(self._parent)))
        order = np.argsort(roots, kind="stable")
        begins = np.flatnonzero(np.diff(roots[order])) + 1
        return [group.tolist() for group in np.split(order, begins) if len(group) > 1]


def _bursts(library: Library, ids: npt.NDArray[np.int64]) -> Apart:
    """A test of which pairs of `ids`, which are ascending, belong to one burst."""
    seconds = np.full(len(ids), np.nan)
    shapes = np.zeros(len(ids), np.int64)
    known: dict[tuple[int | None, int | None, str | None], int] = {}
    for start in range(0, len(ids), _READ):
        items = library.items(ids[start : start + _READ].tolist())
        places = np.searchsorted(ids, [item.id for item in items])
        seconds[places] = [clock(item) for item in items]
        shapes[places] = [
            known.setdefault((item.width, item.height, item.format), len(known)) for item in items
        ]

    def apart(left: Places, right: Places) -> npt.NDArray[np.bool_]:
        gaps = np.abs(seconds[left] - seconds[right])
        found: npt.NDArray[np.bool_] = (gaps <= BURST_SECONDS) & (shapes[left] == shapes[right])
        at_once = np.flatnonzero(found & (gaps == 0))
        for start in range(0, len(at_once), _READ):
            some = at_once[start : start + _READ]
            rows, others = (library.embeddings(ids[side[some]]) for side in (left, right))
            found[some] = np.einsum("nd,nd->n", rows, others) < SAME_SHOT
        return found

    return apart


def _groups(
    library: Library, kind: Literal["copy", "near"], groups: list[list[int]]
) -> list[Duplicates]:
    """The `groups` of ids as items, without items deleted in the meantime."""
    live = {item.id: item for item in library.items(id for ids in groups for id in ids)}
    found = (sorted((live[id] for id in ids if id in live), key=_rank) for ids in groups)
    whole = [Duplicates(kind, tuple(items)) for items in found if len(items) > 1]
    return sorted(whole, key=lambda group: group.items[0].path)


def _rank(item: Item) -> tuple[int, int, Path]:
    return -(item.width or 0) * (item.height or 0), -item.bytes, item.path
