"""What is read from an EXIF block and from XMP; broken ones cost nothing."""

import io
from datetime import datetime, timedelta, timezone
from typing import Any

import pillow_heif
import pytest
from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin

from encoder.pictures.picture import Picture, read_picture
from encoder.pictures.stamps import parse_time
from encoder.pictures.xmp import Xmp, read_xmp

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
        {2: (NO_NUMBER,)},
        {2: (10.0, 30.0, 0.0, 0.0)},
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


@pytest.mark.parametrize(
    "parts",
    [
        (10.0, 30.5),
        (10.0, 30.5, NO_NUMBER),
        (10.0, 30.5, 0.0),
        (10.0, 30.0, 30.0),
        (10.0 + 30.5 / 60,),
        (10.0 + 30.5 / 60, NO_NUMBER, NO_NUMBER),
    ],
)
def test_positions_in_all_forms(parts: tuple[Any, ...]) -> None:
    found = place({1: "N", 2: parts, 3: "W", 4: parts})
    assert found == pytest.approx((10.508333, -10.508333), abs=1e-5)


@pytest.mark.parametrize(
    ("more", "is_place"),
    [
        ({}, False),
        ({6: 0.0}, False),
        ({6: 12.0}, True),
        ({29: "2023:06:01"}, True),
        ({7: (12.0, 0.0, 0.0)}, True),
        ({11: 2.0}, True),
    ],
)
def test_zeros_are_a_place_only_with_another_sign(more: dict[int, Any], is_place: bool) -> None:
    zero = (0.0, 0.0, 0.0)
    found = place({1: "N", 2: zero, 3: "E", 4: zero, **more})
    assert found == ((0, 0) if is_place else (None, None))


def at(*parts: int, zone: float | None = None) -> datetime:
    year, month, day, hour, minute, second, micro = (*parts, 0, 0, 0, 0)[:7]
    time = datetime(year, month, day, hour, minute, second, micro)
    return time if zone is None else time.replace(tzinfo=timezone(timedelta(hours=zone)))


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2023:06:01 12:30:45", at(2023, 6, 1, 12, 30, 45)),
        ("2023-06-01 12:30:45", at(2023, 6, 1, 12, 30, 45)),
        ("2023/06/01 12:30:45", at(2023, 6, 1, 12, 30, 45)),
        ("2023.06.01 12.30.45", at(2023, 6, 1, 12, 30, 45)),
        ("2023-06-01T12:30:45", at(2023, 6, 1, 12, 30, 45)),
        ("2023:6:1 9:05:07", at(2023, 6, 1, 9, 5, 7)),
        ("  2023:06:01  12:30:45 \0", at(2023, 6, 1, 12, 30, 45)),
        ("2023:06:01 12:30", at(2023, 6, 1, 12, 30)),
        ("2023:06:01", at(2023, 6, 1)),
        ("2023:06:01 12:30:45.25", at(2023, 6, 1, 12, 30, 45, 250_000)),
        ("2023:06:01 12:30:45,123456789", at(2023, 6, 1, 12, 30, 45, 123_456)),
        ("2023:06:01 12:30:60", at(2023, 6, 1, 12, 30, 59)),
        ("2023:06:01 12:30:45Z", at(2023, 6, 1, 12, 30, 45, zone=0)),
        ("2023-06-01T12:30:45+02:00", at(2023, 6, 1, 12, 30, 45, zone=2)),
        ("2023-06-01T12:30-0730", at(2023, 6, 1, 12, 30, zone=-7.5)),
        ("2023-06-01T12:30:45+99:00", at(2023, 6, 1, 12, 30, 45)),
        ("1839-08-19", at(1839, 8, 19)),
        ("0000:00:00 00:00:00", None),
        ("    :  :     :  :  ", None),
        ("0001:01:01 00:00:00", None),
        ("2023:00:01 00:00:00", None),
        ("2023:13:01 00:00:00", None),
        ("2023:02:30 00:00:00", None),
        ("2023:06:01 24:00:00", None),
        ("2023:06:01 12:60:00", None),
        ("2023:06:01 12:30:61", None),
        ("2023", None),
        ("yesterday", None),
        ("\u0662\u0660\u0662\u0663:06:01 12:30:45", None),
        ("", None),
        (None, None),
    ],
)
def test_times_in_all_forms(text: str | None, time: datetime | None) -> None:
    parsed = parse_time(text)
    assert parsed == time
    assert (parsed and parsed.isoformat()) == (time and time.isoformat())


def test_zone_and_fraction_from_other_tags() -> None:
    stamp = "2023:06:01 12:30:45"
    assert parse_time(stamp, "+02:00", "5") == at(2023, 6, 1, 12, 30, 45, 500_000, zone=2)
    assert parse_time(stamp, " +2:00\0", " 07 \0") == at(2023, 6, 1, 12, 30, 45, 70_000, zone=2)
    assert parse_time(stamp, "   :  ", "x") == at(2023, 6, 1, 12, 30, 45)
    assert parse_time(stamp + ".25Z", "+02:00", "5") == at(2023, 6, 1, 12, 30, 45, 250_000, zone=0)
    assert parse_time("2023:06:01", "+02:00") == at(2023, 6, 1)


def dated(kind: str = "JPEG", *, xmp: str = "", **tags: str) -> datetime | None:
    """The capture time of a picture whose file has these tags of EXIF and this packet of XMP."""
    return written(kind, xmp=xmp, **tags).taken_at


def written(kind: str = "JPEG", *, xmp: str = "", **tags: str) -> Picture:
    """As `dated`, the whole picture."""
    exif = Image.Exif()
    for name, value in tags.items():
        block = exif if name == "DateTime" else exif.get_ifd(ExifTags.IFD.Exif)
        block[ExifTags.Base[name]] = value
    buffer, image = io.BytesIO(), Image.new("RGB", (32, 16), "red")
    given: dict[str, Any] = {"exif": exif.tobytes()} if tags else {}
    if kind == "HEIF":
        pillow_heif.from_pillow(image).save(buffer, **given, xmp=packet(xmp))
    elif kind == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", packet(xmp).decode())
        image.save(buffer, kind, **given, pnginfo=text)
    elif kind == "TIFF":
        image.save(buffer, kind, tiffinfo={700: packet(xmp)})
    else:
        image.save(buffer, kind, **given, xmp=packet(xmp))
    return read_picture(buffer)


def packet(inside: str) -> bytes:
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
 xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:x2="http://ns.adobe.com/xap/1.0/"
 xmlns:exif="http://ns.adobe.com/exif/1.0/"
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
 >{inside}</rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>""".encode()


def test_the_capture_time_falls_back() -> None:
    times = {
        "DateTimeOriginal": "2021:01:01 00:00:00",
        "DateTimeDigitized": "2022:01:01 00:00:00",
        "DateTime": "2023:01:01 00:00:00",
    }
    xmp = '<rdf:Description x2:CreateDate="2024-01-01T00:00:00"/>'
    for year, name in enumerate(list(times), 2021):
        assert dated(xmp=xmp, **times) == at(year, 1, 1)
        assert dated(xmp=xmp, **(times | {name: "0000:00:00 00:00:00"})) == at(year + 1, 1, 1)
        del times[name]
    assert dated(xmp=xmp) == at(2024, 1, 1)
    assert dated() is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF"])
@pytest.mark.parametrize(
    "inside",
    [
        '<rdf:Description exif:DateTimeOriginal="2020-02-03T04:05:06.5+01:00"/>',
        "<rdf:Description><exif:DateTimeOriginal>2020-02-03T04:05:06.5+01:00"
        "</exif:DateTimeOriginal></rdf:Description>",
        '<rdf:Description photoshop:DateCreated="2020-02-03T04:05:06.5+01:00"'
        ' x2:CreateDate="2001-01-01"/>',
    ],
)
def test_the_capture_time_in_xmp(kind: str, inside: str) -> None:
    time = dated(kind, xmp=inside)
    assert time == at(2020, 2, 3, 4, 5, 6, 500_000, zone=1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF"])
def test_words_in_xmp(kind: str) -> None:
    picture = written(
        kind,
        xmp="""<rdf:Description x2:Rating="4" dc:title="Harbour">
        <dc:subject><rdf:Bag><rdf:li>boat</rdf:li><rdf:li>sea</rdf:li><rdf:li>boat</rdf:li></rdf:Bag>
        </dc:subject><dc:description>At noon</dc:description></rdf:Description>""",
    )
    words = (picture.title, picture.description, picture.tags, picture.rating)
    assert words == ("Harbour", "At noon", ("boat", "sea"), 4)
    bare = written(kind)
    assert (bare.title, bare.description, bare.tags, bare.rating) == (None, None, (), None)


def test_what_xmp_says() -> None:
    xmp = read_xmp(
        packet(
            """
 <rdf:Description x2:Rating="4" exif:GPSLatitude="59,54.6N" exif:GPSLongitude="10,45,36W">
  <dc:title><rdf:Alt><rdf:li xml:lang="de">Hafen</rdf:li>
   <rdf:li xml:lang="x-default">Harbour</rdf:li></rdf:Alt></dc:title>
  <dc:description><rdf:Alt><rdf:li xml:lang="x-default"> A boat
   at noon </rdf:li></rdf:Alt></dc:description>
  <dc:subject><rdf:Bag><rdf:li>boat</rdf:li><rdf:li> sea </rdf:li><rdf:li>boat</rdf:li>
   <rdf:li/></rdf:Bag></dc:subject>
 </rdf:Description>"""
        )
    )
    assert (xmp.title, xmp.tags, xmp.rating) == ("Harbour", ("boat", "sea"), 4)
    assert (xmp.description or "").split() == ["A", "boat", "at", "noon"]
    assert (xmp.latitude, xmp.longitude) == pytest.approx((59.91, -10.76))
    assert read_xmp(packet("")) == Xmp()


@pytest.mark.parametrize(
    ("rating", "stars"),
    [("5", 5), ("0", 0), ("-1", -1), ("3.0", 3), ("6", None), ("2.5", None), ("x", None)],
)
def test_ratings(rating: str, stars: int | None) -> None:
    assert read_xmp(packet(f'<rdf:Description x2:Rating="{rating}"/>')).rating == stars


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\xff\xfe\x00",
        b"<x>",
        b"no xml",
        b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>',
        b"<x/>" + b" " * (1 << 20) + b"<y/>",
    ],
)
def test_broken_xmp_is_an_error_that_costs_nothing(broken: bytes) -> None:
    with pytest.raises(ValueError, match=r"XML|limit"):
        read_xmp(broken)
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "WEBP", xmp=broken)
    assert read_picture(buffer).taken_at is None
