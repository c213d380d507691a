"""Memory, time and recall of an index of a million vectors, each phase in its own process.

    python benchmarks/index_scale.py [--count 1000000] [--dim 640] [--folder FOLDER] [--grow]

The vectors are a mixture of clusters. The queries ("texts") lie apart from them by a common shift,
as texts and pictures do in a trained space.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sqlalchemy import Engine

from encoder import FakeEncoder
from indexer import Filters, Library
from indexer.ann.generations import publish
from indexer.ann.layout import layout
from indexer.ann.tuning import Queries
from indexer.content import Content
from indexer.database import connection, embeddings, journal
from indexer.folders import watching
from indexer.records import Model
from indexer.search import view

PIECE = 20_000
CLUSTERS = 3000
FIRST = datetime(2020, 1, 1)


class Mixture:
    """Pictures and texts around the same cluster centres; a shift keeps the two apart."""

    def __init__(self, dim: int) -> None:
        rng = np.random.default_rng(0)
        self._centres = rng.normal(size=(CLUSTERS, dim)).astype(np.float32)
        self._shift = 0.7 * rng.normal(size=dim).astype(np.float32)

    def pictures(self, count: int, seed: int) -> npt.NDArray[np.float32]:
        return self._draw(count, seed, 0.9, -self._shift)

    def texts(self, count: int, seed: int) -> npt.NDArray[np.float32]:
        return self._draw(count, seed, 0.6, self._shift)

    def _draw(
        self, count: int, seed: int, spread: float, shift: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        rng = np.random.default_rng((1, seed))
        rows = self._centres[rng.integers(CLUSTERS, size=count)] + shift
        rows += spread * rng.standard_normal(rows.shape, dtype=np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows


class Texts(FakeEncoder):
    """Embeds any texts as queries of the mixture."""

    def __init__(self, dim: int) -> None:
        super().__init__("mixture", "mixture")
        self._mixture = Mixture(dim)

    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return self._mixture.texts(len(texts), seed=7)


def picture(digest: bytes, number: int, count: int) -> Content:
    """One of `count` pictures; each was taken in another minute, in no special order."""
    return Content(
        "image",
        digest,
        width=4000,
        height=3000,
        format="JPEG",
        taken_at=FIRST + timedelta(minutes=number * 7919 % count),
        camera="Canon EOS 5D Mark III",
        lens="EF24-105mm f/4L IS USM",
        latitude=48.86,
        longitude=2.35,
    )


def fill(folder: Path, count: int, dim: int) -> dict[str, float]:
    """Write the database as an indexing run would have left it."""
    with Library.create(folder) as library:
        engine = connection.connect(library.path / "library.db", writable=True)
        start_filling(engine, folder, dim)
        add(engine, Mixture(dim), range(count), count)
        connection.checkpoint(engine)
        engine.dispose()
        return {"database_mb": (library.path / "library.db").stat().st_size / 1e6}


def start_filling(engine: Engine, folder: Path, dim: int) -> None:
    with engine.begin() as db:
        journal.use_model(db, journal.add_model(db, Model("mixture", "mixture", dim)))
        watching.watch(db, os.fsencode(folder), recursive=True)


def add(engine: Engine, mixture: Mixture, numbers: range, count: int) -> None:
    """Add some of `count` pictures."""
    for start in range(numbers.start, numbers.stop, PIECE):
        stop = min(start + PIECE, numbers.stop)
        rows = embeddings.encode(mixture.pictures(stop - start, start))
        with engine.begin() as db:
            news = []
            for i, row in enumerate(rows, start):
                name = b"%09d.jpg" % i
                digest = sha256(name).digest()
                file_id = journal.put_file(db, 1, name, 1, 1, digest)
                news.append((journal.add_item(db, file_id, 0, picture(digest, i, count)), row))
            journal.add_embeddings(db, 1, news)
            journal.log_added(db, [(id, "image") for id, _ in news])


def grow(folder: Path, count: int, dim: int) -> dict[str, object]:
    """From a fifth to all in steps of 1 %: what all generations cost, compared with one build."""
    mixture, queries = Mixture(dim), Queries(Mixture(dim).texts(500, seed=7), "texts")
    spent, sizes, spools, steps = 0.0, [], [], 0
    with Library.create(folder / "grown") as library:
        engine = connection.connect(library.path / "library.db", writable=True)
        start_filling(engine, folder, dim)
        with engine.begin() as db:
            journal.want_layout(db, "ivf", None)
        there = 0
        while there < count:
            step = max(1, there // 100) if there else count // 5
            add(engine, mixture, range(there, min(there + step, count)), count)
            there = min(there + step, count)
            steps += 1
            began, before = time.process_time(), newest(library)
            publish(engine, library.path, "image", lambda: queries)
            spent += time.process_time() - began
            if newest(library) != before:
                generation = library.status().generations[0]
                sizes.append(generation.bytes)
                if generation.curve and generation.curve.trained[0] == generation.count:
                    spools.append(generation.bytes)  # the embeddings were copied first
        began = time.process_time()
        publish(engine, library.path, "image", lambda: queries, force=True)
        build = time.process_time() - began
        engine.dispose()
        generation = library.status().generations[0]
    return {
        "steps": steps,
        "generations": len(sizes),
        "processor_s": spent,
        "one_build_s": build,
        "builds": spent / build,
        "trainings": len(spools),
        "written_over_final": (sum(sizes) + sum(spools)) / generation.bytes,
        "recall_measured": generation.recall,
    }


def newest(library: Library) -> Path:
    """The index file that was written last; the library itself if there is none."""
    files = (library.path / "generations").glob("*.faiss")
    return max(files, key=lambda path: path.stat().st_mtime_ns, default=library.path)


def build(folder: Path, count: int, dim: int) -> dict[str, object]:
    with Library.open(folder) as library:
        before = memory("VmRSS")
        began = time.monotonic()
        library.rebuild(lambda: Texts(dim), layout="ivf" if layout(count).nlist is None else "auto")
        seconds = time.monotonic() - began
        generation = library.status().generations[0]
    return {
        "seconds": seconds,
        "file_mb": generation.bytes / 1e6,
        "peak_mb": memory("VmHWM") - before,
        "peak_over_file": (memory("VmHWM") - before) / (generation.bytes / 1e6),
        "nlist": generation.nlist,
        "nprobe": generation.nprobe,
        "recall_measured": generation.recall,
        "lowest_measured": generation.curve.lowest.recall if generation.curve else 1.0,
        "probing": str(generation.curve and generation.curve.probing),
    }


def search(folder: Path, count: int, dim: int) -> dict[str, object]:
    """200 queries that the index was not measured with: opening, memory and time."""
    queries = Mixture(dim).texts(200, seed=99)
    with Library.open(folder) as library:
        before = memory("VmRSS")
        began = time.monotonic()
        library.search(queries[0], 10)
        opening = time.monotonic() - began
        times = []
        for query in queries:
            began = time.monotonic()
            library.search(query, 10)
            times.append(time.monotonic() - began)
        peak = memory("VmHWM") - before
        size = library.status().generations[0].bytes / 1e6
    return {
        "opening_s": opening,
        "peak_mb": peak,
        "peak_over_file": peak / size,
        "median_ms": float(np.median(times)) * 1e3,
        "p99_ms": float(np.quantile(times, 0.99)) * 1e3,
    }


def recall(folder: Path, count: int, dim: int) -> dict[str, object]:
    """Recall and median milliseconds of 60 queries that the index was not measured with, for the
    10 and the 100 best, without a filter and with filters."""
    queries = Mixture(dim).texts(60, seed=99)
    ids, scores = np.zeros(0, np.int64), np.zeros((len(queries), 0), np.float32)
    measured: dict[str, object] = {}
    with Library.open(folder) as library:
        engine = connection.connect(library.path / "library.db", writable=False)
        with engine.begin() as db:
            portions = [
                (some, queries @ rows.T)
                for some, rows in embeddings.all_vectors(db, "image", 1, dim)
            ]
            ids = np.concatenate([some for some, _ in portions])
            scores = np.hstack([part for _, part in portions])
            seen = view.refresh(db, library.path, "image", None)
            assert seen is not None
            chance = np.random.default_rng(5).random(len(ids))
            ranks = scores.argsort(axis=1).argsort(axis=1) / len(ids)
            filters: dict[str, npt.NDArray[np.bool_]] = {
                "random half": np.broadcast_to(chance < 0.5, scores.shape),
                "random fifth": np.broadcast_to(chance < 0.2, scores.shape),
                "nearest half": ranks >= 0.5,
                "farthest half": ranks < 0.5,
                "all but nearest sixth": ranks < 5 / 6,
            }
            for name, passes in {"all": ranks >= 0, **filters}.items():
                for k in (10, 100):
                    hits, times = [], []
                    for query, row, some in zip(queries, scores, passes, strict=True):
                        allowed = None if name == "all" else ids[some]
                        best = np.argpartition(np.where(some, row, -2), -k)[-k:]
                        began = time.monotonic()
                        found = view.nearest(db, seen, query, k, frozenset(), allowed)
                        times.append(time.monotonic() - began)
                        hits.append(np.isin(ids[best], found.ids).mean())
                    measured[f"{name}@{k}"] = (
                        f"{np.mean(hits):.3f} (worst {np.min(hits):.2f})"
                        f" {np.median(times) * 1e3:.0f} ms"
                    )
        engine.dispose()
    return measured


def filtered(folder: Path, count: int, dim: int) -> dict[str, float]:
    """Median milliseconds of searches among a share of the pictures: of the first search with a
    filter, and of the second one with the same filter."""
    queries = Mixture(dim).texts(9, seed=98)
    medians = {}
    with Library.open(folder) as library:
        library.search(queries[0], 10)
        for share in (0.01, 0.1, 0.5):
            times: tuple[list[float], list[float]] = ([], [])
            for n, query in enumerate(queries):
                oldest = FIRST + timedelta(minutes=int(count * (1 - share)), seconds=n)
                filters = Filters.parse(after=oldest.isoformat())
                for kept in times:
                    began = time.monotonic()
                    library.search(query, 10, filters=filters)
                    kept.append(time.monotonic() - began)
            for name, kept in zip(("first", "again"), times, strict=True):
                medians[f"{name}_{share:.0%}_ms"] = float(np.median(kept)) * 1e3
    return medians


def memory(name: str) -> float:
    """Resident memory of this process in megabytes: now (VmRSS) or at its peak (VmHWM)."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024 / 1e6


PHASES: dict[str, Callable[[Path, int, int], dict[str, object] | dict[str, float]]] = {
    "fill": fill,
    "build": build,
    "search": search,
    "recall": recall,
    "filtered": filtered,
    "grow": grow,
}
ORDER = ["fill", "build", "search", "recall", "filtered"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=640)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--grow", action="store_true", help="let an index grow in small steps")
    parser.add_argument("--phase", choices=list(PHASES), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.phase:
        print(json.dumps(PHASES[given.phase](given.folder, given.count, given.dim)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        sizes = ["--count", str(given.count), "--dim", str(given.dim), "--folder", str(folder)]
        for phase in ["grow"] if given.grow else ORDER:
            done = subprocess.run(
                [sys.executable, __file__, *sizes, "--phase", phase],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            values = json.loads(done.stdout)
            line = ", ".join(
                f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
                for name, value in values.items()
            )
            print(f"{phase}: {line}", flush=True)


if __name__ == "__main__":
    main()
