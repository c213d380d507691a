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
from retrieval.errors import QueryError

PictureSource = str | os.PathLike[str] | Image.Image
"""A path, or an upright RGB image."""

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

    def __post_init__(self) -> None:
        if any(not term.content.strip() for term in self.texts):
            raise QueryError("a text to search for is empty")
        if not any(weight > 0 for weight in self._weights):
            raise QueryError("the query is empty: give a text or a picture to look for")

    @classmethod
    def combine(
        cls,
        text: str = "",
        plus: Iterable[str | Weighted[str]] = (),
        minus: Iterable[str | Weighted[str]] = (),
        images: Iterable[PictureSource | Weighted[PictureSource]] = (),
    ) -> Self:
        """`text` (none if it is ""), all of `plus` and `images`, and away from all of `minus`.

        What comes without a weight counts 1. QueryError unless something is to be looked for.
        """
        if any(isinstance(terms, str) for terms in (plus, minus, images)):
            raise TypeError("plus, minus and images take a list, as in plus=['sunset']")
        away = (_weighted(term) for term in minus)
        return cls(
            (
                *([Weighted(text)] if text else []),
                *(_weighted(term) for term in plus),
                *(Weighted(term.content, -term.weight) for term in away),
            ),
            tuple(_weighted(picture) for picture in images),
        )

    @property
    def _weights(self) -> list[float]:
        return [*(term.weight for term in self.texts), *(term.weight for term in self.pictures)]

    @property
    def files(self) -> list[Path]:
        """The pictures that were given as paths."""
        given = (term.content for term in self.pictures)
        return [Path(picture) for picture in given if not isinstance(picture, Image.Image)]

    def embed(self, encoder: Encoder, decoders: Decoders) -> npt.NDArray[np.float32]:
        """The weighted sum of the terms' embeddings, normalised again; (dim,) float32.

        All texts are embedded in one call and all pictures in another. PictureError where a
        picture cannot be read, QueryError where the terms cancel.
        """
        images = [open_picture(term.content, encoder, decoders) for term in self.pictures]
        rows = [encoder.encode_texts([term.content for term in self.texts])] if self.texts else []
        rows += [encoder.encode_images(images)] if images else []
        weights = np.array(self._weights, np.float64)
        weights /= np.abs(weights).max()  # numbers near the largest would add up to infinity
        total = weights @ np.concatenate(rows).astype(np.float64)
        length = np.linalg.norm(total)
        if length < _CANCELLED * np.abs(weights).sum():
            raise QueryError("the terms of the query cancel each other: change one or its weight")
        unit: npt.NDArray[np.float32] = (total / length).astype(np.float32)
        return unit


def _weighted(term: Content | Weighted[Content]) -> Weighted[Content]:
    return term if isinstance(term, Weighted) else Weighted(term)


def open_picture(
    picture: PictureSource, encoder: Encoder, decoders: Decoders
) -> Image.Image | Pixels:
    """What `encoder` embeds of a picture: an image as it is, a file as a child decodes and prepares
    it, within the limits of indexing. PictureError, which names the file, if it cannot be read."""
    if isinstance(picture, Image.Image):
        return picture
    try:
        return decoders.decode(read_bytes(picture), encoder.prepare).pixels
    except PictureError as error:
        raise PictureError(f"{os.fspath(picture)} cannot be read: {error}") from error
    except OSError as error:
        raise PictureError(f"{os.fspath(picture)} cannot be opened: {error.strerror}") from error
