"""Scenes in a style that align-mini never saw."""

from dataclasses import dataclass, replace

from PIL import Image, ImageOps

from encoder.datasets import Dataset, DatasetPicture


@dataclass(frozen=True)
class Negative:
    """A picture as a photographic negative: red becomes cyan."""

    picture: DatasetPicture

    @property
    def name(self) -> str:
        return f"negative {self.picture.name}"

    def exists(self) -> bool:
        return self.picture.exists()

    def stamp(self) -> str:
        return self.picture.stamp()

    def digest(self) -> bytes:
        return b"negative" + self.picture.digest()

    def open(self) -> Image.Image:
        return ImageOps.invert(self.picture.open())


def negatives(dataset: Dataset) -> Dataset:
    """The same captions, the pictures as negatives."""
    examples = (replace(e, picture=Negative(e.picture)) for e in dataset.examples)
    return replace(dataset, name="custom", examples=tuple(examples))
