"""What `encoder.inference` needs of torch or of what takes its place."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from encoder.protocol import Pixels

Features = npt.NDArray[np.float32]
"""(b, dim) float32, of any length."""
Tokens = npt.NDArray[np.int64]
"""(b, t) int64, ids or their mask."""


class Backend(Protocol):
    """Computes features of prepared pictures and of tokens. A tower is loaded when it is first
    used. Safe from several threads."""

    @property
    def precision(self) -> str:
        """What it computes with, such as ``float32 on cpu``. Embeddings of two precisions differ by
        less than those of any two pictures do, and are not kept in the same cache."""

    @property
    def image_batch(self) -> int:
        """How many pictures at once are fastest here."""

    def every_way(self) -> Sequence[tuple[str, Callable[[Pixels], Features]]]:
        """Each way that could compute `image_features` here, with its precision."""

    def image_features(self, pixels: Pixels) -> Features:
        """(b, height, width, 3) uint8, as the preprocessor's `prepare` returns them."""

    def text_features(self, ids: Tokens, mask: Tokens) -> Features:
        """Both (b, t); the mask is 0 where a text is padded."""
