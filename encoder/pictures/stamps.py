"""Capture times and positions, in the ways in which cameras, editors and XMP write them."""

import re
from datetime import UTC, datetime, timedelta, timezone

_STAMP = re.compile(
    r"(\d{4})[:\-/. ](\d{1,2})[:\-/. ](\d{1,2})"
    r"(?:[T ]\s*(\d{1,2})[:.\-](\d{1,2})(?:[:.\-](\d{1,2})(?:[.,](\d+))?)?"
    r"\s*(Z|UTC|[+-]\d{1,2}:?\d{2})?)?",
    re.ASCII | re.IGNORECASE,
)
_OFFSET = re.compile(r"([+-])(\d{1,2}):?(\d{2})", re.ASCII)
_EARLIEST = 1826
"""The year of the oldest photograph that is left. An earlier one is a clock that was not set."""

_NUMBER = r"(\d+(?:\.\d+)?)"
_POSITION = re.compile(rf"{_NUMBER}(?:,{_NUMBER})?(?:,{_NUMBER})?\s*([NSEWnsew])", re.ASCII)


def cleaned(text: str | None) -> str:
    """Without the NULs and blanks that cameras pad a text with."""
    return " ".join((text or "").replace("\0", " ").split())


def parse_time(
    text: str | None, offset: str | None = None, digits: str | None = None
) -> datetime | None:
    """The time in a text such as ``2023:06:01 12:30:45`` or ``2023-06-01T12:30:45.5+02:00``; a date
    alone is its midnight.

    `offset` counts if the text has no zone, and `digits` if it has no fraction of a second. Zeros,
    blanks and impossible dates give None; an impossible zone is left out.
    """
    found = _STAMP.fullmatch(cleaned(text))
    if not found:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    digits = cleaned(digits)
    fraction = found[7] or (digits if digits.isdecimal() and digits.isascii() else "0")
    if year < _EARLIEST or second > 60:
        return None
    micro = int(fraction[:6].ljust(6, "0"))
    try:  # the 60th second is a leap second
        time = datetime(year, month, day, hour, minute, min(second, 59), micro)
    except ValueError:
        return None
    zone = _zone(found[8]) or _zone(offset)
    return time.replace(tzinfo=zone) if zone and found[4] else time


def _zone(text: str | None) -> timezone | None:
    name = cleaned(text).upper()
    if name in ("Z", "UTC"):
        return UTC
    found = _OFFSET.fullmatch(name)
    if not found or int(found[2]) > 14 or int(found[3]) > 59:
        return None
    distance = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(-distance if found[1] == "-" else distance)


def parse_position(text: str | None, signs: str) -> float | None:
    """Degrees in XMP's ``59,54.5N`` or ``59,54,30N``; `signs` are the letters of the halves, the
    positive one first: ``NS`` or ``EW``."""
    found = _POSITION.fullmatch(cleaned(text))
    if not found or found[4].upper() not in signs:
        return None
    parts = [float(part) for part in found.groups()[:3] if part is not None]
    return degrees(parts, negative=found[4].upper() == signs[1], limit=90 if "N" in signs else 180)


def degrees(parts: list[float], *, negative: bool, limit: int) -> float | None:
    """Degrees, and minutes and seconds where they are given, as one number; None for NaN and for
    what no position can be."""
    number, minutes, seconds = (*parts, 0.0, 0.0)[:3]
    value = number + minutes / 60 + seconds / 3600
    # Written so that NaN, the value of a fraction over 0, is refused too.
    if not (number >= 0 and 0 <= minutes <= 60 and 0 <= seconds <= 60 and value <= limit):
        return None
    return -value if negative else value
