"""How the bundled align-mini was made: from drawn scenes, and captions that also teach shapes."""

import string
from collections.abc import Iterator

import numpy as np

from encoder.datasets.dataset import Dataset, DatasetPicture
from encoder.datasets.drawn import ScenePicture
from encoder.datasets.prepared import PreparedPictures
from encoder.protocol import Pixels
from encoder.scenes import make_scene

NONSENSE = 0.1
"""Share of captions that get one made-up word, so that unknown words mean little to the model."""

SHARES = ((0.45, 0.4, 0.15), (0.4, 0.2, 0.4))
"""Shares of (full, things-only, other) captions: the first row for the first half of training, the
second for the second. Colours and backgrounds are enough to tell most scenes apart, so only
captions without them teach the shapes. The other captions are like people's questions."""


class SceneData:
    """The pictures of ``drawn_scenes(count, "train")`` as a `PairData`, without augmentation, and
    captions in the shares of `SHARES`."""

    def __init__(self, pictures: PreparedPictures) -> None:
        self._pictures = pictures
        self._captions = [_sorts(example.picture) for example in pictures.examples]
        self.identity = pictures.identity
        """That of the pictures; the captions follow from the scenes."""

    def __len__(self) -> int:
        return len(self._pictures)

    def caption(self, index: int, rng: np.random.Generator, progress: float) -> str:
        shares = SHARES[int(2 * progress)]
        sort = rng.choice(len(shares), p=shares)
        captions = self._captions[index][sort]
        return _with_nonsense(captions[rng.integers(len(captions))], rng)

    def view(self, index: int, caption: str, rng: np.random.Generator) -> Pixels:
        return self._pictures.pixels(index)


def scene_captions(dataset: Dataset) -> Iterator[str]:
    """Every caption that `SceneData` may draw, for the vocabulary."""
    for example in dataset.examples:
        for captions in _sorts(example.picture):
            yield from captions


def _sorts(picture: DatasetPicture) -> tuple[tuple[str, ...], ...]:
    """The captions of a scene, in the three sorts of `SHARES`."""
    assert isinstance(picture, ScenePicture)
    scene = make_scene(picture.seed, picture.pairs)
    full, *others = scene.captions()
    return (scene.full_caption(), full), (scene.brief_caption(),), tuple(others)


def _with_nonsense(caption: str, rng: np.random.Generator) -> str:
    if rng.random() >= NONSENSE:
        return caption
    letters = rng.choice(list(string.ascii_lowercase), size=rng.integers(3, 9))
    words = caption.split(" ")
    words.insert(int(rng.integers(len(words) + 1)), "".join(letters))
    return " ".join(words)
