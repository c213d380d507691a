"""Pictures with captions: what models are trained on and measured with."""

import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image

from encoder.pictures.picture import read_bytes, read_picture


class DatasetPicture(Protocol):
    """One picture of a dataset, not decoded yet; a small value that can be pickled."""

    @property
    def name(self) -> str:
        """Its name for people: a path in the dataset, or a key."""

    def exists(self) -> bool:
        """Whether it is there."""

    def digest(self) -> bytes:
        """SHA-256 of its content; OSError if it is not there."""

    def stamp(self) -> str:
        """A cheap change mark: it differs whenever the content may have changed. OSError if the
        picture is not there."""

    def open(self) -> Image.Image:
        """The upright RGB picture. `decode_picture` calls it in a child process, because damaged
        bytes may crash a decoder. PictureError if it cannot be decoded, OSError if it is not
        there."""


@dataclass(frozen=True)
class StoredPicture:
    """A picture in a file of its own, or `size` bytes of a larger file, from `offset` on."""

    name: str
    path: Path
    offset: int = 0
    size: int | None = None

    def exists(self) -> bool:
        """Whether the file is there."""
        return os.path.isfile(self.path)  # also False if the name is too long or forbidden

    def stamp(self) -> str:
        """The size and time of the file, and the place in it."""
        status = os.stat(self.path)
        return f"{status.st_size} {status.st_mtime_ns} {self.offset}"

    def digest(self) -> bytes:
        """SHA-256 of the encoded picture."""
        return hashlib.sha256(read_bytes(self.path, self.offset, self.size)).digest()

    def open(self) -> Image.Image:
        """The upright RGB picture."""
        data = read_bytes(self.path, self.offset, self.size)
        return read_picture(io.BytesIO(data)).image


@dataclass(frozen=True)
class Example:
    """A picture and all its captions, stripped of surrounding white space; at least one."""

    picture: DatasetPicture
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """The examples of one split, in the order of their file."""

    name: str
    """``flickr30k``, ``flickr8k``, ``coco``, ``scenes`` or ``custom``."""
    split: str
    """``test``, ``train+restval`` and so on; ``all`` if the file has no splits."""
    layout: str
    """The format that it was read from, in words, such as ``Karpathy JSON``."""
    examples: tuple[Example, ...]
    notes: tuple[str, ...] = ()
    """What the reader noticed and left out, one sentence each."""

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def captions(self) -> int:
        """The number of captions of all examples."""
        return sum(len(example.captions) for example in self.examples)

    def all_captions(self) -> Iterator[str]:
        """The captions of all examples."""
        for example in self.examples:
            yield from example.captions
