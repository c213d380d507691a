"""Training data: pictures, prepared once, with captions or labels."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from encoder.datasets.prepared import PreparedPictures
from encoder.protocol import Pixels
from encoder.training.augment import Augmentation


class PairData(Protocol):
    """n different pictures with captions. Every method is a pure function of its arguments and safe
    from any thread."""

    @property
    def identity(self) -> str:
        """Differs if the pictures, the captions or their treatment differ."""

    def __len__(self) -> int: ...

    def caption(self, index: int, rng: np.random.Generator, progress: float) -> str:
        """One caption of picture `index`, drawn with `rng`; `progress`, in [0, 1), is the share of
        the training that is done."""

    def pixels(self, index: int, caption: str, rng: np.random.Generator) -> Pixels:
        """A view of picture `index`, drawn with `rng`, for which `caption` is true; (h, w, 3)
        uint8."""


class CaptionedPictures:
    """A dataset; all captions of a picture are equally likely."""

    def __init__(self, pictures: PreparedPictures, augmentation: Augmentation) -> None:
        """`pictures` must be prepared by ``augmentation.kept``."""
        self._pictures, self._augmentation = pictures, augmentation
        self.identity = f"{pictures.identity} {augmentation}"

    def __len__(self) -> int:
        return len(self._pictures)

    def caption(self, index: int, rng: np.random.Generator, progress: float) -> str:
        captions = self._pictures.examples[index].captions
        return captions[rng.integers(len(captions))]

    def pixels(self, index: int, caption: str, rng: np.random.Generator) -> Pixels:
        return self._augmentation.view(self._pictures.pixels(index), caption, rng)


class LabelledPictures:
    """Labels in the place of captions. A pair is a label, in the words of any template, and any of
    its pictures; so a batch holds a label once."""

    def __init__(
        self, pictures: PreparedPictures, augmentation: Augmentation, templates: Sequence[str]
    ) -> None:
        """`pictures` must be prepared by ``augmentation.kept``; their captions are labels. ``{}``
        stands for the label in each of `templates`, of which there is at least one."""
        self._pictures, self._augmentation = pictures, augmentation
        self._templates = tuple(templates)
        self._places: dict[str, list[int]] = {}
        for place, example in enumerate(pictures.examples):
            for label in example.captions:
                self._places.setdefault(label, []).append(place)
        self._labels = sorted(self._places)
        self.identity = f"{pictures.identity} {augmentation} {self._templates}"

    def __len__(self) -> int:
        """The number of labels."""
        return len(self._labels)

    def caption(self, index: int, rng: np.random.Generator, progress: float) -> str:
        template = self._templates[rng.integers(len(self._templates))]
        return template.replace("{}", self._labels[index])

    def pixels(self, index: int, caption: str, rng: np.random.Generator) -> Pixels:
        places = self._places[self._labels[index]]
        place = places[rng.integers(len(places))]
        return self._augmentation.view(self._pictures.pixels(place), caption, rng)
