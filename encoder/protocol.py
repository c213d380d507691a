"""The interface between encoders and the code that uses them."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

Embeddings = npt.NDArray[np.float32]
"""(n, dim) float32, every row of Euclidean length 1."""

Pixels = npt.NDArray[np.uint8]
"""(height, width, 3) uint8 in [0, 255], RGB, resized and cropped as one encoder wants it."""


def as_texts(texts: Iterable[str] | str) -> list[str]:
    """`texts` as a list, a single text as a list of one. Raises TypeError for what is no text."""
    found = [texts] if isinstance(texts, str) else list(texts)
    for text in found:
        if not isinstance(text, str):
            raise TypeError(f"a text is a str, not {type(text).__name__}")
    return found


class Encoder(Protocol):
    """Pictures and texts into one space. Implementations: `encoder.inference.AlignEncoder`,
    `encoder.fake.FakeEncoder` (for tests)."""

    @property
    def name(self) -> str:
        """The name by which `load_encoder` finds it from any folder: an absolute path, a hub id or
        that of a bundled model, such as ``align-small``."""

    @property
    def fingerprint(self) -> str:
        """Identity of weights, vocabulary and preprocessing, a hex string; equal fingerprints mean
        comparable embeddings."""

    @property
    def revision(self) -> str | None:
        """The commit of the hub that its files came from; None for local or bundled files."""

    @property
    def preprocessing(self) -> str:
        """How a picture is prepared before it is embedded, in words."""

    @property
    def dim(self) -> int:
        """Length of an embedding."""

    @property
    def temperature(self) -> float:
        """Cosines divided by this number are logits; above 0."""

    def prepare(self, picture: Image.Image) -> Pixels:
        """The slow part of preprocessing (resize, crop) of one upright RGB picture; safe to call
        from several threads at once.

        It is pickled and called in the processes that decode pictures
        (`encoder.pictures.decoders`). It must be a function, or a method of a small object, in a
        module that imports fast: the encoder itself is too large to send.
        """

    def encode_images(self, pictures: Sequence[Image.Image | Pixels]) -> Embeddings:
        """Embed upright RGB pictures, or pixels that `prepare` returned; (n, dim), n may be 0. An
        encoder may take more, as `encoder.pictures.sources` has it."""

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts; (n, dim), n may be 0."""


def is_of(encoder: Encoder, fingerprint: str) -> bool:
    """Whether embeddings that were recorded with `fingerprint` are of this encoder. One that has an
    ``is_known_as(fingerprint)`` also knows what earlier versions called it."""
    known = getattr(encoder, "is_known_as", None)
    return fingerprint == encoder.fingerprint or (known is not None and bool(known(fingerprint)))
