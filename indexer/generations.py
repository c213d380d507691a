"""Generations: immutable index files, published whole or not at all, and never trusted blindly."""

import hashlib
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from indexer import catalogue, journal
from indexer.errors import GenerationError
from indexer.records import Kind

if TYPE_CHECKING:
    from indexer.ann import Index

_WORTHWHILE = 0.01
"""Publish when this share of the items is not in the head or deleted from it: a picture added to a
million must not cost a million written."""


@dataclass(frozen=True)
class Opened:
    """A generation in memory."""

    row: catalogue.Generation
    index: "Index"


class _Damaged(Exception):
    """A generation file that is not what was published; the message says how."""


def publish_pending(engine: Engine, directory: Path, kind: Kind) -> None:
    """Publish a new head for `kind` where it is worthwhile. For the holder of the writer lock.

    Raises GenerationError where the file cannot be written; searches stay exact without it.
    """
    with engine.begin() as db:
        current = catalogue.current_model(db)
        if current is None:
            return
        model_id, model = current
        kept = catalogue.kept_generations(db, kind, model_id)
        live, delta, deleted = catalogue.pending(db, kind, model_id, kept[0] if kept else None)
        if delta + deleted == 0 or delta + deleted < _WORTHWHILE * live:
            return
        from indexer import ann

        seq = catalogue.last_change(db)
        data = ann.build(catalogue.all_vectors(db, kind, model_id, model.dim), model.dim)

    name = f"{seq}-{uuid.uuid4()}.faiss"
    folder = directory / "generations"
    try:
        _write(folder, name, data)
    except OSError as error:
        raise GenerationError(
            f"{folder / name} could not be written ({error.strerror}); all items are safe and"
            " searched exactly, make room and run `align index` again"
        ) from error
    with engine.begin() as db:
        needed = journal.add_generation(
            db,
            kind=kind,
            model_id=model_id,
            seq=seq,
            name=name,
            bytes=len(data),
            sha256=hashlib.sha256(data).digest(),
            count=live,
            type=ann.TYPE,
            recall=ann.RECALL,
            faiss_version=ann.VERSION,
        )
    for path in folder.iterdir():
        if path.name not in needed:
            path.unlink()


def _write(folder: Path, name: str, data: bytes) -> None:
    folder.mkdir(exist_ok=True)
    temporary = folder / f"{name}.tmp"
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if temporary.stat().st_size != len(data):
        raise OSError(0, "it came out shorter than written")
    temporary.rename(folder / name)
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_newest(
    directory: Path, kept: Sequence[catalogue.Generation], dim: int, cached: Opened | None
) -> tuple[Opened | None, str | None]:
    """The newest of `kept` (head first) that is sound, and why it is not the head.

    None where none is sound, or none was ever published: then the whole library is the delta.
    """
    from indexer import ann

    reason = None
    for row in kept:
        if cached and cached.row.id == row.id:
            return cached, reason
        try:
            index = ann.load(_read(directory, row))
            if (index.flat.d, index.flat.ntotal) != (dim, row.count):
                raise _Damaged("holds other vectors than were published")
            return Opened(row, index), reason
        except (_Damaged, RuntimeError) as error:
            reason = reason or _sentence(row, error)
    return None, reason


def why_degraded(directory: Path, head: catalogue.Generation) -> str | None:
    """Why a search cannot use `head`, as far as its bytes tell; None where they are sound."""
    try:
        _read(directory, head)
    except _Damaged as error:
        return _sentence(head, error)
    return None


def _sentence(row: catalogue.Generation, error: Exception) -> str:
    return f"generations/{row.name} {error}; searching without it"


def _read(directory: Path, row: catalogue.Generation) -> bytes:
    try:
        data = (directory / "generations" / row.name).read_bytes()
    except OSError as error:
        raise _Damaged(f"cannot be read ({error.strerror})") from None
    if len(data) != row.size:
        raise _Damaged(f"is {len(data)} bytes long instead of {row.size}")
    if hashlib.sha256(data).digest() != row.sha256:
        raise _Damaged("is damaged (its checksum is wrong)")
    return data
