"""Drawn scenes as a dataset: any number of pictures without files."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image

from encoder.datasets.dataset import Dataset, Example
from encoder.errors import DatasetError
from encoder.scenes import Pairs, make_scene

SIDE = 224
"""Width and height in pixels."""

_PART = 10_000_000
SPLITS: dict[str, tuple[int, Pairs]] = {
    "train": (0, "seen"),
    "val": (3 * _PART, "seen"),
    "test": (_PART, "seen"),
    "held-out": (_PART, "held-out"),
}
"""The first seed and the (colour, kind) pairs of each split; only ``held-out`` shows its pairs."""


@dataclass(frozen=True)
class ScenePicture:
    """A scene, which is drawn when it is opened."""

    seed: int
    pairs: Pairs

    @property
    def name(self) -> str:
        """Its pairs and seed."""
        return f"{self.pairs}-{self.seed}"

    def exists(self) -> bool:
        """Always."""
        return True

    def stamp(self) -> str:
        """Its name: a scene never changes."""
        return self.name

    def digest(self) -> bytes:
        """SHA-256 of the pixels."""
        return hashlib.sha256(self.open().tobytes()).digest()

    def open(self) -> Image.Image:
        """Draw it."""
        return _drawn(self).copy()


@lru_cache(maxsize=16)
def _drawn(picture: ScenePicture) -> Image.Image:
    """Kept for a moment: most are opened right after their digest was computed."""
    return make_scene(picture.seed, picture.pairs).draw(SIDE)


def drawn_scenes(count: int, split: str = "test") -> Dataset:
    """The first `count` scenes of a split with five captions each; the first caption is full.

    Raises DatasetError for a split that is not in `SPLITS`.
    """
    if split not in SPLITS:
        raise DatasetError(f"scenes have no split {split}: choose one of {', '.join(SPLITS)}")
    first, pairs = SPLITS[split]
    examples = (
        Example(ScenePicture(seed, pairs), make_scene(seed, pairs).captions())
        for seed in range(first, first + count)
    )
    return Dataset("scenes", split, "drawn", tuple(examples))
