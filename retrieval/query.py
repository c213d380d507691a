"""What is asked: texts and pictures with weights, summed in the space that they share."""

import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from encoder import Decoders, Encoder, PictureError, Pixels
from encoder.pictures.picture import read_bytes
from encoder.pictures.sources import PictureSource, as_image, is_path, no_picture, read_open
from encoder.protocol import as_texts
from retrieval.errors import QueryError

_CANCELLED = 1e-3
"""A sum shorter than this share of its weights points where rounding to bfloat16 sends it."""

_WEIGHT = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?):(.*)", re.IGNORECASE | re.DOTALL)

Content = TypeVar("Content", str, PictureSource)
T = TypeVar("T", covariant=True)


@dataclass(frozen=True)
class Weighted(Generic[T]):
    """One term of a query: a text, or a picture, and how much it counts.

    A negative weight leads away from it. QueryError unless the weight is finite and not 0.
    """

    content: T
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.weight) or self.weight == 0:
            raise QueryError(f"the weight {self.weight} must be a finite number other than 0")


def parse_weighted(term: str) -> Weighted[str]:
    """A term as the command line spells it: ``dog``, ``2:sunset`` or ``0.5:dog``.

    A number before the first colon is the weight, so a text or path that begins that way needs one
    of its own: ``1:16:9 screen``. QueryError for a weight that is not positive and finite, and
    where nothing follows it.
    """
    match = _WEIGHT.fullmatch(term)
    number, content = match.groups() if match else ("1", term)
    weight = float(number)
    if not (math.isfinite(weight) and weight > 0):
        raise QueryError(
            f"the weight {number} must be positive; 1:{term} is the text or path {term} itself"
        )
    if not content.strip():
        raise QueryError(f"{term!r} is empty: say what to look for")
    return Weighted(content, weight)


@dataclass(frozen=True)
class Query:
    """Weighted texts and pictures, at least one of them with a positive weight."""

    texts: tuple[Weighted[str], ...] = ()
    pictures: tuple[Weighted[PictureSource], ...] = ()
    vector: npt.NDArray[np.floating] | None = None
    """An embedding of the caller's own, (dim,), of any length but 0; its weight is 1."""

    def __post_init__(self) -> None:
        if any(not text.strip() for text in as_texts(term.content for term in self.texts)):
            raise QueryError("a text to search for is empty")
        if self.vector is None and not any(weight > 0 for weight in self._weights):
            raise QueryError("the query is empty: give a text or a picture to look for")

    @classmethod
    def combine(
        cls,
        text: str = "",
        plus: Iterable[str | Weighted[str]] = (),
        minus: Iterable[str | Weighted[str]] = (),
        images: Iterable[PictureSource | Weighted[PictureSource]] = (),
        vector: npt.ArrayLike | None = None,
    ) -> Self:
        """`text` (none if it is ""), all of `plus` and `images`, `vector`, and away from all of
        `minus`.

        What comes without a weight counts 1. QueryError unless something is to be looked for.
        """
        single = (str, bytes, bytearray, memoryview, os.PathLike, Image.Image, np.ndarray, Weighted)
        if any(isinstance(terms, single) for terms in (plus, minus, images)):
            raise TypeError("plus, minus and images take a list, as in plus=['sunset']")
        if not isinstance(text, str):
            raise TypeError("a query is one text, as in search('a dog'); search_many takes several")
        away = (_weighted(term) for term in minus)
        return cls(
            (
                *([Weighted(text)] if text else []),
                *(_weighted(term) for term in plus),
                *(Weighted(term.content, -term.weight) for term in away),
            ),
            tuple(_weighted(picture) for picture in images),
            None if vector is None else _unit(vector),
        )

    @property
    def _weights(self) -> list[float]:
        return [*(term.weight for term in self.texts), *(term.weight for term in self.pictures)]

    @property
    def files(self) -> list[Path]:
        """The pictures that were given as paths."""
        given = (term.content for term in self.pictures)
        return [Path(picture) for picture in given if is_path(picture)]

    @property
    def needs_encoder(self) -> bool:
        """Whether there is anything to embed."""
        return bool(self.texts or self.pictures)

    def own(self, dim: int) -> npt.NDArray[np.float32]:
        """The caller's own vector, (dim,); QueryError if it has another length."""
        assert self.vector is not None
        if len(self.vector) != dim:
            raise QueryError(
                f"the vector has {len(self.vector):,} numbers, but the library's model {dim:,}:"
                " embed with that model"
            )
        return self.vector.astype(np.float32)

    def embed(self, encoder: Encoder, decoders: Decoders) -> npt.NDArray[np.float32]:
        """The weighted sum of the terms' embeddings, normalised again; (dim,) float32.

        All texts are embedded in one call and all pictures in another. PictureError where a
        picture cannot be read, QueryError where the terms cancel or the vector has another length.
        """
        images = [open_picture(term.content, encoder, decoders) for term in self.pictures]
        rows = [encoder.encode_texts([term.content for term in self.texts])] if self.texts else []
        rows += [encoder.encode_images(images)] if images else []
        if self.vector is not None:
            rows.append(self.own(encoder.dim)[None])
        weights = np.array([*self._weights, *([] if self.vector is None else [1.0])], np.float64)
        weights /= np.abs(weights).max()  # numbers near the largest would add up to infinity
        total = weights @ np.concatenate(rows).astype(np.float64)
        length = np.linalg.norm(total)
        if length < _CANCELLED * np.abs(weights).sum():
            raise QueryError("the terms of the query cancel each other: change one or its weight")
        unit: npt.NDArray[np.float32] = (total / length).astype(np.float32)
        return unit


def _weighted(term: Content | Weighted[Content]) -> Weighted[Content]:
    return term if isinstance(term, Weighted) else Weighted(term)


def _unit(vector: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """`vector` normalised; QueryError if it has another shape than (n,), or no direction."""
    try:
        row = np.asarray(vector, np.float64)
    except (TypeError, ValueError):
        raise QueryError("the vector is not numbers: give one row of them, (dim,)") from None
    if row.ndim == 2 and len(row) == 1:
        row = row[0]
    if row.ndim != 1:
        raise QueryError(f"the vector has the shape {row.shape}: give one row of numbers, (dim,)")
    largest = np.abs(row).max(initial=0)
    if not np.isfinite(largest) or largest == 0:
        raise QueryError("the vector has no direction: its numbers must be finite and not all 0")
    if not 1e-100 < largest < 1e100:  # or the sum of squares would be 0 or infinite
        row = row / largest
    unit: npt.NDArray[np.float64] = row / np.linalg.norm(row)
    return unit


def open_picture(
    picture: PictureSource, encoder: Encoder, decoders: Decoders
) -> Image.Image | Pixels:
    """What `encoder` embeds of a picture: the upright RGB image of what is decoded already, or what
    a child decodes and prepares of a file or of bytes, within the limits of indexing. PictureError,
    which names the file, if it cannot be read."""
    if isinstance(picture, Image.Image | np.ndarray):
        return as_image(picture)
    name = os.fspath(picture) if is_path(picture) else "the picture"
    try:
        if is_path(picture):
            data = read_bytes(picture)
        elif isinstance(picture, bytes | bytearray | memoryview):
            data = bytes(picture)
        elif hasattr(picture, "read"):
            data = read_open(picture)
        else:
            raise no_picture(picture)
        return decoders.decode(data, encoder.prepare).pixels
    except PictureError as error:
        raise PictureError(f"{name} cannot be read: {error}") from error
    except OSError as error:
        raise PictureError(f"{name} cannot be opened: {error.strerror}") from error
