"""What must be true of a library, whatever has happened to it."""

import hashlib
import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PIL import Image

from encoder.fake import FakeEncoder
from indexer import Library, LibraryNotFound
from indexer.database import embeddings
from indexer.records import KINDS
from retrieval.cli import main
from tests.faults.tally import Tally
from tests.faults.worker import fake_model

QUESTIONS = ("red", "green blue", "a dark night")


@dataclass(frozen=True)
class Content:
    """One picture or text, and the embedding it must have."""

    kind: str
    digest: bytes
    vector: bytes | None


@dataclass(frozen=True)
class Row:
    """An item as the database has it."""

    path: str
    position: int
    content: Content


Place = tuple[str, int]
"""A file's path relative to the folder, and the item's position in it."""


def contents(folder: Path) -> dict[Place, Content]:
    """What the library of `folder` must hold, computed from its files: PNGs and texts."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".png":
            found[name, 0] = _content("image", path.read_bytes(), Image.open(path))
        elif path.suffix == ".txt":
            for position, text in enumerate(path.read_text().splitlines()):
                found[name, position] = _content("text", text.encode(), text)
    return found


def _content(kind: str, data: bytes, what: Image.Image | str) -> Content:
    encoder = FakeEncoder()
    rows = encoder.encode_texts([what]) if isinstance(what, str) else encoder.encode_images([what])
    return Content(kind, hashlib.sha256(data).digest(), embeddings.encode(rows)[0])


def stored(folder: Path) -> dict[int, Row]:
    """Every item by id, straight from the database."""
    uri = (folder / ".align/library.db").as_uri() + "?mode=ro"
    query = """
        SELECT items.id, files.path, position, kind, items.digest, vector
        FROM items JOIN files ON files.id = file_id
        LEFT JOIN embeddings ON item_id = items.id AND model_id = (SELECT model_id FROM library)
    """
    with closing(sqlite3.connect(uri, uri=True)) as db:
        return {
            id: Row(os.fsdecode(path), position, Content(*content))
            for id, path, position, *content in db.execute(query)
        }


def pending(before: dict[int, Row], after: dict[Place, Content]) -> list[list[Place]]:
    """The places in each file that a run must read, in the order in which it does."""
    known = {(row.path, row.position, row.content) for row in before.values()}
    changed = {path for (path, at), content in after.items() if (path, at, content) not in known}
    return [[place for place in after if place[0] == path] for path in sorted(changed)]


@dataclass(frozen=True)
class Promise:
    """What a library must hold after an operation that began with the items `before`."""

    before: dict[int, Row]
    after: dict[Place, Content]
    """What it holds when the operation is done."""
    acknowledged: Collection[Place]
    """Places of `after` that were committed."""

    @property
    def kept(self) -> dict[int, Row]:
        """Items that the operation must not delete."""
        alive = set(self.after.values())
        return {id: row for id, row in self.before.items() if row.content in alive}


def check(
    folder: Path, promise: Promise, commands: Sequence[Sequence[str]], tally: Tally, where: object
) -> None:
    """Check the library in `folder`, run `commands` again, and check it once more."""
    look(folder, promise, tally, where)
    with tally.catching(where):
        for command in commands:
            with fake_model():
                done = CliRunner().invoke(main, list(command))
            if done.exit_code:
                tally.uncaught.append(f"{where}: run again: {done.output.strip()}")
        for problem in _unfinished(folder, promise):
            tally.wrong.append(f"{where}: run again: {problem}")


def look(folder: Path, promise: Promise, tally: Tally, where: object) -> None:
    """Count what is lost or wrong before the operation is done."""
    with tally.catching(where):
        for problem in _missing(folder, promise):
            tally.lost.append(f"{where}: {problem}")
        for problem in _wrong(folder, promise):
            tally.wrong.append(f"{where}: {problem}")


def _missing(folder: Path, promise: Promise) -> Iterator[str]:
    try:
        Library.open(folder).close()
    except LibraryNotFound as error:
        if promise.before or promise.acknowledged:
            yield str(error)
        return
    rows = stored(folder)
    yield from _lost(rows, promise)
    places = {(row.path, row.content) for row in rows.values()}
    for path, position in promise.acknowledged:
        if (path, promise.after[path, position]) not in places:
            yield f"{path} {position} was acknowledged"


def _lost(rows: dict[int, Row], promise: Promise) -> Iterator[str]:
    for id, row in promise.kept.items():
        if id not in rows or rows[id].content != row.content:
            yield f"item {id} was {row} and is {rows.get(id)}"


def _wrong(folder: Path, promise: Promise) -> Iterator[str]:
    try:
        library = Library.open(folder)
    except LibraryNotFound:
        return
    with library:
        rows = stored(folder)
        possible = {(row.path, row.content) for row in promise.before.values()}
        possible |= {(path, content) for (path, _), content in promise.after.items()}
        for id, row in rows.items():
            if (row.path, row.content) not in possible:
                yield f"item {id} is {row}, which no file ever was"
        yield from _wrong_answers(library, rows)


def _wrong_answers(library: Library, rows: dict[int, Row]) -> Iterator[str]:
    """Searches that differ from the scores of all embeddings, computed here."""
    for kind in KINDS:
        vectors = {
            id: row.content.vector
            for id, row in rows.items()
            if row.content.kind == kind and row.content.vector
        }
        ids = np.array(sorted(vectors), int)
        matrix = np.frombuffer(b"".join(vectors[id] for id in ids), "<f2")
        for question in QUESTIONS:
            query = FakeEncoder().encode_texts([question])[0]
            products = matrix.reshape(len(ids), 4).astype(np.float64) @ query.astype(np.float64)
            scores = products.astype(np.float32)
            order = np.lexsort((ids, -scores))
            found = library.search(query, len(ids) + 1, kind=kind)
            if found.ids.tolist() != ids[order].tolist():
                yield f"{question!r} finds {kind}s {found.ids} instead of {ids[order]}"
            elif not np.allclose(found.scores, scores[order], rtol=0, atol=1e-6):
                yield f"{question!r} scores {kind}s {found.scores} instead of {scores[order]}"


def _unfinished(folder: Path, promise: Promise) -> Iterator[str]:
    rows = stored(folder)
    found = {(row.path, row.position): row.content for row in rows.values()}
    if found != promise.after or len(rows) != len(found):
        yield f"it holds {sorted(found)} instead of {sorted(promise.after)}"
    yield from _lost(rows, promise)
    with Library.open(folder) as library:
        yield from _wrong_answers(library, rows)
        status = library.status()
        counts = [sum(row.content.kind == kind for row in rows.values()) for kind in KINDS]
        if list(status.counts.values()) != counts or status.failures or status.degraded:
            yield f"it says {status}"
        if sum(g.delta + g.deleted for g in status.generations):
            yield f"nothing is published: {status.generations}"
        yield from _litter(library.path)
        yield from (f"verify finds {finding}" for finding in library.verify())


def _litter(directory: Path) -> Iterator[str]:
    with closing(sqlite3.connect(directory / "library.db")) as db:
        names = {name for (name,) in db.execute("SELECT name FROM generations")}
    files = {path.name for path in (directory / "generations").iterdir()}
    if files != names:
        yield f"generations/ holds {sorted(files)} instead of {sorted(names)}"
    for path in directory.rglob("*"):
        if path.suffix in {".tmp", ".spool"} or path.name.endswith("-journal"):
            yield f"{path} was left behind"
