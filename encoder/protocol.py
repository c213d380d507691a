"""The seam between encoders and everything above them."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

Embeddings = npt.NDArray[np.float32]
"""(n, dim) float32, every row of Euclidean length 1."""

Pixels = npt.NDArray[np.uint8]
"""(height, width, 3) uint8 in [0, 255], RGB, resized and cropped as one encoder wants it."""

TEXT_BATCH = 128
"""Texts that are embedded at once. A batch is padded to its longest text, so callers that have many
texts do well to sort them by length and to pass this many."""


class Encoder(Protocol):
    """Pictures and texts into one space. Implementations: `encoder.inference.AlignEncoder`,
    `encoder.fake.FakeEncoder` (for tests of what stands above)."""

    @property
    def name(self) -> str:
        """What `load_encoder` finds it by from anywhere: an absolute path, a hub id or
        ``align-mini``."""

    @property
    def fingerprint(self) -> str:
        """Identity of weights + vocabulary + preprocessing, a hex string; equal fingerprints mean
        comparable embeddings."""

    @property
    def revision(self) -> str | None:
        """The hub's commit its files came from; None for local or bundled ones."""

    @property
    def preprocessing(self) -> str:
        """What becomes of a picture before it is embedded, in words."""

    @property
    def dim(self) -> int:
        """Length of an embedding."""

    @property
    def temperature(self) -> float:
        """What cosines are divided by to become logits; above 0."""

    def prepare(self, picture: Image.Image) -> Pixels:
        """The slow part of preprocessing (resize, crop) of one upright RGB picture; safe to call
        from several threads at once.

        It is pickled and called in the processes that decode pictures
        (`encoder.pictures.decoders`). Make it a function, or a method of a small object, in a
        module that imports fast: the encoder itself is too large to be sent along.
        """

    def encode_images(self, pictures: Sequence[Image.Image | Pixels]) -> Embeddings:
        """Embed upright RGB pictures, or what `prepare` made of them; (n, dim), n may be 0."""

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts; (n, dim), n may be 0."""
