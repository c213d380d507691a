"""Pictures of datasets, decoded in child processes within the limits of `Decoders`."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from typing import TypeVar

from PIL import Image

from encoder.datasets.dataset import DatasetPicture
from encoder.errors import PictureError
from encoder.pictures.decoders import Decoders, Prepare, children_for
from encoder.protocol import Pixels
from encoder.read_ahead import ahead
from encoder.system import processors

T = TypeVar("T")


def decode_pictures(
    pictures: Sequence[DatasetPicture], prepare: Prepare
) -> Generator[Pixels | str]:
    """Each picture as `prepare` makes it, in order, or the reason why it cannot be read."""
    decoders = Decoders()

    def decode(picture: DatasetPicture) -> Pixels | str:
        try:
            return decode_picture(decoders, picture, prepare)
        except PictureError as error:
            return str(error)

    workers = children_for(len(pictures), processors())
    with closing(ahead(decode, pictures, 2 * workers, workers)) as results, decoders:
        yield from results


def decode_picture(decoders: Decoders, picture: DatasetPicture, prepare: Prepare) -> Pixels:
    """Open a picture and `prepare` it in a child; PictureError with a plain reason if it cannot be
    read."""
    return _call(decoders, partial(_prepared, picture, prepare))


def digest_picture(decoders: Decoders, picture: DatasetPicture) -> bytes:
    """``picture.digest()`` in a child; PictureError as `decode_picture`."""
    return _call(decoders, picture.digest)


def make_thumbnail(decoders: Decoders, picture: DatasetPicture, side: int) -> Image.Image:
    """A small copy, at most `side` pixels wide and high; PictureError as `decode_picture`."""
    return _call(decoders, partial(_small, picture, side))


def _call(decoders: Decoders, work: Callable[[], T]) -> T:
    try:
        return decoders.call(work)
    except OSError as error:
        raise PictureError(error.strerror or str(error)) from error


def _prepared(picture: DatasetPicture, prepare: Prepare) -> Pixels:
    return prepare(picture.open())


def _small(picture: DatasetPicture, side: int) -> Image.Image:
    image = picture.open()
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image
