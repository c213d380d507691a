"""Questions to a library: text to image, image to image, image to text."""

import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, get_args

from PIL import Image

from encoder import Embeddings, Encoder, PictureError, read_picture
from indexer import Filters, Kind, Library, LibraryError, ModelMismatch
from retrieval.results import Hit, Results
from retrieval.settings import DEFAULT_K

Sort = Literal["score", "date"]
PictureSource = str | os.PathLike[str] | Image.Image


class Engine:
    """Searches one library with the model that it was indexed with. Safe to use from several
    threads; the model loads at the first question and stays."""

    def __init__(self, library: Library, load: Callable[[str], Encoder]) -> None:
        self.library = library
        self._load = load
        self._loading = threading.Lock()
        self._encoder: Encoder | None = None

    @property
    def encoder(self) -> Encoder:
        """The library's model. Raises ModelMismatch where what loads under its name is not what
        the library was indexed with, LibraryError where nothing was indexed yet."""
        with self._loading:
            if self._encoder is None:
                model = self.library.model
                if model is None:
                    raise LibraryError(
                        f"the library {self.library.path} is empty: fill it with align index FOLDER"
                    )
                encoder = self._load(model.name)
                if encoder.fingerprint != model.fingerprint:
                    raise ModelMismatch(
                        f"the library was indexed with {model.name} ({model.fingerprint}), but what"
                        f" loaded is {encoder.name} ({encoder.fingerprint}): give the former as"
                        f" --model, or embed anew with align index --reembed --model {encoder.name}"
                    )
                self._encoder = encoder
            return self._encoder

    def search(
        self,
        text: str,
        k: int = DEFAULT_K,
        *,
        filters: Filters | None = None,
        sort: Sort = "score",
    ) -> Results:
        """The `k` pictures that match `text` best of those that `filters` let pass; fewer only
        where fewer exist. With `sort` "date" the same pictures come newest first, by the wall clock
        where they were taken, and those without a capture time last; ranks stay those of the score.
        ValueError for an empty text or k < 1, FilterError for a field that no item has."""
        if not text.strip():
            raise ValueError("the text to search for is empty")
        return self._nearest(self.encoder.encode_texts([text]), k, "image", filters, sort)

    def similar(
        self,
        picture: PictureSource,
        k: int = DEFAULT_K,
        *,
        filters: Filters | None = None,
        sort: Sort = "score",
    ) -> Results:
        """The `k` pictures most like `picture`, a path or an upright RGB image; an item of the
        library that is that very file is left out. `filters` and `sort` are those of `search`.
        PictureError where it cannot be read."""
        own = self._own(picture)
        return self._nearest(self._embed(picture), k, "image", filters, sort, own)

    def captions(
        self,
        picture: PictureSource,
        k: int = DEFAULT_K,
        *,
        filters: Filters | None = None,
        sort: Sort = "score",
    ) -> Results:
        """The `k` texts of the library that describe `picture` best; a path or an upright RGB
        image. `filters` and `sort` are those of `search`. PictureError where it cannot be read."""
        return self._nearest(self._embed(picture), k, "text", filters, sort)

    def close(self) -> None:
        """Close the library."""
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

    def _embed(self, picture: PictureSource) -> Embeddings:
        image = picture if isinstance(picture, Image.Image) else _read(picture)
        return self.encoder.encode_images([image])

    def _own(self, picture: PictureSource) -> frozenset[int]:
        if isinstance(picture, Image.Image):
            return frozenset()
        return frozenset(item.id for item in self.library.find(Path(picture)))

    def _nearest(
        self,
        query: Embeddings,
        k: int,
        kind: Kind,
        filters: Filters | None,
        sort: Sort,
        exclude: frozenset[int] = frozenset(),
    ) -> Results:
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        if sort not in get_args(Sort):
            raise ValueError(f"sort must be one of {', '.join(get_args(Sort))}, not {sort}")
        found = self.library.search(query[0], k, kind=kind, exclude=exclude, filters=filters)
        items = {item.id: item for item in self.library.items([int(i) for i in found.ids])}
        scored = [
            (items[int(i)], s) for i, s in zip(found.ids, found.scores, strict=True) if i in items
        ]
        hits = [
            Hit(
                rank=rank,
                score=float(score),
                id=item.id,
                kind=item.kind,
                path=item.path,
                text=item.text,
                taken_at=item.taken_at,
                width=item.width,
                height=item.height,
            )
            for rank, (item, score) in enumerate(scored, 1)
        ]
        if sort == "date":
            hits.sort(key=_wall_clock, reverse=True)
        return Results(hits, found.degraded)


def open_library(
    path: str | os.PathLike[str], *, model: str | None = None, device: str = "auto"
) -> Engine:
    """Open the library in the folder `path` (or the ``.align`` folder itself) for searching.

    `model` replaces the name under which the library's model is looked up (a checkpoint folder
    that has moved, say); it must still be the same model. Raises LibraryNotFound with the remedy.
    """

    def load(name: str) -> Encoder:
        from encoder import load_encoder

        return load_encoder(model or name, device)

    return Engine(Library.open(Path(path).expanduser()), load)


def _wall_clock(hit: Hit) -> datetime:
    return hit.taken_at.replace(tzinfo=None) if hit.taken_at else datetime.min


def _read(path: str | os.PathLike[str]) -> Image.Image:
    try:
        return read_picture(path).image
    except PictureError as error:
        raise PictureError(f"{os.fspath(path)} cannot be read: {error}") from error
    except OSError as error:
        raise PictureError(f"{os.fspath(path)} cannot be opened: {error.strerror}") from error
