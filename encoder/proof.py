"""Whether an installation computes the values that a known model is known to give."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from encoder.bundled import BUNDLED, facts
from encoder.errors import EncoderError
from encoder.inference import AlignEncoder
from encoder.pictures.sources import PictureSource

TEXTS = ("a photo of a cat", "a photo of a dog")
TOLERANCE = 1e-3
"""Of logits that are computed in float32."""
ALIGN_BASE = "kakaobrain/align-base"
PICTURE_OF_ALIGN_BASE = "000000039769.jpg of COCO val2017, two cats on a couch"


@dataclass(frozen=True)
class Known:
    """What a model must give for `TEXTS`."""

    token_ids: list[list[int]]
    logits: list[float]
    """Cosines with a picture, divided by the temperature."""


@dataclass(frozen=True)
class Finding:
    """One comparison."""

    what: str
    found: list[list[int]] | list[float]
    wanted: list[list[int]] | list[float]
    right: bool


def pattern() -> Image.Image:
    """A picture without a file, (400, 300) RGB: the same numbers on every machine."""
    y, x = np.mgrid[:300, :400]
    planes = (x * 255 // 399, y * 255 // 299, x * y // 7 % 256)
    return Image.fromarray(np.stack(planes, -1).astype(np.uint8))


def known_of(name: str) -> Known:
    """What is known about the model with this name. EncoderError if nothing is."""
    if name == ALIGN_BASE:  # the model's card, and its documentation in transformers
        ids = [[101, 1037, 6302, 1997, 1037, animal, 102] for animal in (4937, 3899)]
        return Known(ids, [9.7093, 3.4679])
    about = facts(name)
    if name not in BUNDLED or about.token_ids is None or about.logits is None:
        names = ", ".join((ALIGN_BASE, *BUNDLED))
        raise EncoderError(f"no values are known that {name} must give; they are of {names}")
    return Known(about.token_ids, about.logits)


def findings(encoder: AlignEncoder, picture: PictureSource | None = None) -> Iterator[Finding]:
    """Compare the encoder with what is known, on every way that computes here. align-base needs
    `picture`, which is `PICTURE_OF_ALIGN_BASE`; without it only its tokens are compared."""
    known = known_of(encoder.name)
    ids = encoder.token_ids(TEXTS)
    yield Finding("tokens", ids, known.token_ids, ids == known.token_ids)
    if encoder.name != ALIGN_BASE:
        picture = pattern()
    if picture is None:
        return
    texts = encoder.encode_texts(TEXTS)
    for precision, rows in encoder.by_every_way(picture):
        logits = [float(logit) for logit in texts @ rows[0] / encoder.temperature]
        # Vectors whose cosine is 0.9999 or more differ by at most this in any other cosine.
        half = (2 * 1e-4) ** 0.5 / encoder.temperature
        most = half if precision.startswith("bfloat16") else TOLERANCE
        right = bool(np.abs(np.subtract(logits, known.logits)).max() <= most)
        yield Finding(f"logits in {precision}", logits, known.logits, right)
