"""What is read from an EXIF block; a broken block costs nothing."""

import io
from typing import Any

import pillow_heif
import pytest
from PIL import ExifTags, Image, TiffImagePlugin

from encoder.pictures.picture import Picture, read_picture

SOUTH_EAST: dict[int, Any] = {1: "S", 2: (33.0, 51.0, 30.6), 3: "E", 4: (151.0, 12.0, 36.0)}
NO_NUMBER = TiffImagePlugin.IFDRational(0, 0)
"""The value that cameras write if they found no satellite."""


def shot(kind: str = "JPEG", *, gps: dict[int, Any] | None = None, **tags: Any) -> Picture:
    exif = Image.Exif()
    for name, value in tags.items():
        block = exif if name in ("Make", "Model") else exif.get_ifd(ExifTags.IFD.Exif)
        block[ExifTags.Base[name]] = value
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(gps or {})
    buffer, image = io.BytesIO(), Image.new("RGB", (32, 16), "red")
    if kind == "HEIF":
        pillow_heif.from_pillow(image).save(buffer, exif=exif.tobytes())
    else:
        image.save(buffer, kind, exif=exif.tobytes())
    return read_picture(buffer)


def place(gps: dict[int, Any]) -> tuple[float | None, float | None]:
    picture = shot(gps=gps, Make="Canon")
    assert (picture.image.size, picture.camera) == ((32, 16), "Canon")
    return picture.latitude, picture.longitude


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_every_format_with_exif(kind: str) -> None:
    picture = shot(kind, gps=SOUTH_EAST, Make="Apple", Model="iPhone 12", LensModel="back camera")
    assert picture.format == kind
    assert (picture.camera, picture.lens) == ("Apple iPhone 12", "back camera")
    assert picture.latitude == pytest.approx(-33.8585)
    assert picture.longitude == pytest.approx(151.21)


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("NIKON CORPORATION", "NIKON D850", "NIKON D850"),
        ("EASTMAN KODAK COMPANY", "KODAK Z740", "KODAK Z740"),
        ("Canon\0\0", "EOS  5D \0", "Canon EOS 5D"),
        ("Leica", "Leicaflex", "Leica Leicaflex"),
        ("SONY", None, "SONY"),
        (None, "X100", "X100"),
        (" \0", "X100", "X100"),
        ("\0", " ", None),
        (None, None, None),
    ],
)
def test_the_make_is_not_repeated(make: str | None, model: str | None, camera: str | None) -> None:
    given: dict[str, Any] = {"Make": make, "Model": model}
    tags = {name: value for name, value in given.items() if value is not None}
    assert shot(**tags).camera == camera


@pytest.mark.parametrize(
    ("north_south", "east_west", "signs"),
    [("N", "E", (1, 1)), ("S", "W", (-1, -1)), ("n\0", "w", (1, -1))],
)
def test_the_halves_of_the_globe_give_the_signs(
    north_south: str, east_west: str, signs: tuple[int, int]
) -> None:
    found = place({1: north_south, 2: (10.0, 30.0, 0.0), 3: east_west, 4: (20.0, 0.0, 36.0)})
    assert found == pytest.approx((signs[0] * 10.5, signs[1] * 20.01))


def test_poles_and_the_date_line_are_places() -> None:
    assert place({1: "S", 2: (90.0, 0.0, 0.0), 3: "E", 4: (180.0, 0.0, 0.0)}) == (-90, 180)


@pytest.mark.parametrize(
    "wrong",
    [
        {2: (91.0, 0.0, 0.0)},
        {2: (90.0, 0.0, 0.1)},
        {4: (180.0, 1.0, 0.0)},
        {2: (NO_NUMBER, 0.0, 0.0)},
        {4: (10.0, NO_NUMBER, 0.0)},
        {2: (10.0, 61.0, 0.0)},
        {2: (10.0, 0.0, 61.0)},
        {2: (10.0, 30.0)},
        {2: None},
        {1: None},
        {3: "N"},
        {1: "NS"},
        {1: "?"},
    ],
)
def test_nonsense_is_not_a_place(wrong: dict[int, Any]) -> None:
    gps = {tag: value for tag, value in (SOUTH_EAST | wrong).items() if value is not None}
    assert place(gps) == (None, None)


def test_a_picture_without_exif() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "BMP")
    picture = read_picture(buffer)
    assert (picture.camera, picture.lens, picture.latitude, picture.longitude) == (None,) * 4
