"""From a file to what the encoder takes: the part of a run that happens in worker threads."""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass

from encoder.decoding import Decoded
from encoder.errors import PictureError, TextError
from indexer.content import Content
from indexer.scan import Found
from indexer.sources import ending, kind_of
from indexer.texts import read_texts

MAX_BYTES = 1 << 30
"""Larger files are refused: they would be read into memory whole."""

Decode = Callable[[bytes], Decoded]
"""The bytes of a picture file to what the encoder takes; PictureError with a plain reason."""


@dataclass(frozen=True)
class Read:
    """What became of one file."""

    digest: bytes | None = None
    """SHA-256 of its bytes; None where they could not be read."""
    contents: tuple[Content, ...] | None = None
    """None after a failure, and where the bytes are known already."""
    failure: str | None = None


def read(found: Found, decode: Decode | None, moved: Collection[bytes]) -> Read:
    """Read a file once, hash it and decode it from the same bytes.

    It is not decoded where the bytes are those of the last run, where they are a picture whose
    digest is in `moved`, or where it is a picture and there is no `decode` yet.
    """
    try:
        data = _bytes(found)
    except OSError as error:
        return Read(failure=f"cannot be read: {error.strerror}")
    except PictureError as error:
        return Read(failure=str(error))
    digest = hashlib.sha256(data).digest()
    if found.is_known_as(digest):
        return Read(digest)
    try:
        if kind_of(found.path) == "text":
            return Read(digest, _texts(data, ending(found.path)))
        if decode is None or digest in moved:
            return Read(digest)
        return Read(digest, (_picture(data, digest, decode),))
    except (PictureError, TextError) as error:
        return Read(digest, failure=str(error))


def _bytes(found: Found) -> bytes:
    if found.size > MAX_BYTES:
        raise PictureError(f"larger than the limit of {MAX_BYTES:,} bytes")
    with open(found.absolute, "rb") as file:
        data = file.read()
    if not data and kind_of(found.path) == "image":
        raise PictureError("empty file")
    return data


def _texts(data: bytes, ending: str) -> tuple[Content, ...]:
    return tuple(
        Content("text", hashlib.sha256(text.encode()).digest(), text=text)
        for text in read_texts(data, ending)
    )


def _picture(data: bytes, digest: bytes, decode: Decode) -> Content:
    decoded = decode(data)
    return Content(
        "image",
        digest,
        pixels=decoded.pixels,
        width=decoded.width,
        height=decoded.height,
        format=decoded.about.format,
        taken_at=decoded.about.taken_at,
    )
