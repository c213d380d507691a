"""Embeddings that another program made. Their items have no file that a run has read, so their root
is never scanned, and nothing but `Library.forget` takes them away."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from indexer.content import Content, Description
from indexer.database import catalogue, embeddings, journal, spelling
from indexer.errors import EmbeddingError, ModelMismatch
from indexer.folders import watching
from indexer.records import ImportReport, Model

CHUNK = 1_000


@dataclass(frozen=True)
class Imported:
    """One picture of another program's collection."""

    path: Path
    """Absolute; the file need not exist."""
    vector: npt.NDArray[np.floating]
    """(dim,), of any length but 0."""
    sha256: bytes | None = None
    """Of its bytes, if it is known."""
    description: Description = field(default_factory=Description)


def add(db: Connection, model: Model, some: Sequence[Imported]) -> ImportReport:
    """Add a portion of items, inside the caller's transaction. An item at a path that was imported
    before is replaced; one at a path that a watched folder holds is left out. Raises
    EmbeddingError for vectors of another dimension or without a direction."""
    rows = _unit([each.vector for each in some], model.dim)
    root_id = watching.watch_imports(db, catalogue.IMPORTS)
    current = catalogue.current_model(db)
    if current is not None and current[1].fingerprint != model.fingerprint:
        raise ModelMismatch(
            f"this library was made with {current[1].name}, and these embeddings with {model.name}:"
            " vectors of two models cannot be compared; give them a library of their own"
        )
    model_id = journal.add_model(db, model)
    if current is None:
        journal.use_model(db, model_id)
    watched = [root for root in catalogue.all_roots(db) if root.recursive]
    added, known = list[int](), 0
    stored: list[tuple[int, bytes]] = []
    replaced = 0
    for each, row in zip(some, rows, strict=True):
        path = os.fsencode(each.path)
        if any(spelling.within(path, root.path) for root in watched):
            known += 1
            continue
        relative = os.path.relpath(path, catalogue.IMPORTS)
        old = catalogue.files_within(db, root_id, relative)
        replaced += journal.delete_files(db, old)
        digest = each.sha256 or sha256(b"imported " + path).digest()
        file_id = journal.put_file(db, root_id, relative, 0, 0, digest)
        content = Content("image", digest)
        item_id = journal.add_item(db, file_id, 0, content)
        journal.describe_picture(db, file_id, each.description)
        stored.append((item_id, row))
        added.append(item_id)
    journal.add_embeddings(db, model_id, stored)
    journal.log_added(db, ((item_id, "image") for item_id in added))
    return ImportReport(added=len(added) - replaced, replaced=replaced, watched=known)


def require_none(db: Connection) -> None:
    """Raise ModelMismatch if anything was imported: it cannot be embedded with another model."""
    root = next((root for root in catalogue.all_roots(db) if root.imported), None)
    if root is not None and (n := len(catalogue.files_within(db, root.id, b""))):
        raise ModelMismatch(
            f"the library holds {n:,} imported items, which cannot be embedded again: forget them"
            f" first with `align forget {os.fsdecode(root.path)}`"
        )


def _unit(vectors: Sequence[npt.NDArray[np.floating]], dim: int) -> list[bytes]:
    if any(vector.shape != (dim,) for vector in vectors):
        shape = next(vector.shape for vector in vectors if vector.shape != (dim,))
        raise EmbeddingError(
            f"a vector has the shape {shape}, but the model has {dim} dimensions: name the model"
            " that made the embeddings"
        )
    rows = np.array(vectors, np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths == 0).any():
        raise EmbeddingError("a vector has no direction: its numbers must be finite and not all 0")
    return embeddings.encode((rows / lengths).astype(np.float32))


def portions(some: Iterable[Imported]) -> Iterator[list[Imported]]:
    """`some` in portions for `add`."""
    rest = iter(some)
    while portion := list(islice(rest, CHUNK)):
        yield portion
