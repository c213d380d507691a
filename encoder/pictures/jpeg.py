"""The structure of a JPEG file: its markers and scans (ITU-T T.81, annex B)."""

from dataclasses import dataclass
from typing import IO

from PIL import Image

END = b"\xff\xd9"
SCAN = b"\xff\xda"
TABLES = b"\xff\xc4"
_HUFFMAN_FRAMES = (0xC0, 0xC1, 0xC2)
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = 0xC2


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


def first_scan(file: IO[bytes]) -> FirstScan | None:
    """The first scan of a JPEG file; None if there is none."""
    at, components, kind = 2, frozenset[int](), 0
    while True:
        file.seek(at)
        head = file.read(5)
        if len(head) < 5 or head[0] != 0xFF:
            return None
        if head[1] == 0xFF:  # a fill byte
            at += 1
            continue
        size = int.from_bytes(head[2:4])
        if head[1] == SCAN[1]:
            many = kind == _PROGRESSIVE or head[4] < len(components)
            return FirstScan(at, components, kind in _HUFFMAN_FRAMES, many)
        if head[1] in _FRAMES:
            file.seek(at + 4)
            components, kind = frozenset(file.read(max(0, size - 2))[6::3]), head[1]
        at += 2 + size


def scans_are_missing(data: bytes, first: FirstScan) -> bool:
    """Whether the scans do not bring every bit of every coefficient of every component."""
    left = {(component, k) for component in first.components for k in range(64)}
    at = first.start
    while at >= 0 and left:
        count = data[at + 4] if at + 4 < len(data) else 0
        components = data[at + 5 : at + 5 + 2 * count : 2]
        band = data[at + 5 + 2 * count : at + 8 + 2 * count]
        if len(band) == 3 and band[2] & 15 == 0:  # no lower bits follow
            left -= {(c, k) for c in components for k in range(band[0], band[1] + 1)}
        at = data.find(SCAN, at + 2)
    return bool(left)


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
