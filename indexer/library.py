"""The facade: a library on disk."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
from sqlalchemy import Engine

from encoder.protocol import Encoder
from indexer import catalogue, database, generations, journal, view
from indexer.build import Run
from indexer.curve import Curve
from indexer.durable import make_folder
from indexer.errors import LibraryNotFound
from indexer.layout import Choice
from indexer.lock import writing
from indexer.progress import NULL, Progress
from indexer.queries import tuning_queries
from indexer.records import (
    KINDS,
    Failure,
    GenerationStatus,
    IndexReport,
    Item,
    Kind,
    Model,
    Neighbours,
    RootStatus,
    Status,
)
from indexer.scan import Scan, scan
from indexer.schema import SCHEMA_VERSION
from indexer.sources import parts_to_scan

_DIRECTORY = ".align"
_DATABASE = "library.db"


def find_library(start: str | os.PathLike[str]) -> Path | None:
    """The ``.align`` directory of the folder `start`, or of the nearest folder above with one."""
    folder = Path(start).absolute()
    for candidate in (folder, *folder.parents):
        directory = _directory(candidate)
        if (directory / _DATABASE).is_file():
            return directory
    return None


def _directory(path: Path) -> Path:
    return path if path.name == _DIRECTORY else path / _DIRECTORY


class Library:
    """Items, embeddings and indexes of the folders it watches. A context manager.

    Made by `open` or `create`. Any number of threads and processes may search at once, also while
    one of them runs `index`.
    """

    path: Path
    """The ``.align`` directory, absolute."""

    def __init__(self, directory: Path, reader: Engine) -> None:
        self.path = directory
        self._home = os.fsencode(directory.parent)
        self._reader = reader
        self._views: dict[Kind, view.View | None] = {}
        self._refreshing = threading.Lock()

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """The library at `path`: its ``.align`` directory or the folder that holds it.

        An older schema is brought up to date first. Raises LibraryNotFound, NewerLibrary,
        LibraryDamaged, and LibraryLocked where the schema is older and another process writes.
        """
        directory = _directory(Path(path).expanduser().resolve())
        file = directory / _DATABASE
        if not file.is_file():
            raise LibraryNotFound(
                f"there is no library at {directory.parent}; make one with"
                f" `align index {directory.parent}`"
            )
        reader = database.connect(file, writable=False)
        try:
            if database.version(reader, file) < SCHEMA_VERSION:
                with writing(directory):
                    database.migrate(file)
                reader.dispose()  # its connection remembers that there were no tables
        except BaseException:
            reader.dispose()
            raise
        return cls(directory, reader)

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> Self:
        """The library at `path`, made if there is none; raises as `open` does."""
        directory = _directory(Path(path).expanduser().resolve())
        make_folder(directory)
        (directory / _DATABASE).touch()
        return cls.open(directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database and of what searches keep in memory."""
        self._views.clear()
        self._reader.dispose()

    @property
    def model(self) -> Model | None:
        """The model that searches use; None before anything was embedded."""
        with self._reader.begin() as db:
            current = catalogue.current_model(db)
        return current[1] if current else None

    def index(
        self,
        sources: Sequence[Path],
        load_encoder: Callable[[], Encoder],
        *,
        reembed: bool = False,
        batch_size: int = 32,
        workers: int | None = None,
        progress: Progress = NULL,
        layout: Choice | None = None,
    ) -> IndexReport:
        """Bring the library up to date with `sources`: folders of pictures, and single files of
        pictures or texts. All of them are watched from then on; without sources, everything
        watched is looked at.

        Work is committed every `batch_size` items: when interrupted, the next run goes on where
        this one stopped. `load_encoder` is called only when something must be embedded. `workers`
        threads read and decode; None means as many as there are cores, but 2 to 4. With `reembed`
        every item is embedded with that encoder; searches use the old model until all are.
        `layout` is remembered for the index; None leaves it as it is, at first ``auto``.

        Files that cannot be read become failures. Raises LibraryLocked, SourceNotFound,
        UnsupportedFile and RootUnavailable before anything is written; ModelMismatch,
        EmbeddingError and GenerationError later.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size} but must be at least 1")
        started = time.monotonic()
        with self._writer() as engine:
            run = Run(
                engine,
                load_encoder,
                batch_size=batch_size,
                workers=workers,
                progress=progress,
            )
            if reembed:
                run.retarget()
            report = run.run(self._scan(engine, sources, run.model_id, everything=reembed))
            self._publish(engine, load_encoder, layout=layout)
        return replace(report, seconds=time.monotonic() - started)

    def rebuild(
        self,
        load_encoder: Callable[[], Encoder],
        *,
        layout: Choice | None = None,
        target_recall: float | None = None,
        captions: Sequence[str] = (),
    ) -> None:
        """Publish new generations of everything, whether or not much has changed.

        `layout` and `target_recall`, in (0, 1], are remembered; None leaves them as they are. The
        lists of an IVF index of pictures are measured with `captions`, else with the library's own
        texts, else with bundled phrases; `load_encoder` is called only to embed them. Searches go
        on meanwhile. Raises LibraryLocked and GenerationError; ValueError for another recall.
        """
        if target_recall is not None and not 0 < target_recall <= 1:
            raise ValueError(f"target_recall is {target_recall} but must be above 0 and at most 1")
        with self._writer() as engine:
            self._publish(
                engine,
                load_encoder,
                layout=layout,
                target_recall=target_recall,
                captions=captions,
                force=True,
            )

    @contextmanager
    def _writer(self) -> Iterator[Engine]:
        """The one engine that writes, freed of what a writer left that was killed."""
        with writing(self.path), database.writer(self.path / _DATABASE) as engine:
            generations.clean(engine, self.path)
            yield engine

    def _publish(
        self,
        engine: Engine,
        load_encoder: Callable[[], Encoder],
        *,
        layout: Choice | None = None,
        target_recall: float | None = None,
        captions: Sequence[str] = (),
        force: bool = False,
    ) -> None:
        with engine.begin() as db:
            journal.want_layout(db, layout, target_recall)
        for kind in KINDS:
            queries = partial(tuning_queries, engine, kind, load_encoder, captions)
            generations.publish(engine, self.path, kind, queries, force=force)

    def _scan(
        self, engine: Engine, sources: Sequence[Path], model_id: int | None, *, everything: bool
    ) -> Scan:
        differences = Scan()
        # One transaction: a root that turns out to be unavailable leaves no new root behind.
        with engine.begin() as db:
            parts = parts_to_scan(db, self._home, sources, everything=everything)
            for root in sorted(parts, key=lambda root: root.id):
                known = catalogue.known_files(db, root.id, model_id)
                scan(root, parts[root], known, differences)
        return differences

    def search(
        self,
        vector: npt.NDArray[np.float32],
        k: int,
        *,
        kind: Kind = "image",
        exclude: Set[int] = frozenset(),
    ) -> Neighbours:
        """The `k` live items of `kind` nearest to `vector`, (dim,) float32 of unit length, but for
        the ids in `exclude`.

        A score is the dot product with the stored embedding, rounded to float32. Fewer than k come
        back only where fewer exist. Raises EmbeddingError for a vector that is not finite or not
        of the model's dimension.
        """
        with self._reader.begin() as db:
            with self._refreshing:
                seen = view.refresh(db, self.path, kind, self._views.get(kind))
                self._views[kind] = seen
            return view.nearest(db, seen, vector, k, exclude) if seen else view.empty()

    def items(self, ids: Iterable[int]) -> list[Item]:
        """Items in the order asked; ids that are not live are left out."""
        wanted = [int(id) for id in ids]
        with self._reader.begin() as db:
            found = {item.id: item for item in catalogue.items_by_id(db, self._home, wanted)}
        return [found[id] for id in wanted if id in found]

    def find(self, path: Path) -> list[Item]:
        """The items of the file at `path`, by position; none where it is not in the library."""
        with self._reader.begin() as db:
            return catalogue.items_at(db, self._home, os.path.realpath(os.fsencode(path)))

    def failures(self) -> list[Failure]:
        """Every file that could not be read, by root and path."""
        with self._reader.begin() as db:
            return catalogue.all_failures(db, self._home)

    def status(self) -> Status:
        """The library at a glance; reads the generation files to tell whether they are sound."""
        with self._reader.begin() as db:
            current = catalogue.current_model(db)
            kept = {
                k: catalogue.kept_generations(db, k, current[0]) if current else [] for k in KINDS
            }
            heads = [rows[0] for rows in kept.values() if rows]
            files = catalogue.files_by_root(db)
            why = [generations.why_degraded(self.path, head) for head in heads]
            return Status(
                counts=dict.fromkeys(KINDS, 0) | catalogue.counts(db),
                failures=len(catalogue.all_failures(db, self._home)),
                roots=[
                    RootStatus(Path(os.fsdecode(r.path)), r.recursive, files.get(r.id, 0))
                    for r in catalogue.all_roots(db, self._home)
                ],
                model=current[1] if current else None,
                generations=[
                    self._generation_status(
                        head, *catalogue.pending(db, head.kind, current[0], head)
                    )
                    for head in heads
                    if current
                ],
                database_bytes=sum(
                    file.stat().st_size
                    for file in (self.path / _DATABASE, self.path / f"{_DATABASE}-wal")
                    if file.exists()
                ),
                sqlite_version=sqlite3.sqlite_version,
                schema_version=SCHEMA_VERSION,
                degraded=next((reason for reason in why if reason), None),
            )

    @staticmethod
    def _generation_status(
        head: catalogue.Generation, live: int, delta: int, deleted: int
    ) -> GenerationStatus:
        return GenerationStatus(
            kind=head.kind,
            type=head.type,
            count=head.count,
            bytes=head.size,
            seq=head.seq,
            delta=delta,
            deleted=deleted,
            nlist=head.nlist,
            nprobe=head.nprobe,
            recall=head.recall,
            curve=Curve.from_json(head.curve) if head.curve else None,
        )
