"""Reading pictures of any format: upright, RGB and whole, or refused with a reason."""

import csv
import io
import os
import random
import struct
import threading
import time
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pillow_heif
import pytest
from PIL import ExifTags, Image, ImageCms

from encoder.errors import PictureError
from encoder.pictures.picture import EXTENSIONS, MAX_PIXELS, read_bytes, read_picture

Bytes = Callable[..., bytes]

LOSSLESS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "TIFF": {},
    "WEBP": {"lossless": True},
}
LOSSY: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "JPEG2000": {},
}
TURNS = [
    None,
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.ROTATE_180,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_90,  # turning by 270 degrees undoes it
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_270,
]
"""How the sensor saw an upright picture that orientation 1, 2, ... 8 turns upright again."""


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    if kind == "HEIF":
        exif = options.pop("exif", None)
        if exif is not None:
            options["exif"] = exif.tobytes()
        pillow_heif.from_pillow(image).save(buffer, quality=95, chroma=444, **options)
    else:
        image.save(buffer, kind, **options)
    return buffer.getvalue()


def read(data: bytes, **options: Any) -> "np.ndarray[Any, Any]":
    """Pixels as signed numbers, so that they can be subtracted."""
    picture = read_picture(io.BytesIO(data), **options)
    assert picture.image.mode == "RGB"
    assert (picture.width, picture.height) == picture.image.size
    return np.asarray(picture.image).astype(int)


def asymmetric() -> Image.Image:
    """48 x 32, different in every orientation: red top left, green top right, blue bottom left."""
    image = Image.new("RGB", (48, 32), (128, 128, 128))
    for box, colour in (
        ((0, 0, 16, 16), (255, 0, 0)),
        ((32, 0, 48, 16), (0, 255, 0)),
        ((0, 16, 16, 32), (0, 0, 255)),
    ):
        image.paste(colour, box)
    return image


UPRIGHT = np.asarray(asymmetric()).astype(int)


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", [*LOSSLESS, *(k for k in LOSSY if k != "JPEG2000")])
def test_every_orientation_is_turned_upright(kind: str, orientation: int) -> None:
    turn = TURNS[orientation - 1]
    stored = asymmetric() if turn is None else asymmetric().transpose(turn)
    options = (LOSSLESS | LOSSY)[kind]
    found = read(encode(stored, kind, exif=exif_of(orientation), **options))
    assert found.shape == UPRIGHT.shape
    assert np.abs(found - UPRIGHT).mean() < (0.01 if kind in LOSSLESS else 4)


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_unknown_orientation_changes_nothing(orientation: int) -> None:
    data = encode(asymmetric(), "PNG", exif=exif_of(orientation))
    assert np.array_equal(read(data), UPRIGHT)


@pytest.mark.parametrize("mode", ["L", "P", "1", "I;16", "I", "F", "RGBA", "CMYK", "LA"])
def test_pictures_of_every_mode_are_turned(mode: str) -> None:
    values = np.zeros((4, 9))
    values[0] = 1  # a white line at the top, stored at the left
    turned = np.ascontiguousarray(np.rot90(values))
    if mode == "I;16":
        stored = Image.fromarray((turned * 65535).astype(np.uint16))
    elif mode in "IF":
        stored = Image.fromarray((turned * 255).astype(np.uint8)).convert(mode)
    else:
        stored = Image.fromarray((turned * 255).astype(np.uint8)).convert("RGB").convert(mode)
    found = read(encode(stored, "TIFF", exif=exif_of(6)))
    assert np.array_equal(found, np.repeat(values[:, :, None], 3, 2) * 255)


def with_exif(tiff: bytes) -> bytes:
    """A JPEG, 16 x 8 as stored, with this EXIF block."""
    data, block = encode(Image.new("RGB", (16, 8), "red"), "JPEG"), b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:]


def directory(*entries: tuple[int, int, int, int]) -> bytes:
    """A little-endian TIFF directory of (tag, type, count, value or offset)."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + packed + b"\0\0\0\0"


TURN = (ExifTags.Base.Orientation, 3, 1, 6)


@pytest.mark.parametrize(
    "entry",
    [
        (ExifTags.Base.GPSInfo, 4, 1, 0xFFFFF),  # a directory beyond the end of the block
        (ExifTags.Base.ExifOffset, 4, 1, 8),  # a directory that holds itself
        (ExifTags.Base.Make, 2, 200, 9000),  # a text beyond the end of the block
        (ExifTags.Base.Make, 99, 1, 5),  # a value of unknown type
        (ExifTags.Base.XResolution, 9, 1, 0xFFFFFFFF),  # negative: Pillow cannot write it back
    ],
)
def test_odd_exif_does_not_hide_the_orientation(entry: tuple[int, int, int, int]) -> None:
    assert read(with_exif(directory(TURN, entry))).shape == (16, 8, 3)


@pytest.mark.parametrize("block", [b"", b"II*\0", b"garbage" * 9, directory(TURN)[:12]])
def test_a_broken_exif_block_does_not_cost_the_picture(block: bytes) -> None:
    picture = read_picture(io.BytesIO(with_exif(block)))
    assert (picture.image.size, picture.taken_at) == ((16, 8), None)


def test_outside_photographs_in_every_orientation(data_dir: Path) -> None:
    for name in ("Landscape", "Portrait"):
        files = [data_dir / "exif_orientation" / f"{name}_{i}.jpg" for i in range(9)]
        shots = [np.asarray(read_picture(f).image.resize((60, 60))).astype(int) for f in files]
        assert len({read_picture(file).image.size for file in files}) == 1
        for shot in shots[1:]:
            assert np.abs(shot - shots[0]).mean() < 4
        assert np.abs(shots[0] - shots[0][::-1]).mean() > 20  # so a wrong turn would be noticed


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "GIF", "AVIF", "HEIF"])
def test_transparent_parts_become_white(kind: str) -> None:
    image = Image.new("RGBA", (32, 16), (255, 0, 0, 255))
    image.paste((0, 0, 0, 0), (16, 0, 32, 16))
    found = read(encode(image, kind, **{"WEBP": {"lossless": True}}.get(kind, {})))
    assert np.abs(found[8, 8] - (255, 0, 0)).max() < 9
    assert np.abs(found[8, 24] - 255).max() < 9


def test_half_transparent_parts_are_mixed_with_white() -> None:
    image = Image.new("RGBA", (4, 4), (0, 0, 200, 128))
    assert np.abs(read(encode(image, "PNG")) - (127, 127, 227)).max() <= 1


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_a_colour_that_means_transparent_becomes_white(mode: str) -> None:
    image = Image.new("RGB", (4, 2))
    image.paste("white" if mode == "1" else (0, 0, 80), (2, 0, 4, 2))
    image = image.convert(mode)
    key = image.getpixel((0, 0))
    found = read(encode(image, "PNG", transparency=key))
    assert (found[:, :2] == 255).all()
    assert np.array_equal(found[:, 2:], np.asarray(image.convert("RGB")).astype(int)[:, 2:])


RAMP = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)


def tiff_of(mode: str) -> bytes:
    if mode == "I;16B":
        return encode(Image.frombytes(mode, (16, 16), RAMP.astype(">u2").tobytes()), "TIFF")
    values: dict[str, npt.NDArray[Any]] = {
        "I;16": RAMP,
        "I": RAMP.astype(np.int32),
        "I of 8 bits": RAMP.astype(np.int32) // 257,
        "I below zero": RAMP.astype(np.int32) - 30000,
        "I beyond 16 bits": RAMP.astype(np.int32) * 1000,
        "F to 1": (RAMP / 65535).astype(np.float32),
        "F to 255": (RAMP / 257).astype(np.float32),
        "F beyond": (RAMP * 3.5).astype(np.float32),
    }
    return encode(Image.fromarray(values[mode]), "TIFF")


@pytest.mark.parametrize(
    "mode",
    [
        *("I;16", "I;16B", "I", "I of 8 bits", "I below zero", "I beyond 16 bits"),
        *("F to 1", "F to 255", "F beyond"),
    ],
)
def test_wide_grey_keeps_its_shades(mode: str) -> None:
    data = tiff_of(mode)
    with Image.open(io.BytesIO(data)) as stored:
        assert stored.mode == mode.split(" ")[0]
    grey = np.arange(256).reshape(16, 16, 1)
    assert np.abs(read(data) - grey).max() <= 1


def test_a_dark_16_bit_picture_stays_dark_and_a_flat_one_flat() -> None:
    dark = encode(Image.fromarray(RAMP // 256), "PNG")
    assert read(dark).max() == 1
    mid = encode(Image.fromarray(np.full((3, 3), 32768, np.uint16)), "PNG")
    assert np.unique(read(mid)).tolist() == [128]
    assert np.unique(read(encode(Image.new("F", (3, 3), -7.5), "TIFF"))).tolist() == [0]


def test_float_pixels_that_are_not_numbers() -> None:
    values = (RAMP / 257).astype(np.float32)
    values[0, 0] = np.nan
    assert read(encode(Image.fromarray(values), "TIFF"))[0, :3, 0].tolist() == [0, 1, 2]


def test_other_colour_spaces() -> None:
    cmyk = encode(asymmetric().convert("CMYK"), "JPEG", quality=95, subsampling=0)
    assert np.abs(read(cmyk) - UPRIGHT).mean() < 4
    assert np.abs(read(encode(asymmetric().quantize(8), "PNG")) - UPRIGHT).max() == 0
    assert np.abs(read(encode(asymmetric().quantize(8), "GIF")) - UPRIGHT).max() == 0
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    lab = to_lab.apply(asymmetric())
    assert np.abs(read(encode(lab, "TIFF")) - UPRIGHT).mean() < 8
    line = Image.new("1", (6, 2))
    line.paste(1, (0, 0, 6, 1))
    assert read(encode(line, "PNG"))[:, :, 0].tolist() == [[255] * 6, [0] * 6]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "AVIF", "MPO"])
def test_an_animation_is_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (32, 16), colour) for colour in ("red", "lime", "blue")]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    with Image.open(io.BytesIO(data)) as stored:
        assert getattr(stored, "n_frames", 1) == 3
    assert np.abs(read(data) - (255, 0, 0)).max() < 9
    assert read_picture(io.BytesIO(data)).format == kind


@pytest.mark.parametrize("kind", [*LOSSLESS, *LOSSY, "BMP", "GIF", "ICO", "PCX", "PPM", "TGA"])
def test_every_format_is_read(kind: str, tmp_path: Path) -> None:
    options = (LOSSLESS | LOSSY).get(kind, {"sizes": [(48, 32)]} if kind == "ICO" else {})
    path = tmp_path / "picture"  # found by its bytes, not by its name
    path.write_bytes(encode(asymmetric(), kind, **options))
    for source in (path, str(path), bytes(path)):
        picture = read_picture(source)
        assert picture.format == kind
        assert np.abs(np.asarray(picture.image).astype(int) - UPRIGHT).mean() < 4


def test_heic_is_read_and_upright() -> None:
    exif = exif_of(1)
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2024:02:29 12:30:45"
    data = encode(asymmetric(), "HEIF", exif=exif)
    picture = read_picture(io.BytesIO(data))
    assert (picture.format, picture.taken_at) == ("HEIF", datetime(2024, 2, 29, 12, 30, 45))
    assert np.abs(read(data) - UPRIGHT).mean() < 4
    stored = asymmetric().transpose(Image.Transpose.ROTATE_90)
    assert np.abs(read(encode(stored, "HEIF", exif=exif_of(6))) - UPRIGHT).mean() < 4


def test_the_endings_are_those_of_the_formats() -> None:
    Image.init()
    pillow_heif.register_heif_opener()
    known = {ending for ending, kind in Image.registered_extensions().items()}
    assert known >= EXTENSIONS
    assert {".jpg", ".jpeg", ".png", ".heic", ".avif", ".webp", ".gif", ".tif"} <= EXTENSIONS
    assert not {".pdf", ".eps", ".psd", ".txt", ".mp4", ".svg"} & EXTENSIONS


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(20_000, 10_001), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_bombs_are_refused_by_their_header(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*args: object) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", decode)
    with pytest.raises(PictureError, match=r"pixels .* the limit of 200,000,000"):
        read(png_header(*size))


def test_the_pixels_of_the_largest_sensors_are_within_the_limit() -> None:
    """16,320 x 12,240, more than Pillow allows by default: only the missing data is refused."""
    assert 178_956_970 < 16_320 * 12_240 < MAX_PIXELS
    with pytest.raises(PictureError, match="damaged"):
        read(png_header(16_320, 12_240))


def test_the_limit_can_be_lowered() -> None:
    data = encode(asymmetric(), "PNG")
    assert read(data, max_pixels=48 * 32).shape == (32, 48, 3)
    with pytest.raises(PictureError) as caught:
        read(data, max_pixels=48 * 32 - 1)
    assert str(caught.value) == "48 x 32 pixels are more than the limit of 1,535"


@pytest.mark.parametrize("kind", [*LOSSLESS, *LOSSY, "GIF", "BMP", "HEIF"])
def test_a_truncated_picture_is_damaged(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    data = encode(Image.fromarray(noise), kind, **(LOSSLESS | LOSSY).get(kind, {}))
    for share in (0.5, 0.9):
        with pytest.raises(PictureError) as caught:
            read(data[: int(len(data) * share)])
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"hello, I am a text" * 99, b"%PDF-1.7", b"%!PS-Adobe"]
)
def test_what_is_not_a_picture(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "file.jpg").write_bytes(data)
    with pytest.raises(PictureError) as caught:
        read_picture(tmp_path / "file.jpg")
    assert str(caught.value) == "not a picture in a known format"


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_picture(tmp_path / "none.jpg")
    with pytest.raises(IsADirectoryError):
        read_picture(tmp_path)


def test_an_open_file_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    path.write_bytes(encode(asymmetric(), "PNG"))
    with open(path, "rb") as file:
        picture = read_picture(file)
        assert not file.closed
    assert np.array_equal(np.asarray(picture.image), UPRIGHT)


def test_random_damage_is_a_picture_or_a_reason() -> None:
    chance = random.Random(0)
    for kind in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "AVIF", "HEIF", "ICO", "TGA"):
        whole = encode(asymmetric(), kind)
        for _ in range(30):
            data = bytearray(whole)
            for _ in range(chance.randint(1, 6)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            with suppress(PictureError):  # any other error fails
                assert read(bytes(data), max_pixels=10**6).size <= 3 * 10**6


def taken(**tags: str) -> datetime | None:
    exif = Image.Exif()
    for name, value in tags.items():
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base[name]] = value
    data = encode(asymmetric(), "JPEG", exif=exif)
    return read_picture(io.BytesIO(data)).taken_at


def test_capture_time() -> None:
    stamp, noon = "2021:07:09 12:00:01", datetime(2021, 7, 9, 12, 0, 1)
    assert taken(DateTimeOriginal=stamp) == noon
    assert taken(DateTimeOriginal=f"{stamp}\0") == noon
    east = taken(DateTimeOriginal=stamp, OffsetTimeOriginal="+05:30")
    assert east == noon.replace(tzinfo=timezone(timedelta(hours=5, minutes=30)))
    west = taken(DateTimeOriginal=stamp, OffsetTimeOriginal="-08:00\0")
    assert west == noon.replace(tzinfo=timezone(timedelta(hours=-8)))
    for offset in ("", "   :  ", "+25:00", "summer"):
        assert taken(DateTimeOriginal=stamp, OffsetTimeOriginal=offset) == noon


def test_no_capture_time() -> None:
    assert taken() is None
    for stamp in (
        "0000:00:00 00:00:00",
        "    :  :     :  :  ",
        "summer 2021",
        "2021:13:40 12:00:00",
    ):
        assert taken(DateTimeOriginal=stamp) is None
    assert read_picture(io.BytesIO(encode(asymmetric(), "BMP"))).taken_at is None


def test_reading_in_threads_leaves_the_warnings_alone() -> None:
    """`warnings.catch_warnings` in threads would silence the whole process for good."""
    jpeg = encode(asymmetric(), "JPEG")
    read(jpeg)
    before = list(warnings.filters)

    def work() -> None:
        for _ in range(60):
            read(jpeg)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before
    with pytest.warns(UserWarning, match="still heard"):
        warnings.warn("still heard", stacklevel=1)


def test_awkward_images(data_dir: Path) -> None:
    """Each is soon read or refused. We read what Pillow reads as one picture, in the same size."""
    with open(data_dir / "awkward_images.tsv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    rows = [row for row in rows if row[0] != "path"]
    assert len(rows) == 268
    refused = []
    for path, _, kind, _, width, height, frames, orientation, result in rows:
        start = time.monotonic()
        try:
            picture = read_picture(data_dir / "awkward_images" / path)
        except PictureError:
            refused.append(path)
            assert not result.startswith("ok") or int(frames) > 1, path
        else:
            assert result.startswith("ok"), path
            assert picture.format == kind, path
            sides = int(width), int(height)
            turned = kind != "TIFF" and orientation in ("5", "6", "7", "8")  # Pillow turns TIFFs
            assert picture.image.size == (sides[::-1] if turned else sides), path
            assert picture.image.mode == "RGB", path
        assert time.monotonic() - start < 10, path
    # Only its animation is damaged: Pillow fails at the first try and gives pixels at the second.
    assert [p for p, *_, result in rows if result.startswith("ok") and p in refused] == [
        "pillow/apng/chunk_no_fctl.png"
    ]


def test_a_pipe_that_nobody_writes_to_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(PictureError, match="not a regular file"):
        read_bytes(tmp_path / "pipe.jpg")
