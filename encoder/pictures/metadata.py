"""What cameras and editors write beside the pixels: when, where and with what a picture was taken,
and words about it."""

from collections.abc import Callable, Iterator
from datetime import datetime
from math import isnan
from typing import Any, NamedTuple

from PIL import ExifTags, Image

from encoder.pictures.stamps import cleaned, degrees, parse_time
from encoder.pictures.xmp import Xmp, read_xmp


class Metadata(NamedTuple):
    """What a file says about its picture, as `Picture` describes it."""

    taken_at: datetime | None = None
    camera: str | None = None
    lens: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    title: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    rating: int | None = None


_TIMES = (
    ("DateTimeOriginal", "OffsetTimeOriginal", "SubsecTimeOriginal"),
    ("DateTimeDigitized", "OffsetTimeDigitized", "SubsecTimeDigitized"),
    ("DateTime", "OffsetTime", "SubsecTime"),
)
"""Capture time, time of digitisation and time of the last change, with zone and fraction."""

_SIGNS_OF_A_FIX = {"GPSTimeStamp", "GPSDateStamp", "GPSSatellites", "GPSDOP", "GPSMeasureMode"}


_HALVES = {name: name[0] for name in ("N", "S", "E", "W", "NORTH", "SOUTH", "EAST", "WEST")}


def read_metadata(image: Image.Image) -> Metadata:
    """Everything that can be read of the EXIF block and the XMP packet of an opened picture; broken
    ones give nothing and never raise. What EXIF says comes first."""
    base = _try(image.getexif)
    detail = _try(lambda: base.get_ifd(ExifTags.IFD.Exif))
    gps = _try(lambda: base.get_ifd(ExifTags.IFD.GPSInfo))
    xmp = _try(lambda: read_xmp(_packet(image))) or Xmp()
    latitude, longitude = _place(gps)
    if latitude is None:
        latitude, longitude = xmp.latitude, xmp.longitude
    return Metadata(
        taken_at=_taken_at(base, detail) or xmp.taken_at,
        camera=_camera(_text(base, ExifTags.Base.Make), _text(base, ExifTags.Base.Model)),
        lens=_text(detail, ExifTags.Base.LensModel),
        latitude=latitude,
        longitude=longitude,
        title=xmp.title,
        description=xmp.description,
        tags=xmp.tags,
        rating=xmp.rating,
    )


def metadata_sources(image: Image.Image) -> dict[str, str]:
    """Which parts of an opened picture's own metadata `read_metadata` takes the time and the place
    from: the names of a tag or property by ``taken_at`` and ``place``. What is not there is left
    out."""
    base = _try(image.getexif)
    detail = _try(lambda: base.get_ifd(ExifTags.IFD.Exif))
    gps = _try(lambda: base.get_ifd(ExifTags.IFD.GPSInfo))
    xmp = _try(lambda: read_xmp(_packet(image))) or Xmp()
    found: dict[str, str] = {}
    if name := next((names[0] for names, _ in _times(base, detail)), None):
        found["taken_at"] = f"EXIF {name}"
    elif xmp.taken_at:
        found["taken_at"] = f"XMP {xmp.time_name}"
    if _place(gps)[0] is not None:
        found["place"] = "EXIF GPS"
    elif xmp.latitude is not None:
        found["place"] = "XMP exif:GPSLatitude"
    return found


def _packet(image: Image.Image) -> bytes:
    found = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    return found if isinstance(found, bytes) else str(found).encode()


def _try(read: Callable[[], Any]) -> Any:
    """None if `read` fails: Pillow raises half a dozen types on broken blocks."""
    try:
        return read()
    except Exception:
        return None


def _text(tags: Any, tag: int) -> str | None:
    """A text without the NULs and blanks that cameras pad it with; None for a blank one."""
    value = _try(lambda: tags[tag])
    return cleaned(value) or None if isinstance(value, str) else None


def _camera(make: str | None, model: str | None) -> str | None:
    if make is None or model is None:
        return model or make
    # "NIKON CORPORATION" and "NIKON D850", "EASTMAN KODAK COMPANY" and "KODAK Z740"
    if model.casefold().split()[0] in make.casefold().split():
        return model
    return f"{make} {model}"


def _taken_at(base: Any, detail: Any) -> datetime | None:
    """The first of the times that makes sense."""
    return next((time for _, time in _times(base, detail)), None)


def _times(base: Any, detail: Any) -> Iterator[tuple[tuple[str, str, str], datetime]]:
    """The times that make sense, with the tags that they come from."""
    for names in _TIMES:
        # Some editors write the tags of one block into the other.
        texts = (_text(detail, tag) or _text(base, tag) for tag in map(_tag, names))
        if time := parse_time(*texts):
            yield names, time


def _tag(name: str) -> int:
    return ExifTags.Base[name].value


def _place(gps: Any) -> tuple[float | None, float | None]:
    latitude = _degrees(gps, ExifTags.GPS.GPSLatitude, "NS", 90)
    longitude = _degrees(gps, ExifTags.GPS.GPSLongitude, "EW", 180)
    if latitude is None or longitude is None:
        return None, None
    if latitude == longitude == 0:  # what a receiver without a fix leaves
        altitude = _try(lambda: float(gps[ExifTags.GPS.GPSAltitude])) or 0
        names = _try(lambda: {ExifTags.GPS(tag).name for tag in gps}) or set()
        if not (altitude or names & _SIGNS_OF_A_FIX):
            return None, None
    return latitude, longitude


def _degrees(gps: Any, tag: int, signs: str, limit: int) -> float | None:
    """Degrees, minutes and seconds as one number; the last ones may be missing or 0/0. The tag
    before `tag` names the half of the globe; without it the sign would be a guess."""
    half = _HALVES.get((_text(gps, tag - 1) or "").upper(), "?")
    parts = _try(lambda: [float(part) for part in gps[tag]]) or _try(lambda: [float(gps[tag])])
    while parts and isnan(parts[-1]):
        parts.pop()
    if half not in tuple(signs) or not parts or len(parts) > 3:
        return None
    return degrees(parts, negative=half == signs[1], limit=limit)
