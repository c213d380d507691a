"""What one search sees of one kind of item: a generation, the delta, and the deleted items."""

from collections.abc import Set
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from indexer.ann import generations
from indexer.ann.exact_search import TOLERANCE, exact_scores
from indexer.database import catalogue, embeddings
from indexer.database.embeddings import Vectors
from indexer.database.rows import Generation
from indexer.errors import EmbeddingError
from indexer.records import Kind, Model, Neighbours

LOST = (
    "the database has lost rows of items, which are left out here: `align verify` shows the damage,"
    " `align repair` and then `align index` mend it"
)


@dataclass(frozen=True)
class View:
    """One committed state of the library."""

    model_id: int
    model: Model
    seq: int
    head: Generation | None
    opened: generations.Opened | None
    hidden: npt.NDArray[np.int64]
    """Ids that the generation must not return: they were deleted since, or are in the delta."""
    delta: Vectors
    degraded: str | None


def refresh(db: Connection, directory: Path, kind: Kind, cached: View | None) -> View | None:
    """The state that `db` sees: `cached` itself if nothing has changed; None without a model."""
    current = catalogue.searched_model(db)
    if current is None:
        return None
    model_id, model = current
    seq = catalogue.last_change(db)
    kept = catalogue.kept_generations(db, kind, model_id)
    head = kept[0] if kept else None
    if cached and cached.opened and cached.opened.is_cut(directory):
        cached = None
    if cached and (cached.model_id, cached.seq, cached.head) == (model_id, seq, head):
        return cached
    opened, degraded = None, None
    if kept:
        opened, degraded = generations.open_newest(
            directory, kept, model.dim, cached.opened if cached else None
        )
    if cached and (cached.model_id, cached.head) == (model_id, head) and cached.opened is opened:
        start = catalogue.log_start(db, kind)
        if start is not None and start <= cached.seq:
            return _extended(db, cached, kind, seq)
    since = opened.row.seq if opened else 0
    deleted = embeddings.deleted_since(db, kind, since)
    delta = embeddings.delta_vectors(db, kind, model_id, model.dim, since)
    return View(
        model_id=model_id,
        model=model,
        seq=seq,
        head=head,
        opened=opened,
        hidden=np.union1d(deleted, delta[0]),
        delta=delta,
        degraded=degraded,
    )


def _extended(db: Connection, view: View, kind: Kind, seq: int) -> View:
    """A view that differs only in the delta, brought to change `seq`. Only the items that changed
    since are read."""
    changed = embeddings.changed_since(db, kind, view.seq)
    if not len(changed):
        return replace(view, seq=seq)
    new_ids, new_rows = embeddings.vectors_of(db, view.model_id, view.model.dim, changed.tolist())
    ids, rows = view.delta
    if np.isin(ids, changed).any():
        kept = ~np.isin(ids, changed)
        ids, rows = ids[kept], rows[kept]
    if len(new_ids):
        ids, rows = np.concatenate([ids, new_ids]), np.concatenate([rows, new_rows])
    if len(new_ids) and not (np.diff(ids) > 0).all():
        order = np.argsort(ids)
        ids, rows = ids[order], rows[order]
    return replace(view, seq=seq, hidden=np.union1d(view.hidden, changed), delta=(ids, rows))


def nearest(
    db: Connection,
    view: View,
    query: npt.NDArray[np.float32],
    k: int,
    exclude: Set[int] = frozenset(),
    allowed: npt.NDArray[np.int64] | None = None,
    at_least: float = float("-inf"),
) -> Neighbours:
    """The k items nearest to `query`, (dim,) float32, among those that score `at_least` as much,
    are not in `exclude` and, where `allowed` is given, are in it. `db` must see the state that
    `view` is of.

    An embedding whose item has lost its row is left out, and `degraded` says so. Raises
    EmbeddingError for a query that is not finite or not of the model's dimension.
    """
    query = np.ascontiguousarray(query, np.float32)
    if query.shape != (view.model.dim,) or not np.isfinite(query).all():
        raise EmbeddingError(
            f"a query must be {view.model.dim} finite numbers, as {view.model.name} embeds;"
            " embed it with the library's own model"
        )
    if k < 1:
        return empty(view.degraded)
    excluded = np.fromiter(exclude, np.int64, len(exclude))
    wanted = k
    while True:
        ids, scores = _nearest_vectors(db, view, query, wanted, excluded, allowed)
        ids, scores = ids[scores >= at_least], scores[scores >= at_least]
        items = catalogue.items_by_id(db, ids)
        if len(items) >= k or len(ids) < wanted:
            break
        wanted *= 2  # some rows are lost: their places go to the next best items
    degraded = view.degraded
    if len(items) < len(ids):
        degraded = f"{degraded}; {LOST}" if degraded else LOST
        items = items[:k]
        there = np.isin(ids, [item.id for item in items])
        ids, scores = ids[there], scores[there]
    return Neighbours(ids, scores, tuple(items), degraded)


def empty(degraded: str | None = None) -> Neighbours:
    """Nothing found."""
    return Neighbours(np.zeros(0, np.int64), np.zeros(0, np.float32), (), degraded)


def _nearest_vectors(
    db: Connection,
    view: View,
    query: npt.NDArray[np.float32],
    k: int,
    excluded: npt.NDArray[np.int64],
    allowed: npt.NDArray[np.int64] | None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Ids and scores of the k embeddings nearest to `query`, best first."""
    margin = TOLERANCE * float(np.linalg.norm(query))
    ids, rows = _delta_candidates(view.delta, query, k, excluded, allowed, margin)
    if view.opened:
        near = _indexed_candidates(view, view.opened, query, k, excluded, allowed, margin)
        more = embeddings.vectors_of(db, view.model_id, view.model.dim, near)
        ids, rows = np.concatenate([ids, more[0]]), np.concatenate([rows, more[1]])
    scores = exact_scores(rows, query)
    order = np.lexsort((ids, -scores))[:k]
    return ids[order], scores[order]


def _delta_candidates(
    delta: Vectors,
    query: npt.NDArray[np.float32],
    k: int,
    excluded: npt.NDArray[np.int64],
    allowed: npt.NDArray[np.int64] | None,
    margin: float,
) -> Vectors:
    ids, rows = delta
    chosen = ~np.isin(ids, excluded)
    if allowed is not None:
        chosen &= np.isin(ids, allowed)
    ids, rows = (ids, rows) if chosen.all() else (ids[chosen], rows[chosen])
    if k >= len(ids):
        return ids, rows
    rough = rows @ query
    near = rough >= np.partition(rough, -k)[-k] - margin
    return ids[near], rows[near]


def _indexed_candidates(
    view: View,
    opened: generations.Opened,
    query: npt.NDArray[np.float32],
    k: int,
    excluded: npt.NDArray[np.int64],
    allowed: npt.NDArray[np.int64] | None,
    margin: float,
) -> npt.NDArray[np.int64]:
    from indexer.ann import faiss_index

    without = np.union1d(view.hidden, excluded)
    if allowed is None:
        chosen = faiss_index.all_but(without, opened.index)
    else:
        chosen = faiss_index.only(np.setdiff1d(allowed, without, assume_unique=True))
    return faiss_index.candidates(opened.index, query, k, chosen, opened.probing, margin)[0]
