"""The facade: a library on disk."""

import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from shlex import quote
from typing import Self

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, Engine

from encoder.durable import make_folder
from encoder.protocol import Encoder
from encoder.system import leave_to_parent, watch_forks
from indexer import imports, status
from indexer.ann import generations
from indexer.ann.pairs import Pairs, Places, near_pairs
from indexer.ann.spool import mapped
from indexer.ann.tuning_queries import tuning_queries
from indexer.database import (
    catalogue,
    compaction,
    connection,
    embeddings,
    field_catalogue,
    journal,
    spelling,
)
from indexer.database.lock import FILES as LOCK_FILES
from indexer.database.lock import writing
from indexer.database.schema import SCHEMA_VERSION
from indexer.database.sqlite_errors import REMEDY
from indexer.errors import LibraryClosed, LibraryDamaged, LibraryNotFound, StorageError
from indexer.folders import roots
from indexer.folders.scan import scan_sources
from indexer.imports import Imported
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
    FieldSummary,
    Finding,
    Forgotten,
    ImportReport,
    IndexReport,
    Item,
    Kind,
    LayoutChoice,
    Model,
    Neighbours,
    Repair,
    RootStatus,
    Said,
    Speaker,
    Status,
)
from indexer.search import view
from indexer.search.filter_sql import check_known, matching_ids, newest_ids
from indexer.search.filters import Filters
from indexer.search.near import FlatSketches, near


class Library:
    """Items, embeddings and indexes of the folders that the library watches. A context manager.

    `open` and `create` make one. Any number of threads and processes may search at the same time,
    also while one of them runs `index`.
    """

    path: Path
    """Absolute path of the ``.align`` directory."""

    def __init__(self, directory: Path, reader: Engine) -> None:
        self.path = directory
        self._database = reader
        self._closed = False
        self._views: dict[Kind, view.View | None] = {}
        self._sketches: dict[Kind, FlatSketches] = {}
        self._refreshing = threading.Lock()
        watch_forks(self)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, wait: float = 0) -> Self:
        """The library at `path`, which is its ``.align`` directory or the folder that holds it.

        An older schema is brought up to date first. Raises LibraryNotFound, NewerLibrary and
        LibraryDamaged. Raises LibraryLocked if the schema is older and another process still writes
        after `wait` seconds.
        """
        directory = directory_of(Path(path).expanduser().resolve())
        file = directory / connection.NAME
        if not file.is_file():
            raise LibraryNotFound(
                f"there is no library at {directory.parent}; make one with"
                f" `align index {quote(str(directory.parent))}`"
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
        """The library at `path`, which is made if there is none. Raises what `open` raises."""
        directory = directory_of(Path(path).expanduser().resolve())
        try:
            make_folder(directory)
            if not (directory / connection.NAME).exists():
                (directory / connection.NAME).touch()
        except OSError as error:
            raise StorageError(
                f"no library can be made in {directory.parent} ({error.strerror or error}): name"
                " another folder for it with --library"
            ) from error
        return cls.open(directory, wait=wait)

    def discard_if_empty(self) -> bool:
        """Close the library, and remove it if nothing was ever stored in it. Only files that a
        library writes are removed. Returns whether it was."""
        with self._reader.begin() as db:
            stored = catalogue.last_change(db) or catalogue.current_model(db)
        self.close()
        if stored:
            return False
        with suppress(OSError):  # something else lies there, or it cannot be written
            for name in (*connection.FILES, *LOCK_FILES):
                (self.path / name).unlink(missing_ok=True)
            generations.remove_empty_folder(self.path)
            self.path.rmdir()
        return not self.path.exists()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database and free the memory of searches."""
        self._closed = True
        self._views.clear()
        self._sketches.clear()
        self._database.dispose()

    def after_fork(self) -> None:
        """Connections to a database must not be used, nor closed, in two processes."""
        leave_to_parent(self._database.pool)
        self._database.dispose(close=False)
        self._refreshing = threading.Lock()

    @property
    def _reader(self) -> Engine:
        if self._closed:
            raise LibraryClosed(f"the library {self.path.parent} was closed: open it again")
        return self._database

    @property
    def model(self) -> Model | None:
        """The model that searches use; None before anything was embedded."""
        with self._reader.begin() as db:
            current = catalogue.searched_model(db)
        return current[1] if current else None

    def index(
        self,
        sources: Sequence[Path],
        load_encoder: Callable[[], Encoder],
        *,
        reembed: bool = False,
        require_model: bool = False,
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
        pictures or texts. The library watches all of them from then on. Without sources, it looks
        at everything that it watches.

        The run commits every `batch_size` items; after an interruption, the next run goes on where
        this one stopped. `load_encoder` is called only if something must be embedded. `workers`
        threads read and decode; None means one for each core, but 2 at least and 4 at most. With
        `reembed` every item is embedded with the new encoder, and searches use the old model until
        that is done. A run over everything drops what another model had begun to embed again.
        With `require_model` the encoder is loaded even if nothing must be embedded: another model
        than the library's is refused, and the library remembers the encoder's name, by which later
        commands load it. The run waits at most `wait` seconds for another writer. `layout` is
        remembered for the index; None changes nothing, and the first layout is ``auto``.

        `exclude` and `follow_symlinks` replace the settings of the roots of `sources`, or without
        sources those of all roots. None changes nothing. `exclude` holds globs of what to leave
        out: a glob with a "/" matches paths relative to the root, another glob matches names
        anywhere. An empty sequence removes all globs.

        A root is left alone and named in the report if it is missing, unreadable, empty although it
        was not, or on another device and without any known file; the run goes on with the others.
        With `allow_missing` its items are forgotten, unless it exists but is unreadable. The same
        holds for a folder below a root that was on another device than the folder above it.

        Files that cannot be read become failures. Raises LibraryLocked, SourceNotFound,
        SourceExcluded and UnsupportedFile before anything is written, and ModelMismatch,
        EmbeddingError and GenerationError later.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size} but must be at least 1")
        started = time.monotonic()
        load_once = cache(lambda: load_encoder())  # an index may be measured with it, too
        with self._writing(wait) as engine:
            run = Run(engine, load_once, batch_size=batch_size, workers=workers, progress=progress)
            if reembed:
                run.retarget()
            elif require_model:
                run.require()
            with engine.begin() as db:
                roots.check(db, self.path / connection.NAME)
                if reembed:
                    imports.require_none(db)
                differences = scan_sources(
                    db,
                    sources,
                    run.model_id,
                    reembed=reembed,
                    allow_missing=allow_missing,
                    exclude=exclude,
                    follow_symlinks=follow_symlinks,
                )
            publish = partial(self._publish, engine, load_once, layout=layout)
            report = run.run(differences, publish, everything=reembed or not sources)
            publish(progress=progress)
        return replace(report, seconds=time.monotonic() - started)

    @contextmanager
    def _writing(self, wait: float = 0) -> Iterator[Engine]:
        """The one engine that writes, after the files that a killed writer left are removed. Waits
        at most `wait` seconds for another writer."""
        reader = self._reader
        with writing(self.path, wait):
            reader.dispose()  # or the journal mode could not change
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
        """Publish new generations of everything, even if little has changed.

        `layout` and `target_recall`, in (0, 1], are remembered; None changes nothing. An IVF index
        of pictures is measured with `captions`, else with the library's own texts, else with
        bundled phrases; `load_encoder` is called only to embed these. Searches go on meanwhile. The
        call waits at most `wait` seconds for another writer. Raises LibraryLocked, GenerationError,
        and ValueError for a recall outside (0, 1].
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

    def compact(
        self,
        load_encoder: Callable[[], Encoder],
        *,
        wait: float = 0,
        progress: Progress = NULL,
    ) -> tuple[int, int]:
        """Make the library as small as it can be; returns the bytes of the database before and
        after.

        Publishes new generations where anything changed, forgets old changes, the embeddings of a
        model that is not used, and what tools said of pictures that are gone, and gives free space
        back. Searches go on meanwhile. `load_encoder` is called only where `rebuild` would call it.
        Raises LibraryLocked, GenerationError, and StorageError without room for a second database.
        """
        with self._writing(wait) as engine:
            before = status.database_bytes(self.path)
            for kind in KINDS:
                queries = partial(tuning_queries, engine, kind, load_encoder)
                generations.publish(
                    engine, self.path, kind, queries, worthwhile=0, progress=progress
                )
            with engine.begin() as db:
                compaction.drop_unused(db)
            compaction.vacuum(engine)
        return before, status.database_bytes(self.path)

    def backup(self, file: Path) -> int:
        """Write a whole copy of the database to `file`, also while another process writes; returns
        its bytes.

        Generations are left out, because they can be built again. To restore, put the copy in the
        place of ``library.db``, without files named ``library.db-wal`` and ``library.db-shm``
        beside it. An earlier backup of this library is replaced. Raises StorageError if anything
        else lies at `file`, or if it cannot be written.
        """
        database = self.path / connection.NAME
        return compaction.backup(self._reader, database, Path(file).expanduser().absolute())

    def roots(self) -> list[RootStatus]:
        """Every watched folder and its state; looks at the disk."""
        with self._reader.begin() as db:
            return roots.statuses(db)

    def move_root(self, old: Path, new: Path, *, wait: float = 0) -> None:
        """Watch the folder `new` instead of the root `old`, whose files were moved there.

        Items keep ids and embeddings. Raises UnknownPath if `old` is no root, SourceNotFound if
        `new` is no folder or holds none of the known files, RootsOverlap if another root watches
        `new` or a part of it, and LibraryLocked.
        """
        with self._writing(wait) as engine, engine.begin() as db:
            roots.move(db, old, new)

    def forget(
        self, paths: Sequence[Path], *, wait: float = 0, ignore_unknown: bool = False
    ) -> Forgotten:
        """Forget the items of files and folders, which need not exist any more: searches no longer
        find them. A root that is forgotten as a whole is no longer watched.

        A path that still lies in a watched folder, or may lie there while the folder is
        unavailable, is excluded there until it is given to `index`. Raises LibraryLocked, and
        UnknownPath if the library knows nothing at one of `paths`; then nothing is forgotten. With
        `ignore_unknown` the others are forgotten, and the report names such paths.
        """
        with self._writing(wait) as engine, engine.begin() as db:
            return roots.forget(db, paths, ignore_unknown=ignore_unknown)

    def search(
        self,
        vector: npt.NDArray[np.float32],
        k: int,
        *,
        kind: Kind = "image",
        exclude: Set[int] = frozenset(),
        filters: Filters | None = None,
        at_least: float = float("-inf"),
        fingerprint: str | None = None,
    ) -> Neighbours:
        """The `k` live items of `kind` nearest to `vector`, (dim,) float32 of unit length, without
        the ids in `exclude`, the items that do not pass `filters` and those with a score below
        `at_least`.

        `fingerprint` is that of the model that made `vector`; leave it out only if no other model
        can have made it. A score is the dot product with the stored embedding, rounded to float32.
        Fewer than k items are returned only if fewer exist. Raises ModelMismatch if searches use
        another model now, EmbeddingError for a vector that is not finite or not of the model's
        dimension, and FilterError for a field that no item has.
        """
        with self._reader.begin() as db:
            if fingerprint is not None:
                catalogue.require_model(db, fingerprint)
            seen = self._view(db, kind)
            if seen is None:
                return view.empty()
            allowed = _allowed(db, kind, filters)
            return view.nearest(db, seen, vector, k, exclude, allowed, at_least)

    def _view(self, db: Connection, kind: Kind) -> view.View | None:
        with self._refreshing:
            seen = self._views[kind] = view.refresh(db, self.path, kind, self._views.get(kind))
        return seen

    def near(
        self,
        ids: Iterable[int],
        threshold: float,
        *,
        kind: Kind = "image",
        filters: Filters | None = None,
    ) -> list[npt.NDArray[np.int64]]:
        """For each of `ids` the ids of all live items of `kind` that pass `filters` and whose
        embeddings have a dot product of at least `threshold`, above 0, with its own: itself too,
        (n,) in no order. None for an id that is not live.

        For all ids together it costs about as much as a search. The first call reads the whole of
        a flat index, and keeps 330 bytes for each item in memory. An index with lists may miss
        some. Raises FilterError for a field that no item has.
        """
        wanted = np.fromiter(ids, np.int64)
        with self._reader.begin() as db:
            seen = self._view(db, kind)
            if seen is None:
                return [np.zeros(0, np.int64) for _ in wanted]
            vectors = embeddings.in_order(db, wanted)
            allowed = _allowed(db, kind, filters)
            return near(db, seen, self._flat_sketches(kind, seen), vectors, threshold, allowed)

    def _flat_sketches(self, kind: Kind, seen: view.View) -> FlatSketches | None:
        if seen.opened is None or seen.opened.index.ivf:
            return None
        kept = self._sketches.get(kind)
        if kept is None or kept.opened is not seen.opened:
            kept = self._sketches[kind] = FlatSketches.of(seen.opened)
        return kept

    def newest(
        self, k: int | None = None, *, kind: Kind = "image", filters: Filters | None = None
    ) -> list[Item]:
        """The items that pass `filters`, or the first `k` of them, newest first by the local time
        where they were taken; those without a capture time come last. FilterError as `search`."""
        with self._reader.begin() as db:
            return catalogue.items_by_id(db, newest_ids(db, kind, filters or Filters(), k).tolist())

    def said(self, id: int) -> list[Said]:
        """All that sidecars, people and tools say of an item, by name; see `Item.fields` for what
        counts."""
        with self._reader.begin() as db:
            return field_catalogue.said(db, id)

    def fields(self) -> list[FieldSummary]:
        """Every field that any item has, by name."""
        with self._reader.begin() as db:
            return field_catalogue.field_summaries(db)

    def equals(self, item: Item) -> list[Item]:
        """The other items with the same bytes, or the same text."""
        with self._reader.begin() as db:
            return [other for other in catalogue.equals(db, item) if other.id != item.id]

    def check(self, filters: Filters) -> None:
        """Raise the FilterError that a search with `filters` would raise."""
        with self._reader.begin() as db:
            check_known(db, filters)

    def annotate(
        self, table: Path, *, clear_empty: bool = False, wait: float = 0
    ) -> AnnotationReport:
        """Make the columns of `table` (CSV, JSON lines or Parquet) fields of the items that its
        rows name by ``path`` or ``sha256``. They replace what a person said before under the same
        name; all or nothing. A JSON null, and with `clear_empty` an empty cell, takes that back.

        A path is absolute, or relative to the table's folder or to a root. What is said of an item
        belongs to its bytes: to all copies, and to a file that comes back later. Raises
        AnnotationError and LibraryLocked.
        """
        with self._writing(wait) as engine, engine.begin() as db:
            return annotations.annotate(db, table, clear_empty=clear_empty)

    def tag(
        self,
        names: Collection[str],
        values: Iterable[tuple[int, str, float]],
        about: Mapping[str, object],
        *,
        fingerprint: str,
        wait: float = 0,
    ) -> dict[str, int]:
        """Replace all that this tool said before under `names` by `values`, triples of item id,
        field name and number. Ids that are not live are left out. `about` is JSON that says how the
        values came about.

        What people, sidecars and files say under these names stays and counts more: the number of
        items of which they say something is returned by name. Raises LibraryLocked, and
        ModelMismatch if searches do not use the model with this `fingerprint` any more.
        """
        with self._writing(wait) as engine, engine.begin() as db:
            catalogue.require_model(db, fingerprint)
            journal.replace_annotations(db, "tag", about, names, values)
            return field_catalogue.overruled(db, names)

    def forget_fields(
        self,
        names: Collection[str] | None = None,
        *,
        paths: Sequence[Path] = (),
        speaker: Speaker | None = None,
        wait: float = 0,
    ) -> int:
        """Forget what people and tools, or one `speaker` of them, said under `names`, or under any
        name, about the items at `paths`, or about all items. Returns the number of values. What
        sidecars and pictures' own files say stays.

        Raises LibraryLocked, UnknownPath as `forget` does, and FieldUnknown for a name that nobody
        annotated; then nothing is forgotten.
        """
        with self._writing(wait) as engine, engine.begin() as db:
            return roots.forget_fields(db, names, paths, speaker)

    def items(self, ids: Iterable[int]) -> list[Item]:
        """Items in the order of `ids`; ids that are not live are left out."""
        with self._reader.begin() as db:
            return catalogue.items_by_id(db, ids)

    def embeddings(
        self, ids: Iterable[int], *, fingerprint: str | None = None
    ) -> npt.NDArray[np.float32]:
        """Stored embeddings in the order of `ids`, (n, dim) float32. The row of an id that is not
        live is all zeros, which are near to nothing. Raises ModelMismatch if they are not of the
        model with this `fingerprint`, where it is given."""
        wanted = np.fromiter(ids, np.int64)
        with self._reader.begin() as db:
            if fingerprint is not None:
                catalogue.require_model(db, fingerprint)
            return embeddings.in_order(db, wanted)

    def ids(self, kind: Kind, *, filters: Filters | None = None) -> npt.NDArray[np.int64]:
        """Ids of all live items of `kind`, or of those that pass `filters`, (n,) ascending."""
        with self._reader.begin() as db:
            allowed = _allowed(db, kind, filters)
            return catalogue.ids(db, kind) if allowed is None else allowed

    def distinct(self, kind: Kind) -> npt.NDArray[np.int64]:
        """Id of one live item for every distinct content of `kind`, (n,) ascending."""
        with self._reader.begin() as db:
            return catalogue.distinct_ids(db, kind)

    def copies(self, kind: Kind) -> list[list[int]]:
        """Ids of the live items of `kind` that share their content, in groups of two or more. The
        first id of a group is the smallest, which is in `distinct`."""
        with self._reader.begin() as db:
            return catalogue.copies(db, kind)

    def near_pairs(
        self,
        ids: npt.NDArray[np.int64],
        threshold: float,
        groups: Callable[[Places], Places],
        *,
        progress: Progress = NULL,
    ) -> Iterator[Pairs]:
        """All pairs of items whose embeddings have a dot product of at least `threshold`, above 0.
        They come in portions (left, right) of places in `ids`; a place where no live item is
        belongs to no pair.

        `groups` tells in which group the items at some places are at present; pairs within one
        group are left out. A pair may come twice, in either order. The embeddings are copied into
        a temporary file; memory holds 600 bytes for each item, and at most 300 MB for a portion.
        Raises StorageError if the file cannot be written.
        """
        with mapped(self._stored(ids)) as halves:
            yield from near_pairs(halves, threshold, groups, progress=progress)

    def import_embeddings(
        self,
        items: Iterable[Imported],
        load_encoder: Callable[[], Encoder],
        *,
        wait: float = 0,
        progress: Progress = NULL,
    ) -> ImportReport:
        """Add pictures that another program embedded with the model that `load_encoder` loads. An
        item at a path that was imported before is replaced. Their files are never scanned, and only
        `forget` takes the items away.

        Raises ModelMismatch if the library has another model, EmbeddingError for vectors of another
        dimension or without a direction; portions before that stay. Raises LibraryLocked.
        """
        total = ImportReport()
        encoder = load_encoder()
        model = Model(encoder.name, encoder.fingerprint, encoder.dim)
        with self._writing(wait) as engine:
            with engine.begin() as db:
                journal.recognise(db, encoder)
            for portion in imports.portions(items):
                with engine.begin() as db:
                    done = imports.add(db, model, portion)
                total = ImportReport(
                    **{name: n + getattr(total, name) for name, n in vars(done).items()}
                )
                progress.advance(len(portion))
            self._publish(engine, lambda: encoder, progress=progress)
        return total

    def _stored(self, ids: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.float32]]:
        with self._reader.begin() as db:
            for start in range(0, len(ids), embeddings.CHUNK):
                yield embeddings.in_order(db, ids[start : start + embeddings.CHUNK])

    def watches(self, path: Path) -> bool:
        """Whether `path` is a watched folder or lies in one."""
        with self._reader.begin() as db:
            roots = catalogue.all_roots(db)
            absolute = spelling.resolve(db, roots, os.fsencode(path))
            return any(root.recursive and spelling.within(absolute, root.path) for root in roots)

    def find(self, path: Path) -> list[Item]:
        """The items of the file at `path`, by position; none if it is not in the library."""
        with self._reader.begin() as db:
            return catalogue.items_at(db, os.fsencode(path))

    def failures(self) -> list[Failure]:
        """Every file that could not be read, by root and path."""
        with self._reader.begin() as db:
            return catalogue.all_failures(db)

    def status(self) -> Status:
        """The library at a glance; reads the generation files to check that they are sound."""
        with self._reader.begin() as db:
            return status.status(db, self.path)

    def verify(
        self, *, read_data: tuple[int, int] | None = None, progress: Progress = NULL
    ) -> list[Finding]:
        """Every damage of the database and of the generations. This only reads, also while another
        process writes.

        With `read_data` (N, T), it also reads the Nth of T parts of the files, 1 <= N <= T, and
        compares them with their hashes; the T parts together are all files. Raises ValueError for
        another N.
        """
        if read_data and not 1 <= read_data[0] <= read_data[1]:
            raise ValueError(f"read_data is {read_data} but must be (N, T) with 1 <= N <= T")
        return verifying.verify(self._reader, self.path, read_data, progress)

    def repair(self, load_encoder: Callable[[], Encoder], *, wait: float = 0) -> Repair:
        """Rebuild what is damaged and can be derived. Waits at most `wait` seconds for another
        writer.

        `load_encoder` is called only where `rebuild` would call it. Raises LibraryLocked and
        GenerationError. Raises LibraryDamaged, and changes nothing, if the database itself is
        damaged.
        """
        with self._writing(wait) as engine:
            self._views.clear()
            publish = partial(self._publish, engine, load_encoder)
            return repairing.repair(engine, self.path, publish)


def _allowed(db: Connection, kind: Kind, filters: Filters | None) -> npt.NDArray[np.int64] | None:
    """Ids of the items that pass `filters`; None if all do."""
    if filters is None or filters == Filters():
        return None
    return matching_ids(db, kind, filters)
