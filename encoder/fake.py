"""An encoder that can be computed in the head, for tests of the code that uses encoders."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from encoder.pictures.sources import open_image, several
from encoder.protocol import Embeddings, Pixels, as_texts

COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "purple": (255, 0, 255),
    "turquoise": (0, 255, 255),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
}


class FakeEncoder:
    """Embeds the mean colour: a picture by its pixels, a text by the colour words in it.

    The embedding is (r, g, b, 1) / 255 normalised, so "red" is nearest to a red picture. A text
    without a colour word is spread by its hash.
    """

    dim = 4
    temperature = 0.1
    revision: str | None = None
    preprocessing = "8x8 box"

    def __init__(self, name: str = "fake", fingerprint: str = "fa4e") -> None:
        self.name = name
        self.fingerprint = fingerprint

    @staticmethod
    def prepare(picture: Image.Image) -> Pixels:
        return np.asarray(picture.convert("RGB").resize((8, 8), Image.Resampling.BOX), np.uint8)

    def encode_images(self, pictures: Sequence[Any]) -> Embeddings:
        pixels = [
            p if isinstance(p, np.ndarray) else self.prepare(open_image(p))
            for p in several(pictures)
        ]
        return self._embed([p.reshape(-1, 3).mean(0, np.float64) for p in pixels])

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        return self._embed([self._colour(text) for text in as_texts(texts)])

    def _colour(self, text: str) -> npt.NDArray[np.float64]:
        named = [list(COLOURS[word]) for word in text.lower().split() if word in COLOURS]
        spread = list(hashlib.sha256(text.encode()).digest()[:3])
        mean: npt.NDArray[np.float64] = np.array(named or [spread]).mean(axis=0)
        return mean

    def _embed(self, colours: list[npt.NDArray[np.float64]]) -> Embeddings:
        rows = np.ones((len(colours), self.dim), np.float32)
        for row, colour in zip(rows, colours, strict=True):
            row[:3] = colour / 255
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows
