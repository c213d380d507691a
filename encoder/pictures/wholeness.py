"""Find out whether a file that a decoder reads has lost a part of its picture.

Decoders fill what is missing with grey, smears or black, and do not say so. Two signs are certain:

- Coded pixels end in a long run of zeros, which coders do not write. Where a coder may write one
  (a plain area of JPEG or WebP can), the run must be longer than the picture needs.
- The picture changes if other bytes are put behind the last coded ones. The decoder then still
  waited for more. A whole picture, however plain, is complete before them.

The second costs another decoding, so it is tried only where something else is suspicious.
"""

import io
from collections.abc import Iterator
from typing import IO

from PIL import Image, ImageChops

from encoder.pictures.containers import ends_of_pixels, first_webp_frame
from encoder.pictures.jpeg import (
    END,
    TABLES,
    filler_foot,
    first_scan,
    scans_and_end,
    scans_are_missing,
)

LONG_RUN = 64
"""Bytes of zeros that are too many for chance."""
_LEAST_SHARE = 4
"""A JPEG that was cut and closed is refused if this part, a quarter, of its rows is missing."""
_AHEAD = 8
"""Bytes of a run of zeros that may still be the last coded ones."""
_NOISE = bytes(range(1, 255)) * 4
_OTHER = _NOISE + b"".join(bytes([0xFF, 0xD0 + i % 8]) + _NOISE for i in range(16))
"""Bytes that decode to anything but a plain area. A JPEG with restart markers goes on at one of the
markers in them; others skip these."""
_STRIPE = 256
_SCANS_MISSING = "damaged: its last scans are missing (a cut file?)"


def find_loss(file: IO[bytes], image: Image.Image) -> str | None:
    """Why the picture, decoded from `file` and not turned, is not whole; None if it seems whole."""
    if image.format in ("JPEG", "MPO"):
        return _jpeg_loss(_all(file), image)
    if not _tail(file).endswith(bytes(LONG_RUN)):
        return None
    data = _all(file)
    begin = len(data.rstrip(b"\0"))
    if image.format == "WEBP":
        lost = _lost_in_zeros(image, data, first_webp_frame(data))
    elif image.format == "QOI" or (image.format == "PCX" and image.mode == "RGB"):
        lost = _lost_in_zeros(image, data, len(data))
    else:
        lost = any(end - begin >= LONG_RUN for end in ends_of_pixels(data, image))
    return _empty(data) if lost else None


def empty_tail(file: IO[bytes]) -> str | None:
    """What to say of a file that no decoder reads, if it ends in many zeros."""
    return _empty(_all(file)) if _tail(file).endswith(bytes(LONG_RUN)) else None


def close_jpeg(file: IO[bytes]) -> bytes | None:
    """The file with an end marker, if it is a JPEG that lacks nothing else; decoders refuse it.
    None also for half a marker: that file was cut."""
    data = _all(file)
    scan = first_scan(data)
    if scan is None or data.endswith(b"\xff"):
        return None
    scans, end = scans_and_end(data, scan)
    if end < len(data) or scans_are_missing(data, scan, scans):
        return None
    for end in (len(data.rstrip(b"\0")) + _AHEAD, len(data)):  # without what fills it up, with it
        closed = data[:end] + END
        with Image.open(io.BytesIO(closed), formats=["JPEG"]) as image:
            image.load()
            same = _first_change(image, data[:end] + _OTHER + END) is None
            if same and not _lost_in_zeros(image, closed, end, marked=False):
                return closed
    return None


def _jpeg_loss(data: bytes, image: Image.Image) -> str | None:
    tail = data[-4096:]
    body = tail.rstrip(b"\0")
    unmarked = not body.endswith(END) and tail.endswith(bytes(LONG_RUN))
    zeros = unmarked or body.removesuffix(END).endswith(bytes(LONG_RUN))
    if not (zeros or "progressive" in image.info or filler_foot(image, _LEAST_SHARE)):
        return None
    scan = first_scan(data)
    if scan is None:
        return None
    scans, end = scans_and_end(data, scan)
    marked = end < len(data)
    if zeros and _lost_in_zeros(image, data[:end] + END, end, marked):
        return _empty(data[:end])
    missing = scan.is_one_of_many and scans_are_missing(data, scan, scans)
    grey = filler_foot(image, _LEAST_SHARE)
    if not scan.is_huffman or not (missing or grey):
        return None
    if missing and (not marked or data.rfind(TABLES, 0, end) > scans[-1]):
        return _SCANS_MISSING  # nothing behind the tables of a scan, or not even a marker
    row = _first_change(image, data[:end].rstrip(b"\xff") + _OTHER + END)
    # A cut file loses its end alone. Where the last of several scans has not even one row, it is
    # the headers that are damaged, and nothing is certain.
    if row is None or (row == 0 and len(scans) > 1):
        return None
    if missing:
        return _SCANS_MISSING
    share = 1 - row / image.height
    if share < 1 / _LEAST_SHARE:
        return None
    return f"damaged: the last {share:.0%} of its rows are missing (a cut file?)"


def _lost_in_zeros(image: Image.Image, data: bytes, end: int, marked: bool = True) -> bool:
    """Whether the picture needs some of the zeros before `end`, but not the last of them. Where no
    marker follows them, whether it needs some and they are not a plain area."""
    begin = len(data[:end].rstrip(b"\0"))
    if end - begin < LONG_RUN:
        return False
    row = _first_change(image, _replaced(data, begin + _AHEAD, end))
    if row is None:
        return False
    if _first_change(image, _replaced(data, end - LONG_RUN // 2, end)) is None:
        return True
    below = (0, min(row + _STRIPE // 8, image.height - 1), image.width, image.height)
    return not marked and image.crop(below).getcolors(1) is None


def _replaced(data: bytes, begin: int, end: int) -> bytes:
    other = _OTHER * (1 + (end - begin) // len(_OTHER))
    return data[:begin] + other[: end - begin] + data[end:]


def _first_change(image: Image.Image, data: bytes) -> int | None:
    """The first row of `image` that differs in the picture of `data`; None if all are the same."""
    kind = "JPEG" if image.format == "MPO" else image.format or ""  # Pillow opens MPO as JPEG
    try:
        with Image.open(io.BytesIO(data), formats=[kind]) as other:
            other.load()
            if (other.size, other.mode) != (image.size, image.mode):
                return 0
            for stripe in _stripes(image):
                change = ImageChops.difference(image.crop(stripe), other.crop(stripe))
                box = change.getbbox(alpha_only=False)
                if box is not None:
                    return stripe[1] + box[1]
    except MemoryError:  # nothing is certain then
        return None
    except OSError:  # the decoder reached the other bytes
        return 0
    return None


def _stripes(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    for top in range(0, image.height, _STRIPE):
        yield 0, top, image.width, min(top + _STRIPE, image.height)


def _empty(data: bytes) -> str:
    share = 1 - len(data.rstrip(b"\0")) / len(data)
    return f"damaged: the last {share:.0%} of the file is empty (an interrupted copy?)"


def _tail(file: IO[bytes]) -> bytes:
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - 4096))
    return file.read()


def _all(file: IO[bytes]) -> bytes:
    if isinstance(file, io.BytesIO):
        return file.getvalue()  # no copy
    file.seek(0)
    return file.read()
