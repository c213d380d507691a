"""Random crops and flips: training rarely sees a picture twice in the same way."""

import re
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from encoder.preprocess import Preprocessor
from encoder.protocol import Pixels

MARGIN = 1.25
"""Pictures are kept larger than the model wants them by this factor, so that a crop is sharp. A
model that crops has a margin of its own (align-base: 346 for 289)."""

_SIDES = re.compile(r"\b(left|right)(most|hand|wards?)?\b", re.IGNORECASE)


@dataclass(frozen=True)
class Augmentation:
    """Makes random views of pictures that are kept a little larger than `preprocessor` wants them.

    The paper (arXiv 2102.05918, sections 4.1 and 5.1) resizes to 346 pixels, takes a random crop of
    289 and flips at random. This is done if the `preprocessor` crops. If it does not, the crop has
    a random area, at least the share `min_area` of the picture, and is resized. With `min_area` 1
    the view is the whole picture, as when it is embedded.
    """

    preprocessor: Preprocessor
    min_area: float = 1.0
    flip: bool = False

    @property
    def kept(self) -> Preprocessor:
        """The preprocessor that makes the pictures which are kept."""
        if not self._crops:
            return self.preprocessor
        if self.preprocessor.do_center_crop:
            return replace(self.preprocessor, do_center_crop=False)
        height, width = self.preprocessor.size
        return replace(self.preprocessor, size=(round(MARGIN * height), round(MARGIN * width)))

    def view(self, kept: Pixels, caption: str, rng: np.random.Generator) -> Pixels:
        """One view, as the model wants it, of a picture that `self.kept` prepared. It is not
        flipped if the caption says left or right."""
        crop, across = rng.random(4), rng.random() < 0.5
        pixels = self._crop(kept, crop) if self._crops else kept
        return pixels[:, ::-1] if self.flip and across and not _SIDES.search(caption) else pixels

    @property
    def _crops(self) -> bool:
        made = self.preprocessor
        roomy = min(np.subtract(made.size, made.crop_size)) >= 0 or not made.do_center_crop
        return self.min_area < 1 and made.do_resize and bool(roomy)

    def _crop(self, kept: Pixels, where: npt.NDArray[np.float64]) -> Pixels:
        if self.preprocessor.do_center_crop:
            height, width = self.preprocessor.crop_size
            top, left = _place(kept, height, width, where)
            return kept[top : top + height, left : left + width]
        area = self.min_area + (1 - self.min_area) * where[0]
        stretch = self.min_area ** (where[1] - 0.5)  # log-uniform around 1
        height = max(1, round(kept.shape[0] * min(1.0, (area * stretch) ** 0.5)))
        width = max(1, round(kept.shape[1] * min(1.0, (area / stretch) ** 0.5)))
        top, left = _place(kept, height, width, where)
        part = Image.fromarray(kept[top : top + height, left : left + width])
        to_height, to_width = self.preprocessor.size
        resample = Image.Resampling(self.preprocessor.resample)
        return np.asarray(part.resize((to_width, to_height), resample), np.uint8)


def _place(
    kept: Pixels, height: int, width: int, where: npt.NDArray[np.float64]
) -> tuple[int, int]:
    free = kept.shape[0] - height + 1, kept.shape[1] - width + 1
    return int(where[2] * free[0]), int(where[3] * free[1])
