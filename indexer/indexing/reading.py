"""From a file to what the encoder takes: the part of a run that happens in worker threads."""

import hashlib
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from time import time_ns

from encoder.errors import PictureError, TextError
from encoder.pictures.decoders import Decoded
from encoder.pictures.picture import MAX_BYTES
from indexer.content import Content
from indexer.folders.scan import Found
from indexer.folders.sources import ending, kind_of
from indexer.metadata.texts import read_texts

RACY_NS = 2 * 10**9
"""A file whose time is less than this before it was read may change again and keep that time: the
coarsest clock of a file system, FAT's, ticks every 2 s."""

Decode = Callable[[bytes], Decoded]
"""The bytes of a picture file to what the encoder takes; PictureError with a plain reason."""


@dataclass(frozen=True)
class Read:
    """What became of one file."""

    found: Found
    """With size and time as they were when it was read."""
    racy: bool = False
    """Whether a later change could leave size and time as they are."""
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
    began = time_ns()
    try:
        data, status = _bytes(found)
    except OSError as error:
        return Read(found, failure=f"cannot be read: {error.strerror}")
    except PictureError as error:
        return Read(found, failure=str(error))
    found = replace(found, size=status.st_size, mtime_ns=status.st_mtime_ns)
    if data is None:
        return Read(found, failure="changed while it was read")
    racy = found.mtime_ns + RACY_NS >= began
    digest = hashlib.sha256(data).digest()
    if found.is_known_as(digest):
        return Read(found, racy, digest)
    try:
        if kind_of(found.path) == "text":
            return Read(found, racy, digest, _texts(data, ending(found.path)))
        if not data:
            raise PictureError("empty file")
        if decode is None or digest in moved:
            return Read(found, racy, digest)
        return Read(found, racy, digest, (_picture(data, digest, decode),))
    except (PictureError, TextError) as error:
        return Read(found, racy, digest, failure=str(error))


def _bytes(found: Found) -> tuple[bytes | None, os.stat_result]:
    """The whole file as it was at one moment, and its status then; None where there was no such
    moment, not even at a second try."""
    for _ in range(2):
        with open(found.absolute, "rb") as file:
            before = os.fstat(file.fileno())
            if before.st_size > MAX_BYTES:
                raise PictureError(f"larger than the limit of {MAX_BYTES:,} bytes")
            data = file.read(before.st_size + 1)
            after = os.fstat(file.fileno())
        if _stamp(before) == _stamp(after) and len(data) == after.st_size:
            return data, after
    return None, after


def _stamp(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


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
        camera=decoded.about.camera,
        lens=decoded.about.lens,
        latitude=decoded.about.latitude,
        longitude=decoded.about.longitude,
    )
