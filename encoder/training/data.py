"""Training data: views of pictures, with captions or labels."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from encoder.datasets.dataset import Example
from encoder.datasets.prepared import PreparedPictures
from encoder.protocol import Pixels
from encoder.training.augment import Augmentation

Maps = npt.NDArray[np.float16]
"""What the first stages of the picture tower make of a picture, (h, w, c)."""
States = npt.NDArray[np.float32]
"""The last hidden states of [CLS] of some texts, (b, d)."""


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

    def view(self, index: int, caption: str, rng: np.random.Generator) -> Pixels | Maps:
        """A view of picture `index`, drawn with `rng`, for which `caption` is true; (h, w, 3)
        uint8, or (h, w, c) float16 if the settings say that views are kept."""


class Views(Protocol):
    """Views of the pictures of some examples."""

    @property
    def examples(self) -> Sequence[Example]: ...

    @property
    def identity(self) -> str: ...

    def view(self, index: int, caption: str, rng: np.random.Generator) -> Pixels | Maps:
        """As `PairData.view`, of the picture of example `index`."""


class DrawnViews:
    """Views that are drawn when they are asked for."""

    def __init__(self, pictures: PreparedPictures, augmentation: Augmentation) -> None:
        """`pictures` must be prepared by ``augmentation.kept``."""
        self.pictures, self._augmentation = pictures, augmentation
        self.examples = pictures.examples
        self.identity = f"{pictures.identity} {augmentation}"

    def view(self, index: int, caption: str, rng: np.random.Generator) -> Pixels:
        return self._augmentation.view(self.pictures.pixels(index), caption, rng)


class CaptionedPictures:
    """Pictures with captions; all captions of a picture are equally likely."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self.identity = views.identity

    def __len__(self) -> int:
        return len(self._views.examples)

    def caption(self, index: int, rng: np.random.Generator, progress: float) -> str:
        captions = self._views.examples[index].captions
        return captions[rng.integers(len(captions))]

    def view(self, index: int, caption: str, rng: np.random.Generator) -> Pixels | Maps:
        return self._views.view(index, caption, rng)


class LabelledPictures:
    """Labels in the place of captions. A pair is a label, in the words of any template, and any of
    its pictures; so a batch holds a label once."""

    def __init__(self, views: Views, templates: Sequence[str]) -> None:
        """The captions of `views` are labels. ``{}`` stands for the label in each of `templates`,
        of which there is at least one."""
        self._views = views
        self._templates = tuple(templates)
        self._places: dict[str, list[int]] = {}
        for place, example in enumerate(views.examples):
            for label in example.captions:
                self._places.setdefault(label, []).append(place)
        self._labels = sorted(self._places)
        self.identity = f"{views.identity} {self._templates}"

    def __len__(self) -> int:
        """The number of labels."""
        return len(self._labels)

    def caption(self, index: int, rng: np.random.Generator, progress: float) -> str:
        template = self._templates[rng.integers(len(self._templates))]
        return template.replace("{}", self._labels[index])

    def view(self, index: int, caption: str, rng: np.random.Generator) -> Pixels | Maps:
        places = self._places[self._labels[index]]
        return self._views.view(places[rng.integers(len(places))], caption, rng)
