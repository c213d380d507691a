"""A crowd around one library: a writer, a compactor and readers, each in its own process.

``python -m tests.faults.crowd ROLE FOLDER SECONDS [READER]`` prints what it did as JSON. The
library is FOLDER/photos. The writer leaves every committed state in FOLDER/states, in a file named
by the last change that the state holds. A reader leaves every answer in FOLDER/answers.
"""

import json
import random
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import cache, partial
from hashlib import sha256
from itertools import count, cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from encoder.fake import FakeEncoder
from indexer import LayoutChoice, Library, LibraryLocked, NullProgress

PICTURES = 320
PATIENCE = 60
"""Seconds that a process may take beyond the time given, to do the least that it must do."""

QUESTIONS = tuple(f"question {n}" for n in range(60))


class Reader(NamedTuple):
    """A process that searches."""

    threads: int
    """Threads that share a library."""
    reopen: int | None
    """Searches after which a thread opens a library of its own; None for never."""


READERS = {
    "alone": Reader(threads=1, reopen=None),
    "fresh": Reader(threads=1, reopen=10),
    "pair": Reader(threads=2, reopen=None),
    "many": Reader(threads=4, reopen=50),
}


class Directions(FakeEncoder):
    """Every colour and every text has its own direction, so that lists of neighbours overlap."""

    dim = 24

    def encode_images(self, pictures):
        numbers = [int.from_bytes(np.asarray(p).reshape(-1, 3)[0].tobytes()) for p in pictures]
        return np.array([direction(number) for number in numbers])

    def encode_texts(self, texts):
        return np.array([direction(sha256(text.encode()).digest()) for text in texts])


@cache
def direction(of: int | bytes) -> np.ndarray:
    """A unit vector, (dim,) float32."""
    seed = of if isinstance(of, int) else int.from_bytes(of)
    row = np.random.default_rng(seed).normal(size=Directions.dim)
    return (row / np.linalg.norm(row)).astype(np.float32)


@contextmanager
def looking(photos: Path) -> Iterator[sqlite3.Connection]:
    """The database, read as any other program may read it (docs/library-format.md)."""
    uri = (photos / ".align/library.db").as_uri() + "?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as db:
        yield db


def last_change(db: sqlite3.Connection) -> int:
    return db.execute("SELECT max(seq) FROM changes").fetchone()[0]


def in_turn(work: Callable[[], object], end: float) -> int | None:
    """Do `work` as soon as no other process writes. Returns how often it was refused, or None if it
    was refused until `end`."""
    refused = 0
    while True:
        try:
            work()
        except LibraryLocked:
            if time.monotonic() > end:
                return None
            refused += 1
            time.sleep(0.005)
        else:
            return refused


def heads(library: Library) -> list[tuple[str, int | None, int | None]]:
    return [(g.type, g.nlist, g.nprobe) for g in library.status().generations]


class Writer(NullProgress):
    """Changes pictures, indexes them, and compares what was committed with the changes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.photos = folder, folder / "photos"
        self.random = random.Random(1)
        self.shown: dict[Path, int] = {}
        self.numbers: dict[bytes, int] = {}
        self.unused = count(1)
        self.ids: dict[Path, int] = {}
        self.doomed: set[int] = set()
        self.state: set[int] = set()
        self.report: dict[str, Any] = {"runs": 0, "refused": 0, "problems": [], "heads": []}
        for part in ("a", "b"):
            (self.photos / part).mkdir(parents=True)
        (folder / "states").mkdir()

    def paint(self, path: Path) -> None:
        """Paint a picture that was never shown before."""
        self.shown[path] = next(self.unused)
        Image.new("RGB", (4, 4), tuple(self.shown[path].to_bytes(3))).save(path)
        self.numbers[sha256(path.read_bytes()).digest()] = self.shown[path]

    def change(self) -> dict[Path, Path]:
        """Make some changes of every kind. Returns old paths by new paths of what was moved."""
        chosen = {self.shown[path]: path for path in self.random.sample(sorted(self.shown), 20)}
        victims = iter(chosen.values())
        moved = {}
        for _ in range(self.random.randint(0, 3)):
            old = next(victims)
            new = self.new_place()
            self.shown[new] = self.shown.pop(old)
            old.rename(new)
            moved[new] = old
        for _ in range(self.random.randint(0, 2)):
            source, new = next(victims), self.new_place()
            new.write_bytes(source.read_bytes())
            self.shown[new] = self.shown[source]
        for _ in range(self.random.randint(0, 3)):
            path = next(victims)
            self.doomed.add(self.ids[path])
            self.paint(path)
        while len(self.shown) > PICTURES and (surplus := next(victims, None)):
            self.doomed.add(self.ids[surplus])
            surplus.unlink()
            del self.shown[surplus]
        for _ in range(self.random.randint(1, 6)):
            self.paint(self.new_place())
        return moved

    def new_place(self) -> Path:
        return self.photos / self.random.choice("ab") / f"{next(self.unused)}.png"

    def advance(self, steps: int) -> None:
        """Keep the state that was just committed."""
        with looking(self.photos) as db:
            db.execute("BEGIN")
            seq = last_change(db)
            rows = db.execute("SELECT id, digest FROM items ORDER BY id").fetchall()
        ids = {id for id, _ in rows}
        for lost in self.state - ids - self.doomed:
            self.report["problems"].append(f"item {lost} was lost by change {seq}")
        self.state = ids
        file = self.folder / f"states/{seq}.npz"
        if not file.exists():
            vectors = [direction(self.numbers[digest]) for _, digest in rows]
            np.savez(file, ids=[id for id, _ in rows], rows=np.array(vectors).astype("<f2"))

    def index(self, library: Library, moved: dict[Path, Path], end: float) -> None:
        run = partial(library.index, [self.photos], Directions, batch_size=5, progress=self)
        refused = in_turn(run, end)
        if refused is None:
            return
        self.advance(0)
        self.report["runs"] += 1
        self.report["refused"] += refused
        self.report["heads"] += heads(library)
        self.compare(moved)
        self.doomed.clear()

    def compare(self, moved: dict[Path, Path]) -> None:
        top = max(self.ids.values(), default=0)
        with looking(self.photos) as db:
            rows = db.execute(
                "SELECT files.path, items.id, items.digest FROM items"
                " JOIN files ON files.id = items.file_id"
            ).fetchall()
        found = {self.photos / path.decode(): (id, digest) for path, id, digest in rows}
        problems = self.report["problems"]
        for path in self.shown.keys() ^ found.keys():
            problems.append(f"{path} is {'lost' if path in self.shown else 'still there'}")
        for path in self.shown.keys() & found.keys():
            id, digest = found[path]
            known = self.ids.get(moved.get(path, path))
            if self.numbers[digest] != self.shown[path]:
                problems.append(f"item {id} at {path} is another picture")
            if id != known and (id <= top or known not in {None, *self.doomed}):
                problems.append(f"{path} was item {known} and is {id} after {top}")
        self.ids = {path: id for path, (id, _) in found.items()}


def prepare(folder: Path) -> Writer:
    """A library of `PICTURES` pictures."""
    writer = Writer(folder)
    for _ in range(PICTURES):
        writer.paint(writer.new_place())
    with Library.create(writer.photos) as library:
        writer.index(library, {}, time.monotonic())
    return writer


def write(folder: Path, seconds: float) -> dict[str, Any]:
    writer = prepare(folder)
    (folder / "ready").touch()
    end = time.monotonic() + seconds
    with Library.open(writer.photos) as library:
        for number in count():
            limit = end if number >= 3 else end + PATIENCE
            if time.monotonic() > limit:
                break
            writer.index(library, writer.change(), limit)
            time.sleep(0.02)
    return writer.report | {"states": len(list((folder / "states").iterdir()))}


def compact(folder: Path, seconds: float) -> dict[str, Any]:
    """Rebuild again and again, with lists and without. Searches look into all lists."""
    report: dict[str, Any] = {"refused": 0, "heads": [], "log_bytes": 0}
    layouts: tuple[LayoutChoice, ...] = ("ivf", "flat")
    log = folder / "photos/.align/library.db-wal"
    end = time.monotonic() + seconds
    with Library.open(folder / "photos") as library:
        for number, layout in enumerate(cycle(layouts)):
            # Each layout at least once, even if the machine is busy.
            limit = end if number >= 2 else end + PATIENCE
            if time.monotonic() > limit:
                return report
            rebuild = partial(
                library.rebuild, Directions, layout=layout, target_recall=1.0, captions=QUESTIONS
            )
            refused = in_turn(rebuild, limit)
            if refused is not None:
                report["refused"] += refused
                report["heads"] += heads(library)
                report["log_bytes"] = max(report["log_bytes"], log.stat().st_size)
                time.sleep(0.02)
    return report


def read(folder: Path, seconds: float, name: str) -> dict[str, Any]:
    threads = READERS[name].threads
    end = time.monotonic() + seconds
    with Library.open(folder / "photos") as library, ThreadPoolExecutor(threads) as pool:
        asked = pool.map(lambda n: ask(folder, library, f"{name}-{n}", end), range(threads))
        return {"answers": sum(asked)}


def ask(folder: Path, library: Library, name: str, end: float) -> int:
    chance = random.Random(name)
    questions = Directions().encode_texts(QUESTIONS)
    reopen = READERS[name.split("-")[0]].reopen
    own: Library | None = None
    ids: list[int] = []
    with looking(folder / "photos") as db, open(folder / f"answers/{name}.jsonl", "w") as log:
        for number in count():
            if time.monotonic() > end and number >= 20:
                break
            if reopen and number % reopen == reopen - 1:
                if own:
                    own.close()
                own = Library.open(folder / "photos")
            question, k = chance.randrange(len(questions)), chance.choice([1, 10, 50, 1000])
            exclude = ids[:3] if chance.random() < 0.3 else []
            before = last_change(db)
            found = (own or library).search(questions[question], k, exclude=frozenset(exclude))
            after = last_change(db)
            ids = found.ids.tolist()
            row = [before, after, question, k, exclude, ids, found.scores.tolist(), found.degraded]
            log.write(json.dumps(row) + "\n")
    if own:
        own.close()
    return number


if __name__ == "__main__":
    role, folder, seconds, *rest = sys.argv[1:]
    roles: dict[str, Callable[..., dict[str, Any]]] = {
        "write": write,
        "compact": compact,
        "read": read,
    }
    print(json.dumps(roles[role](Path(folder), float(seconds), *rest)))
