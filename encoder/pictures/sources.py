"""What a caller may give as a picture: a path, bytes, an open file, an image or an array."""

import io
import os
from collections.abc import Iterable
from typing import IO, Any, TypeGuard, cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from encoder.pictures.picture import eight_bits, read_picture, upright_rgb

PictureSource = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | IO[bytes]
    | Image.Image
    | npt.NDArray[Any]
)
"""A path; the bytes of a file, or an open one; an image of any mode as Pillow opened it; or an
upright (height, width, 3) array of RGB (grey (height, width) and RGBA (height, width, 4) will do).
Its numbers are uint8 in [0, 255]; others are scaled from [0, 255], [0, 65535] or, if they are
floats, [0, 1], the first of these that holds them all."""


def several(pictures: Iterable[PictureSource] | PictureSource) -> list[PictureSource]:
    """`pictures`, or the list of the one picture that was given instead."""
    single = isinstance(pictures, str | os.PathLike | bytes | bytearray | memoryview | Image.Image)
    alone = isinstance(pictures, np.ndarray) and pictures.ndim < 4
    if single or alone or hasattr(pictures, "read"):
        return [cast(PictureSource, pictures)]
    return list(cast(Iterable[PictureSource], pictures))


def is_path(source: object) -> TypeGuard[str | os.PathLike[str]]:
    """Whether a source is the path of a file."""
    return isinstance(source, str | os.PathLike)


def as_image(source: Image.Image | npt.NDArray[Any]) -> Image.Image:
    """The upright RGB image of what is decoded already. Raises TypeError for an array of another
    shape or type."""
    if isinstance(source, Image.Image):
        return upright_rgb(source)
    if source.dtype.kind not in "buif" or not (
        source.ndim == 2 or source.shape[2:] in ((3,), (4,))
    ):
        raise TypeError(
            "a picture is a (height, width, 3) array of numbers, best uint8, not"
            f" {source.shape} {source.dtype}"
        )
    if 0 in source.shape:
        raise TypeError(f"a picture of {source.shape} has no pixels")
    if source.dtype != np.uint8:
        source = np.uint8(255) * source if source.dtype == bool else eight_bits(source)
    return upright_rgb(Image.fromarray(np.ascontiguousarray(source)))


def open_image(source: PictureSource) -> Image.Image:
    """The upright RGB image of any source, decoded in this process. Raises PictureError, OSError as
    `read_picture` does, and TypeError for what is no picture."""
    if isinstance(source, Image.Image | np.ndarray):
        return as_image(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return read_picture(io.BytesIO(source)).image
    if is_path(source):
        return read_picture(source).image
    if hasattr(source, "read"):
        return read_picture(io.BytesIO(read_open(source))).image
    raise no_picture(source)


def read_open(file: Any) -> bytes:
    """The bytes of an open binary file from its place on, which stays where it is if it can."""
    place = file.tell() if file.seekable() else None
    data: bytes = file.read()
    if place is not None:
        file.seek(place)
    return data


def no_picture(source: object) -> TypeError:
    """The error to raise about what is no picture."""
    return TypeError(
        "a picture is a path, bytes, an open binary file, a PIL image or a uint8 array, not"
        f" {type(source).__name__}"
    )
