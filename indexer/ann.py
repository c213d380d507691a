"""Nearest neighbours with FAISS: the only file that imports it."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import faiss
import numpy as np
import numpy.typing as npt

from indexer.catalogue import CHUNK, Vectors

VERSION: str = faiss.__version__
TYPE = "flat"
RECALL = 1.0
"""A flat index is exact."""

_EXTRA = 16


@dataclass(frozen=True)
class Index:
    """Item ids, (n,) ascending int64, and a flat inner product index of their n embeddings."""

    ids: npt.NDArray[np.int64]
    flat: faiss.IndexFlat
    owner: faiss.IndexIDMap
    """Frees `flat` when it goes."""


def build(pieces: Iterable[Vectors], dim: int) -> bytes:
    """The bytes of an index file over all pieces, whose ids must ascend."""
    index = faiss.IndexIDMap(faiss.IndexFlatIP(dim))
    for ids, vectors in pieces:
        index.add_with_ids(vectors, ids)
    return faiss.serialize_index(index).tobytes()


def load(data: bytes) -> Index:
    """What `build` made; RuntimeError where this version of FAISS cannot read it."""
    index = cast(faiss.IndexIDMap, faiss.deserialize_index(np.frombuffer(data, np.uint8)))
    flat = cast(faiss.IndexFlat, faiss.downcast_index(index.index))
    return Index(faiss.vector_to_array(index.id_map), flat, index)


def contents(index: Index) -> Iterator[Vectors]:
    """Every id and embedding in `index`, in pieces and in no order."""
    for start in range(0, len(index.ids), CHUNK):
        ids = index.ids[start : start + CHUNK]
        yield ids, index.flat.reconstruct_n(start, len(ids))


def candidates(
    index: Index,
    query: npt.NDArray[np.float32],
    k: int,
    without: Collection[int],
    margin: float,
) -> Vectors:
    """Every item, but those in `without`, within `margin` of the k-th best score or better.

    `query` is (dim,) float32. More items than that, and in no order: whoever asks computes the
    exact scores. Fewer than k only where fewer exist.
    """
    total = index.flat.ntotal
    left_out = np.flatnonzero(np.isin(index.ids, np.fromiter(without, np.int64, len(without))))
    # Also where nothing is left out, and without FAISS's own map of ids: either way a single query
    # would be spread over threads that wait for each other, 2 ms of work became 24 on busy cores.
    rest = faiss.IDSelectorNot(faiss.IDSelectorBatch(left_out))
    # FAISS's stub lacks the keyword arguments that its Python layer adds
    parameters = faiss.SearchParameters(sel=rest)  # type: ignore[call-arg]
    fetch = min(k + _EXTRA, total)
    while fetch:
        scores, places = index.flat.search(query[np.newaxis], fetch, params=parameters)
        found = places[0] >= 0
        if fetch == total or not found.all() or scores[0, -1] < scores[0, k - 1] - margin:
            places = places[0][found]
            return index.ids[places], index.flat.reconstruct_batch(places)
        fetch = min(4 * fetch, total)
    return np.zeros(0, np.int64), np.zeros((0, index.flat.d), np.float32)
