"""What one search sees of one kind of item: a generation, the delta, and what is deleted."""

from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from indexer import catalogue, generations
from indexer.catalogue import Vectors
from indexer.errors import EmbeddingError
from indexer.records import Kind, Model, Neighbours

_MARGIN = 1e-5
"""Float32 sums of the same products in another order differ by less, for vectors of length 1."""


@dataclass(frozen=True)
class View:
    """One committed state of the library."""

    model_id: int
    model: Model
    seq: int
    head_id: int | None
    opened: generations.Opened | None
    deleted: frozenset[int]
    delta: Vectors
    degraded: str | None


def refresh(db: Connection, directory: Path, kind: Kind, cached: View | None) -> View | None:
    """The state that `db` sees: `cached` itself where nothing moved on; None without a model."""
    current = catalogue.current_model(db)
    if current is None:
        return None
    model_id, model = current
    seq = catalogue.last_change(db)
    kept = catalogue.kept_generations(db, kind, model_id)
    head_id = kept[0].id if kept else None
    if cached and (cached.model_id, cached.seq, cached.head_id) == (model_id, seq, head_id):
        return cached
    opened, degraded = None, None
    if kept:
        opened, degraded = generations.open_newest(
            directory, kept, model.dim, cached.opened if cached else None
        )
    since = opened.row.seq if opened else 0
    return View(
        model_id=model_id,
        model=model,
        seq=seq,
        head_id=head_id,
        opened=opened,
        deleted=catalogue.deleted_since(db, kind, since),
        delta=catalogue.delta_vectors(db, kind, model_id, model.dim, since),
        degraded=degraded,
    )


def nearest(
    view: View,
    query: npt.NDArray[np.float32],
    k: int,
    exclude: Set[int],
    allowed: npt.NDArray[np.int64] | None = None,
) -> Neighbours:
    """The k items nearest to `query`, (dim,) float32, of those not in `exclude` and, where it is
    given, in `allowed`, ids ascending.

    Raises EmbeddingError for a query that is not finite or not of the model's dimension.
    """
    query = np.ascontiguousarray(query, np.float32)
    if query.shape != (view.model.dim,) or not np.isfinite(query).all():
        raise EmbeddingError(
            f"a query must be {view.model.dim} finite numbers, as {view.model.name} embeds;"
            " embed it with the library's own model"
        )
    if k < 1:
        return empty(view.degraded)
    if allowed is not None:
        held = np.concatenate([view.delta[0], view.opened.index.ids if view.opened else []])
        exclude = exclude | set(held[~np.isin(held, allowed)].astype(np.int64).tolist())
    margin = _MARGIN * float(np.linalg.norm(query))
    parts = [_delta_candidates(view.delta, query, k, exclude, margin)]
    if view.opened:
        from indexer import ann

        without = view.deleted | exclude
        parts.append(ann.candidates(view.opened.index, query, k, without, margin))
    ids = np.concatenate([part[0] for part in parts])
    scores = _exact_scores(np.concatenate([part[1] for part in parts]), query)
    order = np.lexsort((ids, -scores))[:k]
    return Neighbours(ids[order], scores[order], view.degraded)


def empty(degraded: str | None = None) -> Neighbours:
    """Nothing found."""
    return Neighbours(np.zeros(0, np.int64), np.zeros(0, np.float32), degraded)


def _delta_candidates(
    delta: Vectors, query: npt.NDArray[np.float32], k: int, exclude: Set[int], margin: float
) -> Vectors:
    ids, vectors = delta
    rough = vectors @ query
    if exclude:
        rough[np.isin(ids, np.fromiter(exclude, np.int64, len(exclude)))] = -np.inf
    near = rough > -np.inf
    if k < len(ids):
        near &= rough >= np.partition(rough, -k)[-k] - margin
    return ids[near], vectors[near]


def _exact_scores(
    vectors: npt.NDArray[np.float32], query: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Row by row in float64: equal vectors get equal scores wherever they were stored, which
    neither BLAS nor FAISS promises."""
    products: npt.NDArray[np.float64] = np.einsum(
        "nd,d->n", vectors.astype(np.float64), query.astype(np.float64)
    )
    return products.astype(np.float32)
