"""Where the coded pixels of a picture end in its file, for formats that say so."""

from collections.abc import Iterator
from contextlib import suppress
from typing import cast

from PIL import Image, TiffImagePlugin

_PNG = b"\x89PNG\r\n\x1a\n"
_CODED_ITEMS = (b"hvc1", b"hev1", b"av01")
_OFFSETS, _SIZES = (273, 324), (279, 325)
_UNCOMPRESSED = 1


def ends_of_pixels(data: bytes, image: Image.Image) -> Iterator[int]:
    """Offsets before which no run of zeros can stand in a whole file."""
    with suppress(IndexError):  # what a table says may lie outside the file
        match image.format:
            case "PNG":
                yield _end_of_png(data, 0)
            case "ICO":
                for entry in range(6, 6 + 16 * int.from_bytes(data[4:6], "little"), 16):
                    at = int.from_bytes(data[entry + 12 : entry + 16], "little")
                    if data.startswith(_PNG, at):
                        yield _end_of_png(data, at)
            case "TIFF":
                yield from _ends_of_tiff(cast(TiffImagePlugin.TiffImageFile, image))
            case "AVIF" | "HEIF":
                yield from _ends_of_items(data)


def first_webp_frame(data: bytes) -> int:
    """Offset behind the first chunk of coded colours of a WebP; 0 if there is none."""
    at = 12
    while at + 8 <= len(data):
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if kind in (b"VP8 ", b"VP8L"):
            return min(len(data), at + 8 + size)
        at += 8 + (16 if kind == b"ANMF" else size + size % 2)  # a frame holds chunks
    return 0


def _end_of_png(data: bytes, at: int) -> int:
    """Behind the last chunk, or behind the one in which the walk ends."""
    at += len(_PNG)
    while at + 8 <= len(data):
        kind, size = data[at + 4 : at + 8], int.from_bytes(data[at : at + 4])
        at += 12 + size
        if kind == b"IEND":
            break
    return min(at, len(data))


def _ends_of_tiff(image: TiffImagePlugin.TiffImageFile) -> Iterator[int]:
    tags = image.tag_v2
    if tags.get(259, _UNCOMPRESSED) != _UNCOMPRESSED:
        for offsets, sizes in zip(_OFFSETS, _SIZES, strict=True):
            for offset, size in zip(tags.get(offsets, ()), tags.get(sizes, ()), strict=False):
                yield offset + size


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and end of the content of each box (ISO/IEC 14496-12)."""
    while at + 8 <= end:
        size, kind, head = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16]), 16
        stop = end if size == 0 else at + size
        if size and size < head:
            return
        yield kind, at + head, min(stop, end)
        at = stop


def _ends_of_items(data: bytes) -> Iterator[int]:
    """Ends of the coded items, tiles among them, of a HEIF file."""
    for kind, begin, end in _boxes(data, 0, len(data)):
        if kind == b"meta":
            parts = {name: (b, e) for name, b, e in _boxes(data, begin + 4, end)}
            if b"iinf" in parts and b"iloc" in parts:
                coded = _coded_items(data, *parts[b"iinf"])
                yield from (e for item, e in _extents(data, parts[b"iloc"][0]) if item in coded)


def _coded_items(data: bytes, begin: int, end: int) -> set[int]:
    coded = set()
    for kind, at, _ in _boxes(data, begin + (6 if data[begin] == 0 else 8), end):
        wide = 2 if data[at] < 3 else 4
        if kind == b"infe" and data[at + 6 + wide : at + 10 + wide] in _CODED_ITEMS:
            coded.add(int.from_bytes(data[at + 4 : at + 4 + wide]))
    return coded


def _extents(data: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Item and end of each extent that the table of locations puts into the file itself."""
    version = data[at]
    widths = data[at + 4] >> 4, data[at + 4] & 15, data[at + 5] >> 4, data[at + 5] & 15
    wide = 2 if version < 2 else 4
    at += 6

    def number(size: int) -> int:
        nonlocal at
        at += size
        if at > len(data):
            raise IndexError
        return int.from_bytes(data[at - size : at])

    for _ in range(number(wide)):
        item = number(wide)
        in_file = version == 0 or number(2) & 15 == 0
        number(2)  # which file: this one
        base = number(widths[2])
        for _ in range(number(2)):
            number(widths[3] if version else 0)
            offset, size = number(widths[0]), number(widths[1])
            if in_file:
                yield item, base + offset + size
