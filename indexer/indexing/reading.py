"""From a file to the input of the encoder: the part of a run that happens in worker threads."""

import hashlib
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from time import time_ns

from encoder.errors import PassingPictureError, PictureError, TextError
from encoder.pictures.decoders import Decoded
from encoder.pictures.picture import MAX_BYTES
from indexer.content import Content
from indexer.database.rows import File
from indexer.folders.scan import Found
from indexer.folders.sources import ending, kind_of
from indexer.metadata.texts import read_texts
from indexer.values import kept_of

RACY_NS = 2 * 10**9
"""A file that was read less than this after its last change may change again and keep its time. The
coarsest clock of a file system, that of FAT, ticks every 2 s."""

Decode = Callable[[bytes], Decoded]
"""From the bytes of a picture file to the input of the encoder. Raises PictureError with a plain
reason."""


@dataclass(frozen=True)
class Read:
    """The result of reading one file."""

    found: Found
    """The file, with the size and time that it had when it was read."""
    racy: bool = False
    """Whether a later change may keep size and time."""
    digest: bytes | None = None
    """SHA-256 of its bytes; None if they could not be read."""
    contents: tuple[Content, ...] | None = None
    """None after a failure, and for bytes that were not decoded."""
    failure: str | None = None
    passing: bool = False
    """Whether the failure may pass without a change of the file."""


def read(found: Found, decode: Decode | None, moved: Collection[bytes]) -> Read:
    """Read a file once, hash it and decode it from the same bytes.

    It is not decoded if its bytes are those of the last run. A picture is not decoded either if its
    digest is in `moved`, or if there is no `decode` yet.
    """
    began = time_ns()
    try:
        data, status = _bytes(found)
    except OSError as error:
        return Read(found, failure=f"cannot be read: {error.strerror}", passing=True)
    except PictureError as error:
        return Read(found, failure=str(error))
    found = replace(found, size=status.st_size, mtime_ns=status.st_mtime_ns)
    if data is None:
        return Read(found, failure="changed while it was read", passing=True)
    racy = _is_racy(status, began, found.known)
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
        passing = isinstance(error, PassingPictureError)
        return Read(found, racy, digest, failure=str(error), passing=passing)


def _is_racy(status: os.stat_result, began: int, known: File | None) -> bool:
    """Whether the file may change after a read that `began` then, in ns, and keep its time.

    A time that lies after the last change of the file's status was set by hand: a change would
    replace it. Where a file system keeps only one time, a time in the future is believed once it
    was met before.
    """
    mtime = status.st_mtime_ns
    if mtime + RACY_NS < began or mtime > status.st_ctime_ns + RACY_NS:
        return False
    met_before = known is not None and known.racy and known.mtime_ns == mtime
    return not (mtime > began + RACY_NS and met_before)


def _bytes(found: Found) -> tuple[bytes | None, os.stat_result]:
    """The whole file as it was at one moment, and its status then. The bytes are None if the file
    changed while it was read, also at a second try."""
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
        fields=kept_of(
            {
                name: getattr(decoded.about, name)
                for name in ("title", "description", "tags", "rating")
            }
        ),
    )
