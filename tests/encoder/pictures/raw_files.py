"""RAW files as small as LibRaw still takes them: TIFF 6.0 with a preview and a sensor's data."""

import io
import struct

from PIL import Image

Entry = tuple[int, int, int, bytes]
"""Tag, type, count and values of an entry in a directory."""
BYTE, ASCII, SHORT, LONG, RATIONAL, SIGNED = 1, 2, 3, 4, 5, 10
_WIDTH, _HEIGHT = 64, 48


def shorts(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}H", *values)


def longs(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


def text(value: str) -> bytes:
    return value.encode() + b"\0"


def directory(entries: list[Entry], place: int) -> bytes:
    """A directory that lies at `place`, with its long values behind it."""
    head, tail = struct.pack("<H", len(entries)), b""
    behind = place + 2 + 12 * len(entries) + 4
    for tag, kind, count, values in sorted(entries):
        head += struct.pack("<HHI", tag, kind, count)
        if len(values) <= 4:
            head += values.ljust(4, b"\0")
        else:
            head += longs(behind + len(tail))
            tail += values.ljust(len(values) + len(values) % 2, b"\0")
    return head + longs(0) + tail


def jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=92)
    return file.getvalue()


def raw_file(
    preview: Image.Image,
    *,
    dng: bool = True,
    make: str = "Leica",
    model: str = "Q2",
    orientation: int = 1,
    when: str = "2021:02:03 04:05:06",
    xmp: bytes = b"",
) -> bytes:
    """A file with `preview` in its first directory and a sensor's data in the one below it.

    With `dng` it is a DNG. Otherwise it looks like the file of a camera that LibRaw does not know.
    """
    data = jpeg(preview)
    sensor = shorts(*([2000] * (_WIDTH * _HEIGHT)))
    preview_at, sensor_at = 8, 8 + len(data) + len(data) % 2
    start = sensor_at + len(sensor)

    def directories(below: int, exif: int) -> list[list[Entry]]:
        matrix = struct.pack("<18i", *(n for i in range(9) for n in (10000 * (i % 4 == 0), 10000)))
        first = [
            (254, LONG, 1, longs(1)),
            (256, LONG, 1, longs(preview.width)),
            (257, LONG, 1, longs(preview.height)),
            (258, SHORT, 3, shorts(8, 8, 8)),
            (259, SHORT, 1, shorts(7)),
            (262, SHORT, 1, shorts(6)),
            (271, ASCII, len(text(make)), text(make)),
            (272, ASCII, len(text(model)), text(model)),
            (273, LONG, 1, longs(preview_at)),
            (274, SHORT, 1, shorts(orientation)),
            (277, SHORT, 1, shorts(3)),
            (278, LONG, 1, longs(preview.height)),
            (279, LONG, 1, longs(len(data))),
            (330, LONG, 1, longs(below)),
            (34665, LONG, 1, longs(exif)),
        ]
        if xmp:
            first.append((700, BYTE, len(xmp), xmp))
        if dng:
            first += [
                (50706, BYTE, 4, bytes([1, 4, 0, 0])),
                (50708, ASCII, len(text(model)), text(model)),
                (50721, SIGNED, 9, matrix),
                (50728, RATIONAL, 3, longs(1, 1, 1, 1, 1, 1)),
                (50778, SHORT, 1, shorts(21)),
            ]
        second = [
            (254, LONG, 1, longs(0)),
            (256, LONG, 1, longs(_WIDTH)),
            (257, LONG, 1, longs(_HEIGHT)),
            (258, SHORT, 1, shorts(16)),
            (259, SHORT, 1, shorts(1)),
            (262, SHORT, 1, shorts(32803)),
            (273, LONG, 1, longs(sensor_at)),
            (277, SHORT, 1, shorts(1)),
            (278, LONG, 1, longs(_HEIGHT)),
            (279, LONG, 1, longs(len(sensor))),
            (33421, SHORT, 2, shorts(2, 2)),
            (33422, BYTE, 4, bytes([0, 1, 1, 2])),
            (50714, SHORT, 1, shorts(0)),
            (50717, SHORT, 1, shorts(4095)),
        ]
        return [first, second, [(36867, ASCII, 20, text(when))]]

    sizes = [len(directory(entries, 0)) for entries in directories(0, 0)]
    places = [start, start + sizes[0], start + sizes[0] + sizes[1]]
    body = b"".join(
        directory(entries, place)
        for entries, place in zip(directories(places[1], places[2]), places, strict=True)
    )
    head = struct.pack("<2sHI", b"II", 42, start)
    return head + data.ljust(sensor_at - preview_at, b"\0") + sensor + body
