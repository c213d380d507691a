"""Nearest neighbours with FAISS; no other file imports it."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, cast

import faiss
import numpy as np
import numpy.typing as npt

from encoder.system import one_thread_after_fork
from indexer.ann.exact_search import Scores
from indexer.ann.layout import FLAT_LIMIT, Layout
from indexer.ann.probing import expected_above, worthwhile
from indexer.database.embeddings import CHUNK, Ids, Rows, Vectors
from indexer.recall_curve import Probing

VERSION: str = faiss.__version__

Pieces = Callable[[], Iterable[Vectors]]

one_thread_after_fork(faiss.omp_set_num_threads)

_EXTRA = 16
_reading = threading.Lock()
_AT_ONCE = 8


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

    @cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """How many items each list holds, (nlist,)."""
        if self.ivf is None:
            return np.array([self.count])
        lists = self.ivf.invlists
        return np.array([lists.list_size(number) for number in range(self.nlist)], np.int64)


@dataclass(frozen=True)
class Chosen:
    """Which items of an index a search may return."""

    selector: faiss.IDSelector
    count: int
    """At most so many items are chosen."""
    exact: bool
    """Whether they are so few that a search scores all of them, as a flat index would."""


def all_but(without: Ids, index: Index) -> Chosen:
    """All items of `index` except those with the ids `without`."""
    # A selector is used even if nothing is left out. Without it, FAISS would spread a single query
    # over threads that wait for each other: on busy cores, 2 ms of work became 24 ms.
    selector = faiss.IDSelectorNot(faiss.IDSelectorBatch(without))
    return Chosen(selector, index.count, exact=False)


def only(allowed: Ids) -> Chosen:
    """Only the items with the ids `allowed`."""
    bits = np.zeros(int(allowed.max(initial=0)) + 1, bool)
    bits[allowed] = True
    bitmap = faiss.IDSelectorBitmap(np.packbits(bits, bitorder="little"))
    return Chosen(bitmap, len(allowed), exact=len(allowed) <= FLAT_LIMIT)


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


def extended(index: Index, without: Ids, new: Vectors) -> Index:
    """`index`, which has lists, without some of its items and with `new` ones, in the same lists.
    The result is a copy in memory."""
    old = index.ivf
    assert old is not None
    centroids = faiss.IndexFlatIP(index.dim)
    centroids.add(old.quantizer.reconstruct_n(0, index.nlist))
    ivf = faiss.IndexIVFScalarQuantizer(
        centroids,
        index.dim,
        index.nlist,
        faiss.ScalarQuantizer.QT_fp16,
        faiss.METRIC_INNER_PRODUCT,
        False,
    )
    ivf.is_trained = True
    without = np.sort(without)
    ids, rows = new
    own = _lists_of(ivf, rows) if len(ids) else np.zeros(0, np.int32)
    grown = np.bincount(own, minlength=index.nlist)
    filled = np.zeros(index.nlist, np.int64)
    for number in range(index.nlist):
        kept, codes = _list(index, number)
        there = ~np.isin(kept, without)
        kept, codes = kept[there], codes[there]
        ivf.invlists.resize(number, len(kept) + int(grown[number]))
        if len(kept):
            _put(ivf, number, 0, kept, codes)
        filled[number] = len(kept)
    _add(ivf, own, ids, rows, filled)
    ivf.ntotal = int(filled.sum())
    return Index(ivf, ivf)


def _fill(ivf: faiss.IndexIVFScalarQuantizer, pieces: Pieces) -> None:
    """Add all pieces. `ivf.add_with_ids` would need up to twice the memory, since lists grow."""
    assigned = [_lists_of(ivf, rows) for _, rows in pieces()]
    sizes = np.bincount(np.concatenate(assigned), minlength=ivf.nlist)
    for number, size in enumerate(sizes.tolist()):
        ivf.invlists.resize(number, size)
    filled = np.zeros(ivf.nlist, np.int64)
    for (ids, rows), own in zip(pieces(), assigned, strict=True):
        _add(ivf, own, ids, rows, filled)
    ivf.ntotal = int(sizes.sum())


def _lists_of(ivf: faiss.IndexIVFScalarQuantizer, rows: Rows) -> npt.NDArray[np.int32]:
    own: npt.NDArray[np.int32] = ivf.quantizer.search(rows, 1)[1][:, 0].astype(np.int32)
    return own


def _add(
    ivf: faiss.IndexIVFScalarQuantizer,
    own: npt.NDArray[np.int32],
    ids: Ids,
    rows: Rows,
    filled: npt.NDArray[np.int64],
) -> None:
    """Put rows into their `own` lists, which have room, behind what is `filled`, (nlist,)."""
    order = np.argsort(own, kind="stable")
    ids = np.ascontiguousarray(ids[order], np.int64)
    codes = np.ascontiguousarray(rows[order], "<f2")
    numbers, starts = np.unique(own[order], return_index=True)
    ends = [*starts.tolist(), len(own)][1:]
    for number, start, end in zip(numbers.tolist(), starts.tolist(), ends, strict=True):
        _put(ivf, number, int(filled[number]), ids[start:end], codes[start:end])
        filled[number] += end - start


def _put(
    ivf: faiss.IndexIVFScalarQuantizer,
    number: int,
    place: int,
    ids: Ids,
    codes: npt.NDArray[np.float16],
) -> None:
    """Write contiguous `ids` and `codes`, (n, dim), into a list from `place` on."""
    ivf.invlists.update_entries(
        number, place, len(ids), faiss.swig_ptr(ids), faiss.swig_ptr(codes.view(np.uint8))
    )


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


def load(path: Path, *, mapped: bool) -> Index:
    """The index that `write` wrote, read into memory, or `mapped` into it and read as needed.
    Raises RuntimeError if this version of FAISS cannot read it."""
    size = path.stat().st_size
    with _reading:
        # The file may come from somebody else: nothing in it can be larger than the file.
        faiss.set_deserialization_vector_byte_limit(size)
        faiss.set_deserialization_loop_limit(size)
        found = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
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
        for start in range(0, len(ids), CHUNK):
            piece = ids[start : start + CHUNK]
            yield piece, flat.reconstruct_n(start, len(piece))
        return
    pending: list[tuple[Ids, npt.NDArray[np.float16]]] = []
    count = 0
    for number in range(index.nlist):
        pending.append(_list(index, number))
        count += len(pending[-1][0])
        if count >= CHUNK or number == index.nlist - 1:
            ids, codes = (np.concatenate(parts) for parts in zip(*pending, strict=True))
            yield ids, codes.astype(np.float32)
            pending, count = [], 0


def some_rows(index: Index, count: int) -> Rows:
    """About `count` embeddings of an index with lists, from all of them; all if there are fewer."""
    step = max(1, index.count // count)
    rows, passed = [], 0
    for number in range(index.nlist):
        codes = _list(index, number)[1]
        rows.append(codes[-passed % step :: step].astype(np.float32))
        passed += len(codes)
    return np.concatenate(rows)


def list_numbers(index: Index) -> tuple[Ids, npt.NDArray[np.int32]]:
    """All ids in an index with lists, (n,) ascending, and the list that each is in."""
    ids = np.concatenate([_ids(index, number) for number in range(index.nlist)])
    numbers = np.repeat(np.arange(index.nlist, dtype=np.int32), index.sizes)
    order = np.argsort(ids)
    return ids[order], numbers[order]


def _ids(index: Index, number: int) -> Ids:
    """The ids in one list, (n,), copied."""
    assert index.ivf is not None
    lists = index.ivf.invlists
    size = lists.list_size(number)
    if not size:
        return np.zeros(0, np.int64)
    ids: Ids = faiss.rev_swig_ptr(lists.get_ids(number), size).copy()
    return ids


def _list(index: Index, number: int) -> tuple[Ids, npt.NDArray[np.float16]]:
    """Ids, (n,), and codes, (n, dim), of one list, copied."""
    ids = _ids(index, number)
    if not len(ids):
        return ids, np.zeros((0, index.dim), np.float16)
    assert index.ivf is not None
    lists = index.ivf.invlists
    codes = faiss.rev_swig_ptr(lists.get_codes(number), len(ids) * lists.code_size).copy()
    return ids, codes.view("<f2").reshape(len(ids), index.dim)


def candidates(
    index: Index, query: Rows, k: int, chosen: Chosen, probing: Probing, margin: float
) -> tuple[Ids, Scores]:
    """Ids and scores of chosen items, among them those that score at most `margin` below the k-th
    best that the search finds for `query`, (dim,) float32.

    The order is arbitrary, and so are the last digits of the scores: the caller computes the exact
    ones. The search is exact for a flat index and for few chosen items. Otherwise it looks into the
    `probing.nprobe` lists nearest to the query. Then it looks where `expected_above` foretells
    better ones, until all others together are expected to hold no more than `probing.missed` times
    k of them. The result is never short.
    """
    if not chosen.count:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    if index.ivf is None:
        return _best(index, query, None, k, chosen, margin)
    nearness, lists = (row[0] for row in index.ivf.quantizer.search(query[np.newaxis], index.nlist))
    left = np.ones(index.nlist, bool)
    look = np.arange(index.nlist if chosen.exact else min(index.nlist, probing.nprobe))
    ids, scores = np.zeros(0, np.int64), np.zeros(0, np.float32)
    while len(look):
        more, higher = _best(index, query, lists[look], k, chosen, margin)
        ids, scores = np.concatenate([ids, more]), np.concatenate([scores, higher])
        left[look] = False
        bar, remaining = _kth_best(scores, k), np.flatnonzero(left)
        most = max(_AT_ONCE, index.nlist - len(remaining))  # better items will raise the bar
        if len(scores) < k:
            look = remaining[:most]
            continue
        expected = expected_above(
            bar, probing, query, index.sizes[lists[remaining]], nearness[remaining]
        )
        look = remaining[worthwhile(expected, probing.missed * k)[:most]]
    near = scores >= bar - margin
    return ids[near], scores[near]


def _kth_best(scores: Scores, k: int) -> float:
    """Minus infinity for fewer than k scores."""
    return float(np.partition(scores, -k)[-k]) if len(scores) >= k else float("-inf")


def _best(
    index: Index,
    query: Rows,
    lists: npt.NDArray[np.int64] | None,
    k: int,
    chosen: Chosen,
    margin: float,
) -> tuple[Ids, Scores]:
    """Those of the chosen items in some `lists`, None for a flat index, that score at most `margin`
    below the k-th best of them, and perhaps some more."""
    fetch = min(k + _EXTRA, index.count)
    while fetch:
        scores, ids = np.empty((1, fetch), np.float32), np.empty((1, fetch), np.int64)
        if lists is None:
            parameters = faiss.SearchParameters(sel=chosen.selector)
            index.faiss.search(query[np.newaxis], fetch, params=parameters, D=scores, I=ids)
        else:
            _search_lists(index, query, lists, chosen, scores, ids)
        number = int(np.count_nonzero(ids[0] >= 0))
        if fetch == index.count or number < fetch or scores[0, -1] < scores[0, k - 1] - margin:
            return ids[0, :number], scores[0, :number]
        fetch = min(4 * fetch, index.count)
    return np.zeros(0, np.int64), np.zeros(0, np.float32)


def _search_lists(
    index: Index,
    query: Rows,
    lists: npt.NDArray[np.int64],
    chosen: Chosen,
    scores: Scores,
    ids: Ids,
) -> None:
    """Fill `scores` and `ids`, (1, k) each. The method of the Python package takes no selector."""
    parameters = faiss.SearchParametersIVF(sel=chosen.selector, nprobe=len(lists))
    lists = np.ascontiguousarray(lists, np.int64)
    query = np.ascontiguousarray(query, np.float32)
    unused = np.zeros(len(lists), np.float32)
    assert index.ivf is not None
    index.ivf.search_preassigned_c(
        1,
        faiss.swig_ptr(query),
        scores.shape[1],
        faiss.swig_ptr(lists),
        faiss.swig_ptr(unused),
        faiss.swig_ptr(scores),
        faiss.swig_ptr(ids),
        False,
        parameters,
    )


def in_lists(index: Index, queries: Rows, k: int, nprobe: int) -> tuple[Scores, Ids]:
    """Scores and ids, (q, k) each, of the k best items in the `nprobe` lists nearest to each query,
    best first. Ids are -1 where there are no more."""
    parameters = faiss.SearchParametersIVF(
        sel=all_but(np.zeros(0, np.int64), index).selector, nprobe=nprobe
    )
    found: tuple[Scores, Ids] = index.faiss.search(queries, k, params=parameters)
    return found
