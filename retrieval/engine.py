"""Search a library: text to image, image to image, image to text."""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, get_args

import numpy as np

from encoder import CheckpointError, Decoders, Encoder, HubError
from encoder.system import watch_forks
from indexer import Filters, Kind, Library, LibraryError, ModelMismatch
from retrieval.classification import label_embeddings, probabilities
from retrieval.defaults import CONFIDENCE, DEFAULT_K, NEAR_DUPLICATE, TEMPLATE
from retrieval.errors import QueryError
from retrieval.grouping import leaders
from retrieval.query import PictureSource, Query, Weighted
from retrieval.results import Hit, Results, Tagged
from retrieval.trust import require_trusted_model

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
            model = self.library.model
            if model is None:
                raise LibraryError(
                    f"the library {self.library.path} is empty: fill it with align index FOLDER"
                )
            if self._encoder is None or self._encoder.fingerprint != model.fingerprint:
                encoder = self._load(model.name)
                if encoder.fingerprint != model.fingerprint:
                    raise ModelMismatch(
                        f"the library was indexed with {model.name} ({model.fingerprint}), but"
                        f" {encoder.name} ({encoder.fingerprint}) was loaded: name the first one"
                        " with --model, or embed everything again with align index --reembed"
                        f" --model {encoder.name}"
                    )
                self._encoder = encoder
            return self._encoder

    def search(
        self,
        text: str = "",
        k: int = DEFAULT_K,
        *,
        plus: Iterable[str | Weighted[str]] = (),
        minus: Iterable[str | Weighted[str]] = (),
        images: Iterable[PictureSource | Weighted[PictureSource]] = (),
        group: bool = False,
        threshold: float = NEAR_DUPLICATE,
        filters: Filters | None = None,
        sort: Sort = "score",
    ) -> Results:
        """Find the `k` pictures that match best among those that pass `filters`; fewer only if
        fewer exist.

        The query is the weighted sum of `text`, `plus` and `images` (paths, or upright RGB images),
        minus that of `minus`. A term has weight 1 unless it is a `Weighted`. If a file of the
        library is among `images`, it is left out of the hits. With `group` a hit also stands for
        its near-duplicates: pictures whose cosine with it is at least `threshold`, in (0, 1], and
        that were not taken at another time. Then `k` is the number of groups.

        With `sort` "date" the same hits come newest first, by the local time where they were taken;
        hits without a capture time come last. Ranks stay those of the score.

        Raises QueryError for an empty query or terms that cancel, ValueError for k < 1, FilterError
        for a field that no item has, PictureError if a picture cannot be read.
        """
        query = Query.combine(text, plus, minus, images)
        grouped = threshold if group else None
        return self._nearest(query, k, "image", filters, sort, grouped)

    def similar(
        self,
        picture: PictureSource,
        k: int = DEFAULT_K,
        *,
        plus: Iterable[str | Weighted[str]] = (),
        minus: Iterable[str | Weighted[str]] = (),
        group: bool = False,
        threshold: float = NEAR_DUPLICATE,
        filters: Filters | None = None,
        sort: Sort = "score",
    ) -> Results:
        """Find the `k` pictures most like `picture`, a path or an upright RGB image. The same as
        `search` with `picture` among the images."""
        query = Query.combine("", plus, minus, [picture])
        grouped = threshold if group else None
        return self._nearest(query, k, "image", filters, sort, grouped)

    def captions(
        self,
        picture: PictureSource,
        k: int = DEFAULT_K,
        *,
        filters: Filters | None = None,
        sort: Sort = "score",
    ) -> Results:
        """Find the `k` texts of the library that best describe `picture`, a path or an upright RGB
        image. `filters` and `sort` are those of `search`. Raises PictureError if the picture cannot
        be read."""
        return self._nearest(Query.combine(images=[picture]), k, "text", filters, sort)

    def tag(
        self,
        labels: Sequence[str],
        *,
        confidence: float = CONFIDENCE,
        templates: Sequence[str] = (TEMPLATE,),
        wait: float = 0,
    ) -> Tagged:
        """For each picture and label, store the label's probability as a field of that name if it
        is at least `confidence`, in (0, 1]. Returns the number of pictures for each label.

        Files are not touched. What earlier runs stored for these labels is replaced. What a person
        or a sidecar says under the name of a label stays and counts more in filters. Raises
        QueryError as `classify` does, and for a label that no filter could name; LibraryLocked if
        another process still writes after `wait` seconds.
        """
        if not 0 < confidence <= 1:
            raise QueryError(f"the confidence {confidence} must be above 0 and at most 1")
        if isinstance(labels, str):
            raise TypeError("labels takes a list, as in labels=['cat', 'dog']")
        for label in labels:
            if label != label.strip() or set(label) & set("=<>!"):
                raise QueryError(f"the label {label!r} cannot be the name of a field")
        encoder = self.encoder
        texts = label_embeddings(encoder, labels, templates)
        counts = dict.fromkeys(labels, 0)
        tags: list[tuple[int, str, float]] = []
        ids = self.library.ids("image")
        for start in range(0, len(ids), _CHUNK):
            some = ids[start : start + _CHUNK].tolist()
            rows = self.library.embeddings(some, fingerprint=encoder.fingerprint)
            found = probabilities(rows, texts, encoder.temperature)
            found[~rows.any(axis=1)] = 0  # deleted meanwhile, or not embedded yet
            for i, j in np.argwhere(found >= confidence).tolist():
                tags.append((some[i], labels[j], float(found[i, j])))
                counts[labels[j]] += 1
        about = {
            "labels": list(labels),
            "templates": list(templates),
            "confidence": confidence,
            "model": encoder.name,
            "fingerprint": encoder.fingerprint,
        }
        left = self.library.tag(labels, tags, about, fingerprint=encoder.fingerprint, wait=wait)
        return Tagged(counts, left)

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
        k: int,
        kind: Kind,
        filters: Filters | None,
        sort: Sort,
        threshold: float | None = None,
    ) -> Results:
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        if sort not in get_args(Sort):
            raise ValueError(f"sort must be one of {', '.join(get_args(Sort))}, not {sort}")
        if filters:
            self.library.check(filters)  # before a model is loaded for it
        encoder = self.encoder
        vector = query.embed(encoder, self._decoders)
        own = frozenset(item.id for file in query.files for item in self.library.find(file))
        search = partial(
            self.library.search, kind=kind, filters=filters, fingerprint=encoder.fingerprint
        )
        similar: dict[int, int] | None = None
        if threshold is None:
            found = search(vector, k, exclude=own)
        else:
            near = partial(self.library.near, kind=kind, filters=filters)
            found, similar = leaders(self.library, search, near, vector, k, own, threshold)
        hits = [
            Hit.of(item, rank, float(score), None if similar is None else similar[item.id])
            for rank, (item, score) in enumerate(zip(found.items, found.scores, strict=True), 1)
        ]
        if sort == "date":
            hits.sort(key=_wall_clock, reverse=True)
        return Results(hits, found.degraded)


def open_library(
    path: str | os.PathLike[str], *, model: str | None = None, device: str = "auto"
) -> Engine:
    """Open the library in the folder `path` (or the ``.align`` folder itself) for searching.

    `model` says where the library's model is now, such as a checkpoint folder that has moved; it
    must be the same model. A library that belongs to another user loads only a model that comes
    with this program, unless `model` names one or `align trust` was told of the library. Raises
    LibraryNotFound with the remedy.
    """

    library = Library.open(Path(path).expanduser())

    def load(name: str) -> Encoder:
        return load_named(model, device) if model else load_own(library, name, device)

    return Engine(library, load)


def load_named(name: str, device: str) -> Encoder:
    """The encoder that a user named; see `encoder.load_encoder`."""
    from encoder import load_encoder

    return load_encoder(name, device)


def load_own(library: Library, name: str, device: str) -> Encoder:
    """The library's own model. If it cannot be loaded, the error says whose model it is and how to
    tell the library where it is now. Raises UntrustedLibrary if another user may have chosen it."""
    require_trusted_model(library.path, name)
    try:
        return load_named(name, device)
    except (CheckpointError, HubError) as error:
        raise type(error)(
            f"{error}; {name} is this library's own model: if it has moved, say where it is now"
            " with `align index --model PLACE`"
        ) from error


def _wall_clock(hit: Hit) -> datetime:
    return hit.taken_at.replace(tzinfo=None) if hit.taken_at else datetime.min
