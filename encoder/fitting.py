"""How an image processor of transformers fits a picture into the size of a model, by Pillow alone.

It is sent to the processes that decode pictures, so it imports nothing large.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from PIL import Image

from encoder.errors import EncoderError
from encoder.protocol import Pixels


@dataclass(frozen=True)
class Fitting:
    """Resize, then crop the centre; sizes are (height, width)."""

    size: tuple[int, int] | None
    """The size to resize to; None if `shortest` says it."""
    shortest: int | None
    """Length of the shorter side after resizing; the aspect is kept."""
    crop: tuple[int, int] | None
    resample: int

    @classmethod
    def of(cls, processor: Any) -> Self:
        """As an image processor is configured. Raises EncoderError for sizes of another kind."""
        size = dict(getattr(processor, "size", None) or {})
        crop = dict(getattr(processor, "crop_size", None) or {})
        wanted = getattr(processor, "do_center_crop", False) and {"height", "width"} <= crop.keys()
        fixed = {"height", "width"} <= size.keys()
        if not fixed and ("shortest_edge" not in size or not wanted):
            raise EncoderError(f"an image processor that resizes to {size or 'nothing'} is unknown")
        return cls(
            (int(size["height"]), int(size["width"])) if fixed else None,
            None if fixed else int(size["shortest_edge"]),
            (int(crop["height"]), int(crop["width"])) if wanted else None,
            int(getattr(processor, "resample", None) or Image.Resampling.BICUBIC),
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of what `prepare` returns."""
        height, width = self.crop or self.size or (0, 0)
        return height, width, 3

    def in_words(self) -> str:
        """Such as ``224x224 bicubic``, width first."""
        height, width, _ = self.shape
        how = Image.Resampling(self.resample).name.lower()
        first = "" if self.shortest is None else f"shorter side {self.shortest}, centre "
        return f"{first}{width}x{height} {how}"

    def prepare(self, picture: Image.Image) -> Pixels:
        """One upright RGB picture as the model takes it; (height, width, 3) uint8."""
        height, width = self.size or self._kept_aspect(picture)
        pixels = picture.resize((width, height), Image.Resampling(self.resample))
        if self.crop:
            top, left = (height - self.crop[0]) // 2, (width - self.crop[1]) // 2
            pixels = pixels.crop((left, top, left + self.crop[1], top + self.crop[0]))
        return np.asarray(pixels, np.uint8)

    def _kept_aspect(self, picture: Image.Image) -> tuple[int, int]:
        assert self.shortest is not None
        short, long = sorted(picture.size)
        longer = int(self.shortest * long / short)
        tall = picture.height >= picture.width
        return (longer, self.shortest) if tall else (self.shortest, longer)
