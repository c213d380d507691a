"""RAW files of cameras, by the JPEG preview that they hold.

A file that LibRaw does not know is searched for previews as TIFF 6.0 and TIFF/EP lay them down.
"""

import io
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from typing import IO, Any

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

_MAGIC = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0")
"""RAF, ORF, RW2."""
_TIFF = (b"II*\0", b"MM\0*")
_HEADS = {b"II": b"II*\0\0\0\0\0", b"MM": b"MM\0*\0\0\0\0"}
_KIND, _COMPRESSION, _OFFSETS, _LENGTHS, _SUB_IFDS = 254, 259, 273, 279, 330
_JPEG_AT, _JPEG_LENGTH, _DNG_VERSION = 513, 514, 50706
_JPEGS = (6, 7)
_JPEG_START = b"\xff\xd8"
_MOST_DIRECTORIES = 64


def is_available() -> bool:
    """Whether the extra ``raw`` is installed."""
    return find_spec("rawpy") is not None


def looks_raw(file: IO[bytes]) -> bool:
    """Whether an open file begins as a RAW file does. Its place is that of before."""
    place = file.tell()
    try:
        head = file.read(24)
        if head.startswith(_MAGIC) or head[4:12] == b"ftypcrx " or head[8:10] == b"CR":
            return True
        if not head.startswith(_TIFF):
            return False
        file.seek(place)
        first: Any = next(_directories(file), {})
        reduced = bool(_number(first.get(_KIND)) & 1)
        return _DNG_VERSION in first or (reduced and _SUB_IFDS in first)
    finally:
        file.seek(place)


def read_preview(file: IO[bytes]) -> bytes | None:
    """The largest preview in an open RAW file, as the bytes of a JPEG; None if it has none."""
    data = file.read()
    return _by_libraw(data) or _by_tiff(data)


def _by_libraw(data: bytes) -> bytes | None:
    import rawpy

    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            preview = raw.extract_thumb()
    except (rawpy.LibRawError, ValueError):
        return None
    if preview.format == rawpy.ThumbFormat.JPEG:
        data = bytes(preview.data)
        return data if data.startswith(_JPEG_START) else None
    whole = io.BytesIO()
    Image.fromarray(np.asarray(preview.data)).save(whole, "JPEG", quality=95)
    return whole.getvalue()


def _by_tiff(data: bytes) -> bytes | None:
    found = list(_jpegs(data)) if data.startswith(_TIFF) else []
    return max(found, key=len, default=None)


def _jpegs(data: bytes) -> Iterator[bytes]:
    for directory in _directories(io.BytesIO(data)):
        place, length = directory.get(_JPEG_AT), directory.get(_JPEG_LENGTH)
        if place is None and _number(directory.get(_COMPRESSION)) in _JPEGS:
            place, length = directory.get(_OFFSETS), directory.get(_LENGTHS)
        jpeg = data[_number(place) :][: _number(length)]
        if jpeg.startswith(_JPEG_START):
            yield jpeg


def _directories(file: IO[bytes]) -> Iterator[Any]:
    """The directories of a TIFF and those below them, as far as they can be read."""
    start = file.tell()
    with suppress(Exception):  # Pillow raises half a dozen types on broken ones
        head = ImageFileDirectory_v2(file.read(8))
        waiting = [head.next]
        seen: set[int] = set()
        while waiting and len(seen) < _MOST_DIRECTORIES:
            place = waiting.pop(0)
            if not place or place in seen:
                continue
            seen.add(place)
            file.seek(start + place)
            directory = ImageFileDirectory_v2(_HEADS[head.prefix])
            directory.load(file)
            yield directory
            below = directory.get(_SUB_IFDS, ())
            waiting += [directory.next, *(below if isinstance(below, tuple) else (below,))]


def _number(value: object) -> int:
    if isinstance(value, tuple):
        value = value[0] if len(value) == 1 else None
    return value if isinstance(value, int) else 0
