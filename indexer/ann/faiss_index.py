"""Nearest neighbours with FAISS; no other file imports it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import faiss
import numpy as np

from indexer.ann.exact_search import Scores
from indexer.ann.layout import Layout
from indexer.database.embeddings import Ids, Rows, Vectors

VERSION: str = faiss.__version__

Pieces = Callable[[], Iterable[Vectors]]

_EXTRA = 16
_EXACT_SHARE = 0.1
"""A search among at most this share of the items looks into all lists, since it computes little."""


@dataclass(frozen=True)
class Index:
    """An inner product index of float16 embeddings that returns item ids."""

    faiss: faiss.Index
    ivf: faiss.IndexIVFScalarQuantizer | None
    """The same index if it has lists; None for a flat index."""

    @property
    def count(self) -> int:
        """Number of embeddings."""
        return int(self.faiss.ntotal)

    @property
    def dim(self) -> int:
        """Number of dimensions of an embedding."""
        return int(self.faiss.d)

    @property
    def nlist(self) -> int:
        """Number of lists; 1 for a flat index."""
        return int(self.ivf.nlist) if self.ivf else 1


@dataclass(frozen=True)
class Chosen:
    """Which items of an index a search may return."""

    selector: faiss.IDSelector
    few: bool
    """Whether they are so few that a search scores them in all lists."""
    count: int | None
    """How many items are chosen; None if all items are, apart from a few."""


def all_but(without: Ids) -> Chosen:
    """All items except those with the ids `without`."""
    # A selector is used even if nothing is left out. Without it, FAISS would spread a single query
    # over threads that wait for each other: on busy cores, 2 ms of work became 24 ms.
    return Chosen(faiss.IDSelectorNot(faiss.IDSelectorBatch(without)), few=False, count=None)


def only(allowed: Ids, index: Index) -> Chosen:
    """Only the items with the ids `allowed`."""
    bits = np.zeros(int(allowed.max(initial=0)) + 1, bool)
    bits[allowed] = True
    bitmap = faiss.IDSelectorBitmap(np.packbits(bits, bitorder="little"))
    few = len(allowed) <= _EXACT_SHARE * index.count
    return Chosen(bitmap, few, len(allowed))


def build(layout: Layout, dim: int, sample: Callable[[], Rows], pieces: Pieces) -> Index:
    """An index of all pieces. If the layout has lists, they are trained on `sample()`.

    The index is the only copy in memory. `pieces()` is called twice for an index with lists, and
    must give the same pieces each time.
    """
    half = faiss.ScalarQuantizer.QT_fp16
    if layout.nlist is None:
        flat = faiss.IndexScalarQuantizer(dim, half, faiss.METRIC_INNER_PRODUCT)
        whole = faiss.IndexIDMap(flat)
        for ids, rows in pieces():
            whole.add_with_ids(rows, ids)
        return Index(whole, None)
    # Without residuals, the codes are the float16 numbers of the database.
    ivf = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dim), dim, layout.nlist, half, faiss.METRIC_INNER_PRODUCT, False
    )
    ivf.train(sample())
    _fill(ivf, pieces)
    return Index(ivf, ivf)


def _fill(ivf: faiss.IndexIVFScalarQuantizer, pieces: Pieces) -> None:
    """Add all pieces. `ivf.add_with_ids` would need up to twice the memory, since lists grow."""
    assigned = [
        ivf.quantizer.search(rows, 1)[1][:, 0].astype(np.int32, copy=False) for _, rows in pieces()
    ]
    sizes = np.bincount(np.concatenate(assigned), minlength=ivf.nlist)
    for number, size in enumerate(sizes.tolist()):
        ivf.invlists.resize(number, size)
    filled = np.zeros(ivf.nlist, np.int64)
    for (ids, rows), own in zip(pieces(), assigned, strict=True):
        order = np.argsort(own, kind="stable")
        ids = np.ascontiguousarray(ids[order], np.int64)
        codes = np.ascontiguousarray(rows[order], "<f2").view(np.uint8)
        numbers, starts = np.unique(own[order], return_index=True)
        ends = [*starts[1:].tolist(), len(own)]
        for number, start, end in zip(numbers.tolist(), starts.tolist(), ends, strict=True):
            ivf.invlists.update_entries(
                number,
                int(filled[number]),
                end - start,
                faiss.swig_ptr(ids[start:end]),
                faiss.swig_ptr(codes[start:end]),
            )
            filled[number] += end - start
    ivf.ntotal = int(sizes.sum())


class Sink(Protocol):
    """What `write` needs of an open file."""

    def write(self, data: bytes) -> int:
        """Write all of `data` and return its length. Raises OSError."""


def write(index: Index, file: Sink) -> None:
    """Write `index` to an open file piece by piece. Raises the OSError of the file.

    When FAISS itself writes to a path, it can fail silently on a full disk.
    """
    failed: list[OSError] = []

    def put(data: bytes) -> int:
        try:
            return file.write(data)
        except OSError as error:
            failed.append(error)
            return 0

    faiss.write_index(index.faiss, faiss.PyCallbackIOWriter(put))
    if failed:  # FAISS does not check the result of a write
        raise failed[0]


def load(path: Path) -> Index:
    """The index that `write` wrote, mapped into memory and read as needed. Raises RuntimeError if
    this version of FAISS cannot read it."""
    found = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    if isinstance(found, faiss.IndexIVFScalarQuantizer):
        return Index(found, found)
    if isinstance(found, faiss.IndexIDMap):
        return Index(found, None)
    raise RuntimeError(f"is a {type(found).__name__}, which no generation is")


def contents(index: Index) -> Iterator[Vectors]:
    """All ids and embeddings in `index`, in pieces and in no order."""
    if index.ivf is None:
        whole = cast(faiss.IndexIDMap, index.faiss)
        flat = cast(faiss.IndexScalarQuantizer, faiss.downcast_index(whole.index))
        ids = faiss.vector_to_array(whole.id_map)
        for start in range(0, len(ids), 10_000):
            piece = ids[start : start + 10_000]
            yield piece, flat.reconstruct_n(start, len(piece))
        return
    lists = index.ivf.invlists
    for number in range(index.nlist):
        size = lists.list_size(number)
        if size:
            ids = faiss.rev_swig_ptr(lists.get_ids(number), size).copy()
            codes = faiss.rev_swig_ptr(lists.get_codes(number), size * lists.code_size)
            yield ids, codes.view("<f2").reshape(size, index.dim).astype(np.float32)


def candidates(
    index: Index, query: Rows, k: int, chosen: Chosen, nprobe: int, margin: float
) -> Ids:
    """Ids of the chosen items in the `nprobe` lists nearest to `query`, (dim,) float32, whose
    scores are at most `margin` below the k-th best of them.

    The result may hold more ids than that, in no order: the caller computes the exact scores. If
    these lists hold fewer than k chosen items, more lists are searched; the result holds fewer than
    k ids only if there are no more. It is exact for a flat index, or if all lists are searched.
    """
    nprobe = index.nlist if chosen.few else min(nprobe, index.nlist)
    fetch = min(k + _EXTRA, index.count)
    enough = k if chosen.count is None else min(k, chosen.count)
    while fetch:
        scores, ids = _search(index, query[np.newaxis], fetch, chosen, nprobe)
        found = ids[0] >= 0
        number = int(found.sum())
        if number < enough and nprobe < index.nlist:
            nprobe = min(4 * nprobe, index.nlist)
        elif fetch == index.count or number < fetch or scores[0, -1] < scores[0, k - 1] - margin:
            return cast(Ids, ids[0][found])
        else:
            fetch = min(4 * fetch, index.count)
    return np.zeros(0, np.int64)


def scores(index: Index, query: Rows, k: int, nprobe: int) -> Scores:
    """The k best scores, or fewer, that a search in `nprobe` lists finds for `query`, (dim,)
    float32."""
    found, ids = _search(index, query[np.newaxis], k, all_but(np.zeros(0, np.int64)), nprobe)
    return cast(Scores, found[0][ids[0] >= 0])


def _search(index: Index, queries: Rows, k: int, chosen: Chosen, nprobe: int) -> tuple[Scores, Ids]:
    if index.ivf:
        parameters = faiss.SearchParametersIVF(sel=chosen.selector, nprobe=nprobe)
    else:
        parameters = faiss.SearchParameters(sel=chosen.selector)
    found: tuple[Scores, Ids] = index.faiss.search(queries, k, params=parameters)
    return found
