"""Check that the index files hold the same embeddings as the database."""

from collections.abc import Iterable, Iterator, Set
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, select

from indexer.ann import generations
from indexer.database import catalogue
from indexer.database.embeddings import deleted_since, vectors_of
from indexer.database.rows import Generation
from indexer.database.schema import changes, embeddings, items
from indexer.integrity.findings import embedding_finding, listed
from indexer.records import KINDS, Finding, Model

_SAMPLE = 10_000
"""Most embeddings of a generation that are compared with the database."""

Ids = npt.NDArray[np.int64]


def damaged_generations(db: Connection, directory: Path, bad: Set[int]) -> Iterator[Finding]:
    """Generations that no search can use, and embeddings that differ from their generation; `bad`
    are the items whose embeddings are known to be damaged."""
    strays = catalogue.generation_names(db)
    current = catalogue.current_model(db)
    if current:
        for kind in KINDS:
            for row in catalogue.kept_generations(db, kind, current[0]):
                strays.remove(row.name)
                yield from _generation(db, directory, row, *current, bad)
    for name in strays:
        yield _unusable(name, "belongs to no kind or model that is searched")


def location(name: str) -> str:
    """Where the index file `name` lies in the library directory."""
    return f"generations/{name}"


def _unusable(name: str, problem: str) -> Finding:
    return Finding("generation", location(name), problem, True)


def _generation(
    db: Connection,
    directory: Path,
    row: Generation,
    model_id: int,
    model: Model,
    bad: Set[int],
) -> Iterator[Finding]:
    try:
        opened, reason = generations.open_newest(directory, [row], model.dim, None)
    except ValueError as error:  # no file can have this name
        opened, reason = None, str(error)
    if opened is None:
        problem = str(reason).removeprefix(f"{location(row.name)} ")
        yield _unusable(row.name, problem.removesuffix("; searching without it"))
        return

    from indexer.ann import faiss_index

    live = _sorted(
        db.execute(
            select(items.c.id)
            .join(embeddings, embeddings.c.item_id == items.c.id)
            .where(items.c.kind == row.kind, embeddings.c.model_id == model_id)
        ).scalars()
    )
    since = select(changes.c.item_id).where(
        changes.c.seq > row.seq, changes.c.kind == row.kind, changes.c.op == "add"
    )
    delta = np.intersect1d(_sorted(db.execute(since).scalars()), live)
    deleted = _sorted(deleted_since(db, row.kind, row.seq))
    stored = np.concatenate(
        [np.zeros(0, np.int64), *(p[0] for p in faiss_index.contents(opened.index))]
    )
    shown = np.setdiff1d(stored, deleted)
    of_kind = _sorted(db.execute(select(items.c.id).where(items.c.kind == row.kind)).scalars())
    for id in np.setdiff1d(np.intersect1d(shown, of_kind), live).tolist():
        if id not in bad:
            yield embedding_finding(id, "has lost its embedding")
    for problem, ids in (
        ("lacks items", np.setdiff1d(live, np.union1d(shown, delta))),
        ("has items that are deleted", np.setdiff1d(shown, of_kind)),
        ("has items that are newer than it", np.intersect1d(shown, delta)),
    ):
        if len(ids):
            yield _unusable(row.name, f"{problem}: {listed(ids.tolist())}")
    start = catalogue.log_start(db, row.kind)
    if start is not None and start > row.seq:
        yield _unusable(row.name, "is older than the log of changes")
    if len(np.unique(stored)) < len(stored):
        yield _unusable(row.name, "has items twice")

    comparable = np.setdiff1d(np.intersect1d(shown, live), _sorted({*bad, *delta.tolist()}))
    if len(comparable) > _SAMPLE:
        comparable = np.sort(np.random.default_rng().choice(comparable, _SAMPLE, replace=False))
    for ids, rows in faiss_index.contents(opened.index):
        chosen = np.isin(ids, comparable)
        order = np.argsort(ids[chosen])
        wanted, mine = vectors_of(db, model_id, model.dim, ids[chosen].tolist())
        differs = (rows[chosen][order].astype("<f2") != mine.astype("<f2")).any(axis=1)
        for id in wanted[differs].tolist():
            # The checksum of the file is right, so the database has changed.
            yield embedding_finding(id, "its embedding differs from the one in the index")


def _sorted(ids: Iterable[int]) -> Ids:
    return np.unique(np.fromiter(ids, np.int64))
