"""The structure of a JPEG file: its markers and scans (ITU-T T.81, annex B)."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

END = b"\xff\xd9"
SCAN = b"\xff\xda"
TABLES = b"\xff\xc4"
_HUFFMAN_FRAMES = (0xC0, 0xC1, 0xC2)
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = 0xC2
_BLOCK = 1 << 15


@dataclass(frozen=True)
class FirstScan:
    """What stands before the coded pixels; thumbnails in the segments before are passed over."""

    start: int
    """Offset of the marker of the scan."""
    components: frozenset[int]
    """Identifiers of the components of the picture."""
    is_huffman: bool
    """False for arithmetic coding and lossless pictures."""
    is_one_of_many: bool
    """Whether the picture is progressive, or the scan has only some of the components."""


def first_scan(data: bytes) -> FirstScan | None:
    """The first scan of a JPEG file; None if there is none."""
    at, components, kind = 2, frozenset[int](), 0
    while at + 4 < len(data) and data[at] == 0xFF:
        mark = data[at + 1]
        if mark == SCAN[1]:
            many = kind == _PROGRESSIVE or data[at + 4] < len(components)
            return FirstScan(at, components, kind in _HUFFMAN_FRAMES, many)
        size = int.from_bytes(data[at + 2 : at + 4])
        if mark in _FRAMES:
            components, kind = frozenset(data[at + 10 : at + 2 + size : 3]), mark
        at += 1 if mark == 0xFF else 2 + size  # a fill byte, or a segment
    return None


def scans_and_end(data: bytes, first: FirstScan) -> tuple[list[int], int]:
    """Offsets of all scans of the picture and of its end marker, or of the end of the file."""
    scans: list[int] = []
    for begin in range(first.start, len(data), _BLOCK):
        # Quicker than to search in the bytes, as long as the arrays fit into a cache.
        values = np.frombuffer(data[begin : begin + _BLOCK + 1], np.uint8)
        marks = np.flatnonzero(values[:-1] == 0xFF)
        kinds = values[marks + 1]
        for at in marks[(kinds == SCAN[1]) | (kinds == END[1])].tolist():
            if values[at + 1] == END[1]:
                return scans, begin + at
            scans.append(begin + at)
    return scans, len(data)


def scans_are_missing(data: bytes, first: FirstScan, scans: list[int]) -> bool:
    """Whether the scans do not bring every bit of every coefficient of every component."""
    left = dict.fromkeys(first.components, (1 << 64) - 1)  # a bit for each coefficient
    for at in scans:
        count = data[at + 4] if at + 4 < len(data) else 0
        band = data[at + 5 + 2 * count : at + 8 + 2 * count]
        if len(band) == 3 and band[2] & 15 == 0:  # no lower bits follow
            brought = (2 << min(band[1], 63)) - (1 << min(band[0], 63))
            for component in data[at + 5 : at + 5 + 2 * count : 2]:
                left[component] = left.get(component, 0) & ~brought
    return any(left.values())


def filler_foot(image: Image.Image, share: int) -> bool:
    """Whether the last ``1 / share`` of the rows is the mid grey of which libjpeg makes what it
    lacks (127 where the values are stored inverted, as for CMYK)."""
    corner = image.getpixel((0, image.height - 1))  # tells for most pictures, and costs the least
    if not {127, 128}.issuperset(corner if isinstance(corner, tuple) else (corner,)):
        return False
    for rows in (1, image.height // share):
        foot = image.crop((0, image.height - max(1, rows), image.width, image.height))
        counts = foot.histogram()  # 256 for each band
        if any(count for value, count in enumerate(counts) if value % 256 not in (127, 128)):
            return False
    return True
