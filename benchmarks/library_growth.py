"""What people do with a library, and what it costs as the library grows.

    python benchmarks/library_growth.py [--counts 10000,100000] [--dim 640]

Each line is a process of its own: seconds of processor time, with those of its threads and
children, and peak memory in megabytes, on libraries of random vectors (see index_scale.py). A file
of texts with one line stands for any file that is added.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from index_scale import FIRST, Mixture, Texts, fill

from indexer import Filters, Library
from indexer.database import connection, journal
from retrieval.duplicates import find_duplicates
from retrieval.grouping import leaders

SHARE = 0.2
"""Of the items, deleted before `status` is measured."""
FORGOTTEN = 10_000
WARM = 50

Seconds = dict[str, float]


class Mixed(Texts):
    """The model of these libraries."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.name, self.fingerprint, self.dim = "mixture", "mixture", dim


@contextmanager
def timed(into: Seconds, name: str, times: int = 1) -> Iterator[None]:
    """Add the processor time of the block, divided by `times`."""
    began = time.process_time()
    yield
    into[name] = (time.process_time() - began) / times


def prepare(folder: Path, count: int, dim: int) -> Seconds:
    """A library with a generation; some of its files exist."""
    fill(folder, count, dim)
    with Library.open(folder) as library:
        library.rebuild(partial(Mixed, dim))
    for number in range(min(FORGOTTEN, count // 2)):
        (folder / f"{number:09d}.jpg").touch()
    return {}


def search(folder: Path, count: int, dim: int) -> Seconds:
    queries, found = Mixture(dim).texts(WARM + 2, seed=5), Seconds()
    with timed(found, "open"):
        library = Library.open(folder)
    with timed(found, "first search"):
        library.search(queries[0], 10)
    with timed(found, "warm search", WARM):
        for query in queries[1:-1]:
            library.search(query, 10)
    with timed(found, "search, k = 1,000"):
        library.search(queries[-1], 1000)
    return found


def filtered(folder: Path, count: int, dim: int) -> Seconds:
    query, found = Mixture(dim).texts(1, seed=6)[0], Seconds()
    filters = Filters.parse(after=FIRST.isoformat()[:16])
    with Library.open(folder) as library:
        library.search(query, 10)
        for name in ("first search with a filter", "the same filter again"):
            with timed(found, name):
                library.search(query, 10, filters=filters)
    return found


def grouped(library: Library, query: npt.NDArray[np.float32]) -> None:
    near = partial(library.near, kind="image")
    search = partial(library.search, kind="image")
    leaders(library, search, near, query, 50, set(), 0.97)


def group(folder: Path, count: int, dim: int) -> Seconds:
    query, found = Mixture(dim).texts(1, seed=6)[0], Seconds()
    with Library.open(folder) as library:
        library.search(query, 50)
        with timed(found, "plain search, k = 50"):
            library.search(query, 50)
        with timed(found, "first search with --group, k = 50"):
            grouped(library, query)
        with timed(found, "another one"):
            grouped(library, query)
    return found


def one_file(folder: Path, count: int, dim: int) -> Seconds:
    query, found = Mixture(dim).texts(1, seed=6)[0], Seconds()
    file = folder / "one.txt"
    with Library.open(folder) as library:
        library.search(query, 10)
        file.write_text("one")
        with timed(found, "index one new file"):
            library.index([file], partial(Mixed, dim))
        with timed(found, "search after it"):
            library.search(query, 10)
        file.write_text("another")
        with timed(found, "index one changed file"):
            library.index([file], partial(Mixed, dim))
    return found


def forget(folder: Path, count: int, dim: int) -> Seconds:
    paths = [folder / f"{number:09d}.jpg" for number in range(min(FORGOTTEN, count // 2))]
    found = Seconds()
    with Library.open(folder) as library, timed(found, f"forget {len(paths):,} files that exist"):
        library.forget(paths)
    return found


def status(folder: Path, count: int, dim: int) -> Seconds:
    found, database = Seconds(), folder / ".align" / connection.NAME
    engine = connection.connect(database, writable=True)
    with Library.open(folder) as library, timed(found, "status"):
        library.status()
    deleted = int(SHARE * count)
    with engine.begin() as db, timed(found, f"delete {deleted:,} items"):
        journal.delete_items(db, range(count - deleted, count))
    engine.dispose()
    with Library.open(folder) as library, timed(found, "status after it"):
        library.status()
    return found


def verify(folder: Path, count: int, dim: int) -> Seconds:
    found = Seconds()
    with Library.open(folder) as library, timed(found, "verify"):
        assert library.verify() == []
    return found


def duplicates(folder: Path, count: int, dim: int) -> Seconds:
    found = Seconds()
    with Library.open(folder) as library, timed(found, "duplicates"):
        find_duplicates(library)
    return found


def keep(folder: Path, count: int, dim: int) -> Seconds:
    found = Seconds()
    with Library.open(folder) as library:
        with timed(found, "backup"):
            library.backup(folder / "backup.db")
        with timed(found, "compact"):
            library.compact(partial(Mixed, dim))
    return found


PHASES: dict[str, Callable[[Path, int, int], Seconds]] = {
    phase.__name__: phase
    for phase in (
        *(prepare, search, filtered, group, one_file, verify, duplicates),
        *(keep, status, forget),
    )
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", default="10000,100000")
    parser.add_argument("--dim", type=int, default=640)
    parser.add_argument("--phase", choices=list(PHASES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    counts = [int(count) for count in given.counts.split(",")]
    if given.phase:
        seconds = PHASES[given.phase](given.folder, counts[0], given.dim)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "peak": peak}))
        return
    print("| items | what | processor time, s | peak memory, MB |\n|---|---|---|---|")
    for count in counts:
        folder = Path(tempfile.mkdtemp())
        try:
            for phase in PHASES:
                done = run(phase, folder, count, given.dim)
                for name, value in done["seconds"].items():
                    print(f"| {count:,} | {name} | {value:.4f} | {done['peak']:.0f} |", flush=True)
        finally:
            shutil.rmtree(folder)


def run(phase: str, folder: Path, count: int, dim: int) -> dict[str, dict[str, float]]:
    """One phase in a process of its own."""
    sizes = ["--counts", str(count), "--dim", str(dim), "--folder", str(folder)]
    done = subprocess.run(
        [sys.executable, __file__, *sizes, "--phase", phase],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    values: dict[str, dict[str, float]] = json.loads(done.stdout)
    return values


if __name__ == "__main__":
    main()
