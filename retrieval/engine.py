"""Search a library: text to image, image to image, image to text."""

import operator
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from math import nan
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, SupportsIndex, get_args

import numpy as np
import numpy.typing as npt

from encoder import Decoders, Embeddings, Encoder
from encoder.pictures.sources import PictureSource
from encoder.protocol import as_texts, is_of
from encoder.system import watch_forks
from indexer import (
    Filters,
    ImportReport,
    IndexReport,
    Item,
    Kind,
    Library,
    LibraryError,
    Model,
    ModelMismatch,
)
from retrieval.classification import competing, label_embeddings, probabilities
from retrieval.defaults import CONFIDENCE, DEFAULT_K, DEFAULT_MODEL, TEMPLATE
from retrieval.errors import QueryError
from retrieval.export import export
from retrieval.grouping import leaders, near_duplicate
from retrieval.imports import read_embeddings
from retrieval.query import Query, Weighted
from retrieval.results import Hit, Results, Tagged

_CHUNK = 10_000

Sort = Literal["score", "date"]


class Engine:
    """Searches one library with the model that it was indexed with. Safe to use from several
    threads; the model loads at the first question, and again after the library was embedded with
    another one."""

    def __init__(self, library: Library, load: Callable[[str], Encoder]) -> None:
        self.library = library
        self._load = load
        self._loading = threading.Lock()
        self._encoder: Encoder | None = None
        self._known_as = ""
        """The fingerprint of the encoder in the library."""
        self._decoders = Decoders()
        watch_forks(self)

    def after_fork(self) -> None:
        """Another thread of the parent may have been loading the model."""
        self._loading = threading.Lock()

    @property
    def encoder(self) -> Encoder:
        """The library's model. Raises ModelMismatch if another model loads under its name,
        LibraryError if nothing was indexed yet."""
        with self._loading:
            model = self._model()
            if self._encoder is None or self._known_as != model.fingerprint:
                encoder = self._load(model.name)
                if not is_of(encoder, model.fingerprint):
                    raise ModelMismatch(
                        f"the library was indexed with {model.name} ({model.fingerprint}), but"
                        f" {encoder.name} ({encoder.fingerprint}) was loaded: name the first one"
                        " with --model, or embed everything again with align index --reembed"
                        f" --model {encoder.name}"
                    )
                self._encoder, self._known_as = encoder, model.fingerprint
            return self._encoder

    def search(
        self,
        text: str = "",
        k: SupportsIndex = DEFAULT_K,
        *,
        plus: Iterable[str | Weighted[str]] = (),
        minus: Iterable[str | Weighted[str]] = (),
        images: Iterable[PictureSource | Weighted[PictureSource]] = (),
        group: bool = False,
        threshold: float | None = None,
        filters: Filters | None = None,
        sort: Sort = "score",
        vector: npt.ArrayLike | None = None,
        min_score: float | None = None,
    ) -> Results:
        """Find the `k` pictures that match best among those that pass `filters`; fewer only if
        fewer exist, or if others have a lower score than `min_score`.

        The query is the weighted sum of `text`, `plus` and `images`, minus that of `minus`. A
        picture is a path, bytes, an open binary file, a PIL image as it was opened, or an upright
        (height, width, 3) array. `vector` is an embedding of the caller's own, (dim,), which
        is normalised first. A term has weight 1 unless it is a `Weighted`. If a file of the library
        is among `images`, it is left out of the hits.

        With nothing but `filters`, the pictures that pass them come newest first. Their score is
        NaN. With `group` a hit also stands for its near-duplicates: pictures whose cosine with it
        is at least `threshold`, in (0, 1], by default that of the model, and that were not taken at
        another time. Then `k` is the number of groups.

        With `sort` "date" the same hits come newest first, by the local time where they were taken;
        hits without a capture time come last. Ranks stay those of the score.

        Raises QueryError for an empty query, terms that cancel or a vector of another dimension,
        ValueError for k < 1, FilterError for a field that no item has, PictureError if a picture
        cannot be read.
        """
        if filters and vector is None and not (text or plus or minus or images):
            if group or min_score is not None:
                raise QueryError(
                    "groups and scores need a question: give a text or a picture to look for"
                )
            return self._newest(k, filters)
        query = Query.combine(text, plus, minus, images, vector)
        grouped = near_duplicate(self.library, threshold) if group else None
        return self._nearest(query, k, "image", filters, sort, grouped, min_score)

    def search_many(
        self,
        texts: Iterable[str],
        k: SupportsIndex = DEFAULT_K,
        *,
        filters: Filters | None = None,
        sort: Sort = "score",
        min_score: float | None = None,
    ) -> list[Results]:
        """As `search` for each of `texts`, which are embedded in one call."""
        if isinstance(texts, str):
            raise TypeError("texts takes a list, as in texts=['a dog', 'a cat']; see search")
        texts = as_texts(texts)
        if any(not text.strip() for text in texts):
            raise QueryError("a text to search for is empty")
        if not texts:
            return []
        rows = self.encoder.encode_texts(texts)
        return [
            self.search(vector=row, k=k, filters=filters, sort=sort, min_score=min_score)
            for row in rows
        ]

    def similar(
        self,
        picture: PictureSource,
        k: SupportsIndex = DEFAULT_K,
        *,
        plus: Iterable[str | Weighted[str]] = (),
        minus: Iterable[str | Weighted[str]] = (),
        group: bool = False,
        threshold: float | None = None,
        filters: Filters | None = None,
        sort: Sort = "score",
        min_score: float | None = None,
    ) -> Results:
        """Find the `k` pictures most like `picture`. The same as `search` with `picture` among the
        images."""
        query = Query.combine("", plus, minus, [picture])
        grouped = near_duplicate(self.library, threshold) if group else None
        return self._nearest(query, k, "image", filters, sort, grouped, min_score)

    def captions(
        self,
        picture: PictureSource,
        k: SupportsIndex = DEFAULT_K,
        *,
        filters: Filters | None = None,
        sort: Sort = "score",
    ) -> Results:
        """Find the `k` texts of the library that best describe `picture`. Pictures, `filters` and
        `sort` are those of `search`. Raises PictureError if the picture cannot
        be read."""
        return self._nearest(Query.combine(images=[picture]), k, "text", filters, sort)

    def tag(
        self,
        labels: Sequence[str] = (),
        *,
        cutoffs: Mapping[str, float] | None = None,
        confidence: float = CONFIDENCE,
        templates: Sequence[str] = (TEMPLATE,),
        none: bool = False,
        wait: float = 0,
    ) -> Tagged:
        """For each picture and label, store the label's probability among all `labels` as a field
        of that name if it is at least `confidence`, in (0, 1]; and, independently of all others,
        the cosine with each label of `cutoffs` if it is at least the number given there. Returns
        the number of pictures for each label. With `none`, and with a single label, "none of these"
        competes and is not stored; see `classify`.

        Files are not touched. What earlier runs stored for these labels is replaced. What a person
        or a sidecar says under the name of a label stays and counts more in filters. Raises
        QueryError as `classify` does, and for a label that no filter could name; LibraryLocked if
        another process still writes after `wait` seconds.
        """
        if not 0 < confidence <= 1:
            raise QueryError(f"the confidence {confidence} must be above 0 and at most 1")
        if isinstance(labels, str):
            raise TypeError("labels takes a list, as in labels=['cat', 'dog']")
        alone = dict(cutoffs or {})
        names = [*labels, *alone]
        if len(set(names)) < len(names):
            raise QueryError("a label is given twice: give each label once")
        for label in names:
            if label != label.strip() or set(label) & set("=<>!~"):
                raise QueryError(f"the label {label!r} cannot be the name of a field")
        encoder = self.encoder
        columns: list[Callable[[Embeddings], npt.NDArray[np.float64]]] = []
        if labels or not alone:
            _, texts = competing(encoder, labels, templates, none=none)
            columns.append(
                lambda rows: probabilities(rows, texts, encoder.temperature)[:, : len(labels)]
            )
        if alone:
            own = label_embeddings(encoder, list(alone), templates)
            columns.append(lambda rows: rows.astype(np.float64) @ own.T.astype(np.float64))
        least = np.array([*(confidence for _ in labels), *alone.values()])
        counts = dict.fromkeys(names, 0)
        tags: list[tuple[int, str, float]] = []
        ids = self.library.ids("image")
        for start in range(0, len(ids), _CHUNK):
            some = ids[start : start + _CHUNK].tolist()
            rows = self.library.embeddings(some, fingerprint=self._known_as)
            found = np.concatenate([column(rows) for column in columns], axis=1)
            found[~rows.any(axis=1)] = -np.inf  # deleted meanwhile, or not embedded yet
            for i, j in np.argwhere(found >= least).tolist():
                tags.append((some[i], names[j], float(found[i, j])))
                counts[names[j]] += 1
        about = {
            "labels": list(labels),
            "cutoffs": alone,
            "templates": list(templates),
            "confidence": confidence,
            "model": encoder.name,
            "fingerprint": encoder.fingerprint,
        }
        left = self.library.tag(names, tags, about, fingerprint=self._known_as, wait=wait)
        return Tagged(counts, left)

    def index(
        self, paths: Iterable[str | os.PathLike[str]] | str | os.PathLike[str] = (), **options: Any
    ) -> IndexReport:
        """Add folders and files to the library, or bring all of it up to date; see `Library.index`,
        which takes the same `options`."""
        several = [paths] if isinstance(paths, str | os.PathLike) else paths
        return self.library.index(
            [Path(path).expanduser() for path in several], self._own, **options
        )

    def _own(self) -> Encoder:
        model = self.library.model
        return self.encoder if model else self._load(DEFAULT_MODEL)

    def items(self, filters: Filters | None = None, *, kind: Kind = "image") -> Iterator[Item]:
        """Every item, or every one that passes `filters`, by ascending id."""
        if filters:
            self.library.check(filters)
        ids = self.library.ids(kind, filters=filters)
        for start in range(0, len(ids), _CHUNK):
            yield from self.library.items(ids[start : start + _CHUNK].tolist())

    def embeddings(self, ids: Iterable[int]) -> Embeddings:
        """The embeddings of items, (n, dim) float32 of length 1, in the order of `ids`; zeros for
        an id that no live item has."""
        return self.library.embeddings([int(id) for id in ids])

    def export(self, target: str | os.PathLike[str], *, kind: Kind = "image") -> int:
        """Write embeddings and metadata for other programs; see `retrieval.export.export`."""
        return export(self.library, target, kind=kind)

    def import_embeddings(
        self, source: str | os.PathLike[str], metadata: str | os.PathLike[str] | None = None
    ) -> ImportReport:
        """Add embeddings that another program made with this library's model; see
        `retrieval.imports.read_embeddings`."""
        items = read_embeddings(Path(source), None if metadata is None else Path(metadata))
        return self.library.import_embeddings(items, self._own)

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self.library.ids("image"))

    def __bool__(self) -> bool:
        """Always true: an empty library is a library."""
        return True

    def close(self) -> None:
        """Close the library, and end the processes that decoded pictures."""
        self._decoders.close()
        self.library.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _nearest(
        self,
        query: Query,
        k: SupportsIndex,
        kind: Kind,
        filters: Filters | None,
        sort: Sort,
        threshold: float | None = None,
        min_score: float | None = None,
    ) -> Results:
        number = _whole(k)
        if sort not in get_args(Sort):
            raise ValueError(f"sort must be one of {', '.join(get_args(Sort))}, not {sort}")
        if filters:
            self.library.check(filters)  # before a model is loaded for it
        if query.needs_encoder:
            encoder = self.encoder
            vector, fingerprint = query.embed(encoder, self._decoders), self._known_as
        else:
            model = self._model()
            vector, fingerprint = query.own(model.dim), model.fingerprint
        own = frozenset(item.id for file in query.files for item in self.library.find(file))
        search = partial(self.library.search, kind=kind, filters=filters, fingerprint=fingerprint)
        similar: dict[int, int] | None = None
        if threshold is None:
            found = search(vector, number, exclude=own)
        else:
            near = partial(self.library.near, kind=kind, filters=filters)
            found, similar = leaders(self.library, search, near, vector, number, own, threshold)
        hits = [
            Hit.of(item, rank, float(score), None if similar is None else similar[item.id])
            for rank, (item, score) in enumerate(zip(found.items, found.scores, strict=True), 1)
            if min_score is None or score >= min_score
        ]
        if sort == "date":
            hits.sort(key=_wall_clock, reverse=True)
        return Results(hits, found.degraded)

    def _newest(self, k: SupportsIndex, filters: Filters) -> Results:
        found = self.library.newest(_whole(k), filters=filters)
        return Results([Hit.of(item, rank, nan) for rank, item in enumerate(found, 1)])

    def _model(self) -> Model:
        model = self.library.model
        if model is None:
            raise LibraryError(
                f"the library {self.library.path} is empty: fill it with align index FOLDER"
            )
        return model


def _whole(k: SupportsIndex) -> int:
    number = operator.index(k)
    if number < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    return number


def _wall_clock(hit: Hit) -> datetime:
    return hit.taken_at.replace(tzinfo=None) if hit.taken_at else datetime.min
