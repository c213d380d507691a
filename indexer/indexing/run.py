"""Read, encode, commit: what a run does with the files that changed."""

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial

from sqlalchemy import Connection, Engine

from encoder.pictures.decoders import Decoders, children_for
from encoder.protocol import Embeddings, Encoder
from encoder.read_ahead import ahead
from encoder.system import processors
from indexer.content import Content, Key
from indexer.database import catalogue, embeddings, journal
from indexer.database.rows import FileItem
from indexer.errors import GenerationError, ModelMismatch
from indexer.folders.scan import Found, Scan
from indexer.indexing.gone import GoneFiles
from indexer.indexing.plans import Entry, Piece, Plan, batches, match
from indexer.indexing.reading import Decode, Read, read
from indexer.indexing.vectors import stored
from indexer.metadata import sidecars
from indexer.progress import Progress
from indexer.records import IndexReport, Kind, Model
from indexer.values import FieldValues

PUBLISH_EVERY = 10_000
"""New items after which a run publishes generations, or an eighth of the library if that is more:
otherwise searches would have more and more to read meanwhile."""

_KnownModel = tuple[int, Model]
"""A model with its id in the database."""


@dataclass
class _State:
    """Everything that changes during a run."""

    current: _KnownModel | None
    """The model that searches use; None before anything was embedded."""
    target: _KnownModel | None
    """The model whose embedding every item must have when the run ends. If it is None, the encoder
    decides it."""
    encoder: Encoder | None = None
    """Loaded when it is first needed."""
    gone: GoneFiles = field(default_factory=GoneFiles)
    unpublished: int = 0
    """Items that were added since generations were published."""
    counts: Counter[str] = field(default_factory=Counter)
    """Numbers of the report, by the names of its fields."""


class Run:
    """One run over one scan: call `retarget` if everything must be embedded again, then `run`."""

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
        self._batch_size = batch_size
        self._workers = workers or max(2, min(4, processors()))
        self._progress = progress
        with engine.connect() as db:
            current = catalogue.searched_model(db)
        self._state = _State(current, target=current)

    @property
    def model_id(self) -> int | None:
        """The id of the model whose embedding every item must have when `run` ends."""
        return self._state.target[0] if self._state.target else None

    def retarget(self) -> None:
        """Load the encoder, and let `run` embed every item with it. Searches use the model that
        they used until `run` ends."""
        self._state.encoder = self._load_encoder()
        self._recognise(self._state.encoder)
        model = _model(self._state.encoder)
        with self._engine.begin() as db:
            self._state.target = (journal.add_model(db, model), model)

    def require(self) -> None:
        """Load the encoder, and refuse it unless it is the library's model. The library remembers
        the name under which it was found now."""
        encoder = self._load()
        if self._state.target and encoder.name != self._state.target[1].name:
            with self._engine.begin() as db:
                journal.rename_model(db, self._state.target[0], encoder.name)

    def run(
        self, scan: Scan, publish: Callable[[], None], *, everything: bool = False
    ) -> IndexReport:
        """Bring the database to what `scan` found, a batch at a time, and `publish` now and then.
        `seconds` of the report is 0.

        With `everything` the scan was of all roots: nothing is left to embed then, and the
        embeddings of all other models are dropped.

        Raises ModelMismatch and EmbeddingError, and what the encoder raises. Batches that were
        committed before stay.
        """
        self._state.gone = GoneFiles(scan.gone)
        self._state.counts["unchanged"] = scan.unchanged
        if scan.found:
            self._progress.start(len(scan.found), "files")
            decoders = Decoders()
            results = self._read(decoders, scan.found)
            try:
                plans = (self._plan(result) for result in results)
                for batch in batches(plans, self._batch_size):
                    self._commit(batch)
                    self._publish_if_due(publish)
                    self._progress.advance(sum(piece.last for piece in batch))
            finally:
                decoders.close()  # first: the results wait for what is being decoded
                results.close()
                self._progress.finish()
        given_up = self._finish(scan, everything)
        with self._engine.connect() as db:
            failing, passing = catalogue.failure_counts(db)
        return IndexReport(
            **self._state.counts,
            failing=failing,
            passing=passing,
            given_up=given_up,
            passed_over=scan.passed_over,
            unavailable=tuple(scan.unavailable),
        )

    def _read(self, decoders: Decoders, files: Sequence[Found]) -> Generator[Read]:
        """The result of reading each file, in order. A bounded number of files is read ahead."""
        workers = children_for(len(files), self._workers)
        depth = self._batch_size + 2 * workers
        done = 0
        while done < len(files):
            encoder = self._state.encoder
            decode = partial(decoders.decode, prepare=encoder.prepare) if encoder else None
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
        return read(found, decode, self._state.gone.moved)

    def _is_settled(self, result: Read) -> bool:
        """Whether the result is complete, so that the file need not be read again and decoded."""
        if result.digest is None or result.failure is not None or result.contents is not None:
            return True
        if result.found.is_known_as(result.digest):
            return True
        return self._state.gone.has_picture(result.found, result.digest)

    def _load(self) -> Encoder:
        state = self._state
        if state.encoder is None:
            encoder = self._load_encoder()
            self._recognise(encoder)
            if state.target and encoder.fingerprint != state.target[1].fingerprint:
                raise _mismatch(state.target[1], encoder)
            state.encoder = encoder
        return state.encoder

    def _recognise(self, encoder: Encoder) -> None:
        """The library may know this model by an earlier fingerprint."""
        with self._engine.begin() as db:
            journal.recognise(db, encoder)
            current = catalogue.searched_model(db)
        if self._state.target == self._state.current:
            self._state.target = current
        self._state.current = current

    def _plan(self, result: Read) -> Plan:
        found, known = result.found, result.found.known
        if known and known.racy and not (result.digest or found.touched or known.lacking):
            # It cannot be opened now, but no sign says that its bytes have changed.
            result = replace(result, digest=known.digest, racy=True, failure=None)
        plan = Plan(found, result.digest, result.racy, result.failure, result.passing)
        if result.failure is not None:
            if known and known.items and self._may_be_as_before(result):
                # Its items stay, and the next run tries again.
                plan.digest, plan.kept = known.digest, known.items
            else:
                plan.leftovers = [item.id for item in self._items(known.id if known else None)]
            return plan
        assert result.digest is not None
        if found.sidecars:
            plan.description = sidecars.read(found.root.path, found.sidecars)
        if known and found.is_known_as(result.digest):
            plan.same = True
            plan.kept = known.items
            return plan
        if gone := self._state.gone.take(found, result.digest):
            plan.adopted = gone.id
        own, adopted = self._items(known.id if known else None), self._items(plan.adopted)
        if result.contents is None:
            plan.leftovers = [item.id for item in own]
            plan.moved = len(adopted)
        else:
            match(plan, result.contents, own + adopted)
        return plan

    @staticmethod
    def _may_be_as_before(result: Read) -> bool:
        """Whether a file that failed now may hold what its items are of."""
        known = result.found.known
        if not result.passing or known is None or known.digest is None:
            return False
        return not result.found.touched if result.digest is None else result.digest == known.digest

    def _items(self, file_id: int | None) -> list[FileItem]:
        if file_id is None:
            return []
        with self._engine.connect() as db:
            return catalogue.file_items(db, file_id, self.model_id)

    def _commit(self, batch: Sequence[Piece]) -> None:
        """Embed what a batch needs and write all of it in one transaction."""
        state = self._state
        contents = [entry.content for piece in batch for entry in piece.entries if entry.content]
        vectors, unused = self._embed(contents)
        with self._engine.begin() as db:
            if state.target is None and state.encoder is not None:
                model = _model(state.encoder)
                state.target = state.current = (journal.add_model(db, model), model)
                journal.use_model(db, state.target[0])
            embedded: list[tuple[int, bytes]] = []
            added: list[tuple[int, Kind]] = []
            said: list[tuple[Key, str, FieldValues | None]] = []
            for piece in batch:
                file_id = self._write_file(db, piece)
                for entry in piece.entries:
                    item_id = self._write_item(db, piece.plan, file_id, entry, unused)
                    if entry.content is None:
                        continue
                    key = entry.content.key
                    embedded.append((item_id, vectors[key]))
                    said += [(key, *field) for field in entry.content.fields.items()]
                    # An old item is new to searches only if they use the model of this embedding.
                    if entry.item_id is None or state.target == state.current:
                        added.append((item_id, entry.content.kind))
                if piece.last:
                    journal.delete_items(db, piece.plan.leftovers)
                    self._describe(db, piece.plan, file_id)
            if state.target:
                journal.add_embeddings(db, state.target[0], embedded)
            journal.log_added(db, added)
            journal.annotate(db, "file", None, said)
        if state.target == state.current:
            state.unpublished += len(added)

    def _publish_if_due(self, publish: Callable[[], None]) -> None:
        state = self._state
        if state.unpublished < PUBLISH_EVERY:
            return
        with self._engine.connect() as db:
            live = sum(catalogue.counts(db).values())
        if 8 * state.unpublished >= live:
            state.unpublished = 0
            with suppress(GenerationError):  # the end of the run will say so
                publish()

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
            journal.put_failure(db, file_id, plan.failure, passing=plan.passing)
            self._state.counts["failed"] += 1
        elif not plan.same:
            journal.forget_failure(db, file_id)
        if piece.first and plan.adopted is not None:
            journal.adopt_items(db, plan.adopted, file_id)
        if piece.last:
            new = sum(entry.item_id is None for entry in plan.entries)
            self._state.counts["updated" if found.has_new_sidecars else "unchanged"] += plan.kept
            self._state.counts["reembedded"] += plan.reembedded
            self._state.counts["moved"] += plan.moved
            self._state.counts["deleted"] += max(0, len(plan.leftovers) - new)
        return file_id

    def _describe(self, db: Connection, plan: Plan, file_id: int) -> None:
        found = plan.found
        if found.sidecars or (found.known and found.known.sidecar) or plan.adopted is not None:
            journal.describe_picture(db, file_id, plan.description)

    def _write_item(
        self, db: Connection, plan: Plan, file_id: int, entry: Entry, unused: set[Key]
    ) -> int:
        """Write the item and return its id, new or old. `unused` are vectors that were encoded and
        that no item has yet; a new item takes its vector out of them."""
        if entry.item_id is not None:
            journal.place_item(db, entry.item_id, entry.position)
            return entry.item_id
        content = entry.content
        assert content is not None
        if plan.replaced < len(plan.leftovers):
            plan.replaced += 1
            self._state.counts["changed"] += 1
        else:
            self._state.counts["added" if content.key in unused else "copied"] += 1
        unused.discard(content.key)
        return journal.add_item(db, file_id, entry.position, content)

    def _embed(self, contents: Sequence[Content]) -> tuple[dict[Key, bytes], set[Key]]:
        """Vectors by key as they are stored, and the keys of those that had to be encoded."""
        unique = {content.key: content for content in contents}
        vectors: dict[Key, bytes] = {}
        if unique and self.model_id is not None:
            with self._engine.connect() as db:
                digests = [content.digest for content in unique.values()]
                vectors = embeddings.vectors_by_digest(db, self.model_id, digests)
        missing = [content for key, content in unique.items() if key not in vectors]
        pictures = {c.key: c.pixels for c in missing if c.pixels is not None}
        texts = {c.key: c.text for c in missing if c.text is not None}
        if pictures:
            rows = self._load().encode_images(list(pictures.values()))
            vectors.update(zip(pictures, self._checked(rows, len(pictures)), strict=True))
        if texts:
            rows = self._load().encode_texts(list(texts.values()))
            vectors.update(zip(texts, self._checked(rows, len(texts)), strict=True))
        self._state.counts["embedded"] += len(missing)
        return vectors, {*pictures, *texts}

    def _checked(self, rows: Embeddings, count: int) -> list[bytes]:
        encoder = self._load()
        dim = self._state.target[1].dim if self._state.target else encoder.dim
        return stored(rows, count, dim, encoder.name)

    def _finish(self, scan: Scan, everything: bool) -> tuple[str, ...]:
        """Delete the gone files that did not move, and let searches use the target model. They keep
        their model while a root is unavailable: its items would lose the embeddings they have.
        Returns the names of the models that are given up."""
        state, left = self._state, self._state.gone.left()
        dead = [file for file in scan.gone if file.digest is None or file.failed or file.id in left]
        switch = everything and state.target is not None and not scan.unavailable
        with self._engine.begin() as db:
            journal.delete_files(db, [file.id for file in dead])
            state.counts["deleted"] += sum(file.items for file in dead)
            if not switch or state.target is None:
                return ()
            kept = {model[0] for model in (state.target, state.current) if model}
            others = catalogue.models_by_id(db)
            if others.keys() != {state.target[0]} or state.target != state.current:
                journal.use_model(db, state.target[0])
            return tuple(name for id, name in sorted(others.items()) if id not in kept)


def _model(encoder: Encoder) -> Model:
    return Model(encoder.name, encoder.fingerprint, encoder.dim)


def _mismatch(model: Model, encoder: Encoder) -> ModelMismatch:
    return ModelMismatch(
        f"this library was made with {model.name} ({model.fingerprint[:12]}), not with"
        f" {encoder.name} ({encoder.fingerprint[:12]}); use {model.name}, or embed everything again"
        f" with `align index --reembed --model {encoder.name}`"
    )
