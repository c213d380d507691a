"""What a camera wrote beside the pixels: when, where and with what a picture was taken."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from PIL import ExifTags, Image


class Exif(NamedTuple):
    """The parts of an EXIF block that make sense, as `Picture` describes them."""

    taken_at: datetime | None = None
    camera: str | None = None
    lens: str | None = None
    latitude: float | None = None
    longitude: float | None = None


def read_exif(image: Image.Image) -> Exif:
    """Everything that can be read of it; a broken block gives nothing and never raises."""
    base = _try(image.getexif)
    detail = _try(lambda: base.get_ifd(ExifTags.IFD.Exif))
    gps = _try(lambda: base.get_ifd(ExifTags.IFD.GPSInfo))
    latitude = _degrees(gps, ExifTags.GPS.GPSLatitude, "NS", 90)
    longitude = _degrees(gps, ExifTags.GPS.GPSLongitude, "EW", 180)
    located = latitude is not None and longitude is not None
    return Exif(
        taken_at=_taken_at(detail),
        camera=_camera(_text(base, ExifTags.Base.Make), _text(base, ExifTags.Base.Model)),
        lens=_text(detail, ExifTags.Base.LensModel),
        latitude=latitude if located else None,
        longitude=longitude if located else None,
    )


def _try(read: Callable[[], Any]) -> Any:
    """None if `read` fails: Pillow raises half a dozen types on broken blocks."""
    try:
        return read()
    except Exception:
        return None


def _text(tags: Any, tag: int) -> str | None:
    """A text without the NULs and blanks that cameras pad it with; None for a blank one."""
    value = _try(lambda: tags[tag])
    return " ".join(value.replace("\0", " ").split()) or None if isinstance(value, str) else None


def _camera(make: str | None, model: str | None) -> str | None:
    if make is None or model is None:
        return model or make
    # "NIKON CORPORATION" and "NIKON D850", "EASTMAN KODAK COMPANY" and "KODAK Z740"
    if model.casefold().split()[0] in make.casefold().split():
        return model
    return f"{make} {model}"


def _taken_at(detail: Any) -> datetime | None:
    stamp = _text(detail, ExifTags.Base.DateTimeOriginal)
    try:
        taken = datetime.strptime(stamp or "", "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    offset = _text(detail, ExifTags.Base.OffsetTimeOriginal)
    try:
        return datetime.fromisoformat(taken.isoformat() + (offset or ""))
    except ValueError:
        return taken


def _degrees(gps: Any, tag: int, signs: str, limit: int) -> float | None:
    """Degrees, minutes and seconds as one number. The tag before `tag` names the half of the globe;
    without it the sign would be a guess."""
    half = (_text(gps, tag - 1) or "").upper()
    parts = _try(lambda: [float(part) for part in gps[tag]])
    if half not in tuple(signs) or parts is None or len(parts) != 3:
        return None
    degrees, minutes, seconds = parts
    value: float = degrees + minutes / 60 + seconds / 3600
    # Written so that NaN, the value of a fraction over 0, is refused too.
    if not (degrees >= 0 and 0 <= minutes <= 60 and 0 <= seconds <= 60 and value <= limit):
        return None
    return -value if half == signs[1] else value
