"""All that is near some items, for less than a search for each of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from indexer.ann.exact_search import TOLERANCE, exact_scores
from indexer.ann.generations import Opened
from indexer.ann.sketches import SAMPLE, Sketcher
from indexer.ann.tuning import NEAR
from indexer.database import embeddings
from indexer.database.embeddings import CHUNK, Ids, Rows
from indexer.search.view import View

_LONG, _SHORT = 64, 16
"""Dimensions in the sketches of a flat index. The short ones already rule out most of it."""

_FETCH = 64

Found = tuple[Ids, Ids, Rows]
"""(which, ids, scores), (n,) each: item ids[i] has scores[i] with vector number which[i]."""


@dataclass(frozen=True)
class FlatSketches:
    """Sketches of all that is in a flat index, and shorter sketches of these."""

    opened: Opened
    ids: Ids
    sketchers: tuple[Sketcher, Sketcher]
    long: Rows
    short: Rows

    @classmethod
    def of(cls, opened: Opened) -> Self:
        """Reads the whole index."""
        from indexer.ann import faiss_index

        places = np.arange(0, opened.index.count, -(-opened.index.count // SAMPLE))
        to_long = Sketcher.of(_rows_at(opened, places), _LONG)
        to_short = to_long.shorter(_SHORT)
        pieces = [(ids, to_long(rows)) for ids, rows in faiss_index.contents(opened.index)]
        ids, long = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
        return cls(opened, ids, (to_long, to_short), long, to_short(long))

    def near(self, vectors: Rows, threshold: float) -> Iterator[Found]:
        """All with a score of at least `threshold`."""
        to_long, to_short = self.sketchers
        long = to_long(vectors)
        places = np.arange(len(self.ids))
        for asked, sketches in ((to_short(long), self.short), (long, self.long)):
            kept = [places[:0]]
            for start in range(0, len(places), CHUNK):
                some = places[start : start + CHUNK]
                kept.append(some[(asked @ sketches[some].T >= threshold).any(axis=0)])
            places = np.concatenate(kept)
        for start in range(0, len(places), CHUNK):
            some = places[start : start + CHUNK]
            yield _above(vectors, self.ids[some], _rows_at(self.opened, some), threshold)


def _rows_at(opened: Opened, places: npt.NDArray[np.intp]) -> Rows:
    """The embeddings at some places of a flat index, (n, dim)."""
    rows: Rows = cast(Any, opened.index.faiss).index.reconstruct_batch(places)
    return rows


def near(
    db: Connection,
    view: View,
    sketches: FlatSketches | None,
    vectors: Rows,
    threshold: float,
    allowed: Ids | None = None,
) -> list[Ids]:
    """For each of `vectors`, (n, dim) of unit length, the ids of all items that have a score of at
    least `threshold`, above 0, with it and, where `allowed` is given, are in it.

    `db` must see the state that `view` is of; `sketches` are those of its generation if that is
    flat. The answer is exact unless the generation has lists.
    """
    low = threshold - TOLERANCE
    portions = [_above(vectors, *view.delta, low), *_indexed(view, sketches, vectors, low)]
    which, ids, scores = (np.concatenate(parts) for parts in zip(*portions, strict=True))
    near = scores >= threshold
    unsure = np.abs(scores - threshold) <= TOLERANCE
    for number in np.unique(which[unsure]):
        places = np.flatnonzero(unsure & (which == number))
        rows = embeddings.in_order(db, ids[places])
        near[places] = exact_scores(rows, vectors[number]) >= threshold
    if allowed is not None:
        near &= np.isin(ids, allowed)
    return [ids[near & (which == number)] for number in range(len(vectors))]


def _indexed(
    view: View, sketches: FlatSketches | None, vectors: Rows, threshold: float
) -> Iterator[Found]:
    if view.opened is None:
        return
    if sketches:
        portions = sketches.near(vectors, threshold)
    else:
        portions = _near_in_lists(view.opened, vectors, threshold)
    for which, ids, scores in portions:
        there = ~np.isin(ids, view.hidden)
        yield which[there], ids[there], scores[there]


def _above(vectors: Rows, ids: Ids, rows: Rows, threshold: float) -> Found:
    scores = vectors @ rows.T
    which, places = np.nonzero(scores >= threshold)
    return which, ids[places], scores[which, places]


def _near_in_lists(opened: Opened, vectors: Rows, threshold: float) -> Iterator[Found]:
    """Those with a score of at least `threshold` in the lists nearest to each vector."""
    from indexer.ann import faiss_index

    index = opened.index
    nprobe = opened.probing.near if threshold >= NEAR else index.nlist
    asked, fetch = np.arange(len(vectors)), min(_FETCH, index.count)
    while len(asked):
        scores, ids = faiss_index.in_lists(index, vectors[asked], fetch, nprobe)
        found = (ids >= 0) & (scores >= threshold)
        whole = ~found[:, -1] | (fetch == index.count)
        which, places = np.nonzero(found & whole[:, np.newaxis])
        yield asked[which], ids[which, places], scores[which, places]
        asked, fetch = asked[~whole], min(4 * fetch, index.count)
