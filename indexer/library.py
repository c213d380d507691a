"""The facade: a library on disk."""

import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
from sqlalchemy import Engine

from encoder.durable import make_folder
from encoder.protocol import Encoder
from indexer import status
from indexer.ann import generations
from indexer.ann.tuning_queries import tuning_queries
from indexer.database import catalogue, connection, embeddings, journal
from indexer.database.lock import writing
from indexer.database.schema import SCHEMA_VERSION
from indexer.database.sqlite_errors import REMEDY
from indexer.errors import LibraryDamaged, LibraryNotFound
from indexer.folders import roots
from indexer.folders.scan import scan_sources
from indexer.indexing.run import Run
from indexer.integrity import repair as repairing
from indexer.integrity import verify as verifying
from indexer.locate import directory_of
from indexer.metadata import annotations
from indexer.progress import NULL, Progress
from indexer.records import (
    KINDS,
    AnnotationReport,
    Failure,
    Finding,
    Forgotten,
    IndexReport,
    Item,
    Kind,
    LayoutChoice,
    Model,
    Neighbours,
    Repair,
    RootStatus,
    Status,
)
from indexer.search import view
from indexer.search.filters import Filters
from indexer.search.matching import check_known, matching_ids


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
    def open(cls, path: str | os.PathLike[str], *, wait: float = 0) -> Self:
        """The library at `path`: its ``.align`` directory or the folder that holds it.

        An older schema is brought up to date first. Raises LibraryNotFound, NewerLibrary,
        LibraryDamaged, and LibraryLocked where the schema is older and another process still
        writes after `wait` seconds.
        """
        directory = directory_of(Path(path).expanduser().resolve())
        file = directory / connection.NAME
        if not file.is_file():
            raise LibraryNotFound(
                f"there is no library at {directory.parent}; make one with"
                f" `align index {directory.parent}`"
            )
        reader = connection.connect(file, writable=False)
        try:
            if (found := connection.version(reader, file)) < SCHEMA_VERSION:
                if not found and generations.any_file(directory):
                    raise LibraryDamaged(f"{file} has lost all that was in it; {REMEDY}")
                with writing(directory, wait):
                    connection.migrate(file)
                reader.dispose()  # its connection remembers that there were no tables
        except BaseException:
            reader.dispose()
            raise
        return cls(directory, reader)

    @classmethod
    def create(cls, path: str | os.PathLike[str], *, wait: float = 0) -> Self:
        """The library at `path`, made if there is none; raises as `open` does."""
        directory = directory_of(Path(path).expanduser().resolve())
        make_folder(directory)
        if not (directory / connection.NAME).exists():
            (directory / connection.NAME).touch()
        return cls.open(directory, wait=wait)

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
        allow_missing: bool = False,
        exclude: Sequence[str] | None = None,
        follow_symlinks: bool | None = None,
        batch_size: int = 32,
        workers: int | None = None,
        progress: Progress = NULL,
        layout: LayoutChoice | None = None,
        wait: float = 0,
    ) -> IndexReport:
        """Bring the library up to date with `sources`: folders of pictures, and single files of
        pictures or texts. All of them are watched from then on; without sources, everything
        watched is looked at.

        Work is committed every `batch_size` items: when interrupted, the next run goes on where
        this one stopped. `load_encoder` is called only when something must be embedded. `workers`
        threads read and decode; None means as many as there are cores, but 2 to 4. With `reembed`
        every item is embedded with that encoder; searches use the old model until all are. Another
        writer is waited for at most `wait` seconds.
        `layout` is remembered for the index; None leaves it as it is, at first ``auto``.

        `exclude` (globs of what to leave out: with a "/" of paths relative to the root, without of
        names anywhere) and `follow_symlinks` replace what the roots of `sources`, or without
        sources all roots, remember; None leaves it as it is, no glob at all clears it.

        A root that is missing, unreadable, empty though it was not, or on another device and
        without files that are known, is left alone and named in the report, while the others go on;
        with `allow_missing` what is gone is forgotten, unless the root is there but unreadable. The
        same holds for a folder below a root that was on another device than the folder above it.

        Files that cannot be read become failures. Raises LibraryLocked, SourceNotFound,
        SourceExcluded and UnsupportedFile before anything is written; ModelMismatch,
        EmbeddingError and GenerationError later.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size} but must be at least 1")
        started = time.monotonic()
        with self._writing(wait) as engine:
            run = Run(
                engine, load_encoder, batch_size=batch_size, workers=workers, progress=progress
            )
            if reembed:
                run.retarget()
            with engine.begin() as db:
                roots.check(db, self.path / connection.NAME)
                differences = scan_sources(
                    db,
                    self._home,
                    sources,
                    run.model_id,
                    reembed=reembed,
                    allow_missing=allow_missing,
                    exclude=exclude,
                    follow_symlinks=follow_symlinks,
                )
            report = run.run(differences)
            self._publish(engine, load_encoder, layout=layout, progress=progress)
        return replace(report, seconds=time.monotonic() - started)

    @contextmanager
    def _writing(self, wait: float = 0) -> Iterator[Engine]:
        """The one engine that writes, freed of what a writer left that was killed; another one is
        waited for at most `wait` seconds."""
        with writing(self.path, wait):
            self._reader.dispose()  # even at rest it would keep the journal mode from changing
            with connection.writer(self.path / connection.NAME) as engine:
                generations.clean(engine, self.path)
                yield engine

    def rebuild(
        self,
        load_encoder: Callable[[], Encoder],
        *,
        layout: LayoutChoice | None = None,
        target_recall: float | None = None,
        captions: Sequence[str] = (),
        wait: float = 0,
        progress: Progress = NULL,
    ) -> None:
        """Publish new generations of everything, whether or not much has changed.

        `layout` and `target_recall`, in (0, 1], are remembered; None leaves them as they are. The
        lists of an IVF index of pictures are measured with `captions`, else with the library's own
        texts, else with bundled phrases; `load_encoder` is called only to embed them. Searches go
        on meanwhile; another writer is waited for at most `wait` seconds. Raises LibraryLocked and
        GenerationError; ValueError for another recall.
        """
        if target_recall is not None and not 0 < target_recall <= 1:
            raise ValueError(f"target_recall is {target_recall} but must be above 0 and at most 1")
        with self._writing(wait) as engine:
            self._publish(
                engine,
                load_encoder,
                layout=layout,
                target_recall=target_recall,
                captions=captions,
                force=True,
                progress=progress,
            )

    def _publish(
        self,
        engine: Engine,
        load_encoder: Callable[[], Encoder],
        *,
        layout: LayoutChoice | None = None,
        target_recall: float | None = None,
        captions: Sequence[str] = (),
        force: bool = False,
        progress: Progress = NULL,
    ) -> None:
        with engine.begin() as db:
            journal.want_layout(db, layout, target_recall)
        for kind in KINDS:
            queries = partial(tuning_queries, engine, kind, load_encoder, captions)
            generations.publish(engine, self.path, kind, queries, force=force, progress=progress)

    def roots(self) -> list[RootStatus]:
        """Every watched folder and the state it is in; looks at the disk."""
        with self._reader.begin() as db:
            return roots.statuses(db, self._home)

    def move_root(self, old: Path, new: Path, *, wait: float = 0) -> None:
        """Watch the folder `new` from now on as the root `old`, whose files were moved there.

        Items keep ids and embeddings. Raises UnknownPath where `old` is no root, SourceNotFound
        where `new` is no folder or holds none of the files that are known, RootsOverlap where
        another root watches `new` or a part of it, and LibraryLocked.
        """
        with self._writing(wait) as engine, engine.begin() as db:
            roots.move(db, self._home, old, new)

    def forget(self, paths: Sequence[Path], *, wait: float = 0) -> Forgotten:
        """Forget the items of files and folders, which need not exist any more: searches find them
        no longer. A root that is forgotten as a whole is no longer watched.

        What still lies in a watched folder, or may where that is unavailable, is excluded there
        until `index` is given its path. Raises UnknownPath where the library knows nothing at one
        of `paths`, then nothing is forgotten, and LibraryLocked.
        """
        with self._writing(wait) as engine, engine.begin() as db:
            return roots.forget(db, self._home, paths)

    def search(
        self,
        vector: npt.NDArray[np.float32],
        k: int,
        *,
        kind: Kind = "image",
        exclude: Set[int] = frozenset(),
        filters: Filters | None = None,
        at_least: float = float("-inf"),
    ) -> Neighbours:
        """The `k` live items of `kind` nearest to `vector`, (dim,) float32 of unit length, which
        pass `filters`, are not in `exclude` and score `at_least` as much; fewer only where fewer
        exist.

        A score is the dot product with the stored embedding, rounded to float32. Raises
        EmbeddingError for a vector that is not finite or not of the model's dimension, FilterError
        for a field that no item has.
        """
        with self._reader.begin() as db:
            with self._refreshing:
                seen = view.refresh(db, self.path, kind, self._views.get(kind))
                self._views[kind] = seen
            if seen is None:
                return view.empty()
            allowed = None
            if filters is not None and filters != Filters():
                allowed = matching_ids(db, self._home, kind, filters)
            return view.nearest(db, self._home, seen, vector, k, exclude, allowed, at_least)

    def check(self, filters: Filters) -> None:
        """Raise the FilterError that a search with `filters` would raise."""
        with self._reader.begin() as db:
            check_known(db, filters)

    def annotate(self, table: Path, *, wait: float = 0) -> AnnotationReport:
        """Make the columns of `table` (CSV, JSON lines or Parquet) fields of the items that its
        rows name by ``path`` or ``sha256``, in place of fields of the same name; all or nothing.

        A path is absolute, or relative to the table's folder or to a root. Fields stay with their
        item when its file moves. Raises AnnotationError and LibraryLocked.
        """
        with self._writing(wait) as engine, engine.begin() as db:
            return annotations.annotate(db, self._home, table)

    def replace_fields(
        self, names: Collection[str], values: Iterable[tuple[int, str, float]], *, wait: float = 0
    ) -> None:
        """Make `values` (item id, field name, number), whose fields are all among `names`, all that
        items hold by these names, apart from what sidecars say. Ids that are not live are left out.
        Raises LibraryLocked."""
        with self._writing(wait) as engine, engine.begin() as db:
            journal.replace_fields(db, names, values)

    def items(self, ids: Iterable[int]) -> list[Item]:
        """Items in the order asked; ids that are not live are left out."""
        with self._reader.begin() as db:
            return catalogue.items_by_id(db, self._home, ids)

    def embeddings(self, ids: Iterable[int]) -> npt.NDArray[np.float32]:
        """Stored embeddings in the order asked, (n, dim) float32; zeros, which are near to nothing,
        for an id that is not live."""
        wanted = np.fromiter(ids, np.int64)
        with self._reader.begin() as db:
            return embeddings.in_order(db, wanted)

    def ids(self, kind: Kind) -> npt.NDArray[np.int64]:
        """Every live item of `kind`: ids (n,), ascending."""
        with self._reader.begin() as db:
            return catalogue.ids(db, kind)

    def distinct(self, kind: Kind) -> npt.NDArray[np.int64]:
        """One live item of every content of `kind`: ids (n,), ascending."""
        with self._reader.begin() as db:
            return catalogue.distinct_ids(db, kind)

    def copies(self, kind: Kind) -> list[list[int]]:
        """Ids of the live items of `kind` that share their content, two or more a group; the first
        of a group is the smallest, as in `distinct`."""
        with self._reader.begin() as db:
            return catalogue.copies(db, kind)

    def find(self, path: Path) -> list[Item]:
        """The items of the file at `path`, by position; none where it is not in the library."""
        with self._reader.begin() as db:
            return catalogue.items_at(db, self._home, os.fsencode(path))

    def failures(self) -> list[Failure]:
        """Every file that could not be read, by root and path."""
        with self._reader.begin() as db:
            return catalogue.all_failures(db, self._home)

    def status(self) -> Status:
        """The library at a glance; reads the generation files to tell whether they are sound."""
        with self._reader.begin() as db:
            return status.status(db, self.path, self._home)

    def verify(
        self, *, read_data: tuple[int, int] | None = None, progress: Progress = NULL
    ) -> list[Finding]:
        """Every damage of the database and of the generations; reads only, beside a writer too.

        `read_data` (N, T) also reads the Nth of T parts of the files, 1 <= N <= T, and compares
        them with their hashes; the T parts together are all files. ValueError for another N.
        """
        if read_data and not 1 <= read_data[0] <= read_data[1]:
            raise ValueError(f"read_data is {read_data} but must be (N, T) with 1 <= N <= T")
        return verifying.verify(self._reader, self.path, self._home, read_data, progress)

    def repair(self, load_encoder: Callable[[], Encoder], *, wait: float = 0) -> Repair:
        """Rebuild whatever is derived and damaged; another writer is waited for `wait` seconds.

        `load_encoder` is called only where `rebuild` would call it. Raises LibraryLocked;
        LibraryDamaged, and nothing is changed, where the database itself is damaged;
        GenerationError.
        """
        with self._writing(wait) as engine:
            self._views.clear()
            publish = partial(self._publish, engine, load_encoder)
            return repairing.repair(engine, self.path, self._home, publish)
