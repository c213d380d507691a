"""Read, encode, commit: what a run does with the files that changed."""

import os
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial

import numpy as np
from sqlalchemy import Connection, Engine

from encoder.ahead import ahead
from encoder.pictures.decoders import Decoders, children_for
from encoder.protocol import Embeddings, Encoder
from indexer.content import Content, Key
from indexer.database import catalogue, embeddings, journal
from indexer.database.rows import File, FileItem
from indexer.errors import EmbeddingError, ModelMismatch
from indexer.folders.scan import Found, Scan
from indexer.folders.sources import kind_of
from indexer.indexing.plans import Entry, Piece, Plan, batches, match
from indexer.indexing.reading import Decode, Read, read
from indexer.metadata import sidecars
from indexer.progress import Progress
from indexer.records import IndexReport, Kind, Model

_TOLERANCE = 1e-3
"""How far from 1 the length of an embedding may be."""


class Run:
    """One run over one scan: `retarget` if everything is to be embedded anew, then `run`."""

    def __init__(
        self,
        engine: Engine,
        load_encoder: Callable[[], Encoder],
        *,
        batch_size: int,
        workers: int | None,
        progress: Progress,
    ) -> None:
        self._engine = engine
        self._load_encoder = load_encoder
        self._encoder: Encoder | None = None
        self._batch_size = batch_size
        self._workers = workers or max(2, min(4, os.cpu_count() or 1))
        self._progress = progress
        with engine.connect() as db:
            self._current = catalogue.current_model(db)
        self._target = self._current
        self._count = Counter[str]()
        self._gone: dict[Key, deque[File]] = {}
        self._moved: frozenset[bytes] = frozenset()

    @property
    def model_id(self) -> int | None:
        """Of the model whose embedding every item must have when `run` ends."""
        return self._target[0] if self._target else None

    def retarget(self) -> None:
        """From now on everything is embedded with the encoder at hand; searches use the model they
        used until `run` ends."""
        self._encoder = self._load_encoder()
        model = _model(self._encoder)
        with self._engine.begin() as db:
            self._target = (journal.add_model(db, model), model)

    def run(self, scan: Scan) -> IndexReport:
        """Bring the database to what `scan` found, a batch at a time; `seconds` is left 0.

        Raises ModelMismatch and EmbeddingError, and whatever the encoder does; what is committed
        until then stays.
        """
        self._remember(scan.gone)
        self._count["unchanged"] = scan.unchanged
        if scan.found:
            self._progress.start(len(scan.found), "files")
            decoders = Decoders()
            results = self._read(decoders, scan.found)
            try:
                plans = (self._plan(result) for result in results)
                for batch in batches(plans, self._batch_size):
                    self._commit(batch)
                    self._progress.advance(sum(piece.last for piece in batch))
            finally:
                decoders.close()  # first: the results wait for what is being decoded
                results.close()
                self._progress.finish()
        self._finish(scan)
        return IndexReport(**self._count, unavailable=tuple(scan.unavailable))

    def _remember(self, gone: Sequence[File]) -> None:
        for file in gone:
            if file.digest is not None and not file.failed:
                self._gone.setdefault(_key(file.path, file.digest), deque()).append(file)
        # A gone picture that lacks an embedding must be decoded wherever it turns up.
        self._moved = frozenset(
            digest
            for (kind, digest), files in self._gone.items()
            if kind == "image" and not any(file.lacking for file in files)
        )

    def _read(self, decoders: Decoders, files: Sequence[Found]) -> Generator[Read]:
        """What became of each file, in order, a bounded number of them ahead."""
        workers = children_for(len(files), self._workers)
        depth = self._batch_size + 2 * workers
        done = 0
        while done < len(files):
            prepare = self._encoder.prepare if self._encoder else None
            decode = partial(decoders.decode, prepare=prepare) if prepare else None
            read_one = partial(self._read_one, decode)
            with closing(ahead(read_one, files[done:], depth, workers)) as results:
                for result in results:
                    if not self._is_settled(result):
                        if decode is None:
                            break
                        # More new files hold these bytes than old files are gone; the extra ones
                        # must be decoded.
                        result = read(files[done], decode, frozenset())
                    yield result
                    done += 1
            if done < len(files):
                # Here and not in a worker, so that a download can be interrupted. What was read
                # ahead is read again, this time to be decoded.
                self._load()

    def _read_one(self, decode: Decode | None, found: Found) -> Read:
        return read(found, decode, self._moved)

    def _is_settled(self, result: Read) -> bool:
        if result.digest is None or result.failure is not None or result.contents is not None:
            return True
        if result.found.is_known_as(result.digest):
            return True
        if not _came_here(result.found, result.digest):
            return False
        return result.digest in self._moved and bool(self._gone["image", result.digest])

    def _load(self) -> Encoder:
        if self._encoder is None:
            encoder = self._load_encoder()
            if self._target and encoder.fingerprint != self._target[1].fingerprint:
                raise _mismatch(self._target[1], encoder)
            self._encoder = encoder
        return self._encoder

    def _plan(self, result: Read) -> Plan:
        found, known = result.found, result.found.known
        if known and known.racy and not (result.digest or found.touched or known.lacking):
            # It cannot be opened today, but nothing says that its bytes have changed.
            result = replace(result, digest=known.digest, racy=True, failure=None)
        plan = Plan(found, result.digest, result.racy, result.failure)
        if result.failure is not None:
            plan.leftovers = [item.id for item in self._items(known.id if known else None)]
            return plan
        assert result.digest is not None
        if found.sidecars:
            plan.said = sidecars.read(found.root.path, found.sidecars)
        if known and found.is_known_as(result.digest):
            plan.same = True
            plan.kept = known.items
            return plan
        gone = self._gone.get(_key(found.path, result.digest))
        if gone and _came_here(found, result.digest):
            plan.adopted = gone.popleft().id
        own, adopted = self._items(known.id if known else None), self._items(plan.adopted)
        if result.contents is None:
            plan.leftovers = [item.id for item in own]
            plan.moved = len(adopted)
        else:
            match(plan, result.contents, own + adopted)
        return plan

    def _items(self, file_id: int | None) -> list[FileItem]:
        if file_id is None:
            return []
        with self._engine.connect() as db:
            return catalogue.file_items(db, file_id, self.model_id)

    def _commit(self, batch: Sequence[Piece]) -> None:
        """Embed what a batch needs and write all of it in one transaction."""
        contents = [entry.content for piece in batch for entry in piece.entries if entry.content]
        found, fresh = self._embed(contents)
        with self._engine.begin() as db:
            if self._target is None and self._encoder is not None:
                self._target = (journal.add_model(db, _model(self._encoder)), _model(self._encoder))
                journal.use_model(db, self._target[0])
                self._current = self._target
            embedded: list[tuple[int, bytes]] = []
            news: list[tuple[int, Kind]] = []
            for piece in batch:
                file_id = self._write_file(db, piece)
                for entry in piece.entries:
                    item_id = self._write_item(db, piece.plan, file_id, entry, fresh)
                    if entry.content is None:
                        continue
                    embedded.append((item_id, found[entry.content.key]))
                    # An old item is no news when no search uses the model it is embedded with.
                    if entry.item_id is None or self._target == self._current:
                        news.append((item_id, entry.content.kind))
                if piece.last:
                    journal.delete_items(db, piece.plan.leftovers)
                    self._describe(db, piece.plan, file_id)
            if self._target:
                journal.add_embeddings(db, self._target[0], embedded)
            journal.log_added(db, news)

    def _write_file(self, db: Connection, piece: Piece) -> int:
        plan, found = piece.plan, piece.plan.found
        size, digest = (found.size, plan.digest) if piece.last else (journal.UNFINISHED, None)
        file_id = journal.put_file(
            db,
            found.root.id,
            found.path,
            size,
            found.mtime_ns,
            digest,
            racy=plan.racy,
            sidecar=found.stamp,
        )
        if plan.failure is not None:
            journal.put_failure(db, file_id, plan.failure)
            self._count["failed"] += 1
        elif not plan.same:
            journal.forget_failure(db, file_id)
        if piece.first and plan.adopted is not None:
            journal.adopt_items(db, plan.adopted, file_id)
        if piece.last:
            new = sum(entry.item_id is None for entry in plan.entries)
            self._count["updated" if found.is_described_anew else "unchanged"] += plan.kept
            self._count["moved"] += plan.moved
            self._count["deleted"] += max(0, len(plan.leftovers) - new)
        return file_id

    def _describe(self, db: Connection, plan: Plan, file_id: int) -> None:
        found = plan.found
        if found.sidecars or (found.known and found.known.sidecar) or plan.adopted is not None:
            journal.describe_picture(db, file_id, plan.said)

    def _write_item(
        self, db: Connection, plan: Plan, file_id: int, entry: Entry, fresh: set[Key]
    ) -> int:
        """The item's id, new or old. The first use of a vector in `fresh` takes it out."""
        if entry.item_id is not None:
            journal.place_item(db, entry.item_id, entry.position)
            return entry.item_id
        content = entry.content
        assert content is not None
        if plan.replaced < len(plan.leftovers):
            plan.replaced += 1
            self._count["changed"] += 1
        else:
            self._count["added" if content.key in fresh else "copied"] += 1
        fresh.discard(content.key)
        return journal.add_item(db, file_id, entry.position, content)

    def _embed(self, contents: Sequence[Content]) -> tuple[dict[Key, bytes], set[Key]]:
        """Vectors by key as they are stored, and the keys that had to be encoded for it."""
        unique = {content.key: content for content in contents}
        found: dict[Key, bytes] = {}
        if unique and self._target:
            with self._engine.connect() as db:
                digests = [content.digest for content in unique.values()]
                found = embeddings.vectors_by_digest(db, self._target[0], digests)
        missing = [content for key, content in unique.items() if key not in found]
        pictures = {c.key: c.pixels for c in missing if c.pixels is not None}
        texts = {c.key: c.text for c in missing if c.text is not None}
        if pictures:
            rows = self._load().encode_images(list(pictures.values()))
            found.update(zip(pictures, self._checked(rows, len(pictures)), strict=True))
        if texts:
            rows = self._load().encode_texts(list(texts.values()))
            found.update(zip(texts, self._checked(rows, len(texts)), strict=True))
        self._count["embedded"] += len(missing)
        return found, {*pictures, *texts}

    def _checked(self, rows: Embeddings, count: int) -> list[bytes]:
        """Rows as they are stored, or EmbeddingError."""
        encoder = self._load()
        dim = self._target[1].dim if self._target else encoder.dim
        if rows.shape != (count, dim):
            problem = f"an array of shape {rows.shape} instead of {(count, dim)}"
        elif not np.isfinite(rows).all():
            problem = "numbers that are not finite"
        elif (abs(np.linalg.norm(rows, axis=1) - 1) >= _TOLERANCE).any():
            problem = "vectors that are not of length 1"
        else:
            return embeddings.encode(rows)
        raise EmbeddingError(
            f"{encoder.name} returned {problem}; nothing of this batch was kept, check the"
            " checkpoint or index with another model"
        )

    def _finish(self, scan: Scan) -> None:
        """Delete what is neither here nor moved, and let searches use the target model: not while
        a root is unavailable, whose items would lose the embeddings they have."""
        left = {file.id for files in self._gone.values() for file in files}
        dead = [file for file in scan.gone if file.digest is None or file.failed or file.id in left]
        switch = self._target != self._current and not scan.unavailable
        if not (dead or switch):
            return
        with self._engine.begin() as db:
            journal.delete_files(db, [file.id for file in dead])
            if switch and self._target:
                journal.use_model(db, self._target[0])
        self._count["deleted"] += sum(file.items for file in dead)


def _came_here(found: Found, digest: bytes) -> bool:
    """Whether bytes with this SHA-256 are new at their path, so that they can be a gone file's.

    Those of a file that was not written to the end are not: it took over then what it could.
    """
    known = found.known
    return known is None or (known.digest != digest and known.size != journal.UNFINISHED)


def _key(path: bytes, digest: bytes) -> Key:
    return kind_of(path) or "image", digest


def _model(encoder: Encoder) -> Model:
    return Model(encoder.name, encoder.fingerprint, encoder.dim)


def _mismatch(model: Model, encoder: Encoder) -> ModelMismatch:
    return ModelMismatch(
        f"this library was made with {model.name} ({model.fingerprint[:12]}), not with"
        f" {encoder.name} ({encoder.fingerprint[:12]}); use {model.name}, or embed everything anew"
        f" with `align index --reembed --model {encoder.name}`"
    )
