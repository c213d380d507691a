"""Filters: which items a search may return, by their metadata."""

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, Self, SupportsIndex, cast

from encoder.errors import AlignError
from encoder.pictures.picture import FORMATS
from indexer.values import is_moment, is_unicode, nfc, number

Operator = Literal["=", "!=", ">=", "<=", ">", "<", "~"]
"""``~``: the text holds this one, in any case."""

_DATE = re.compile(r"(\d{4})(-\d\d)?(-\d\d)?(T\d\d:\d\d(:\d\d)?)?", re.ASCII)
_FIELD = re.compile(r"([^=<>~]+?)(!=|>=|<=|==|=|>|<|~)(.+)", re.DOTALL)
_MONTH = re.compile(r"\d{4}(-\d\d)?", re.ASCII)
_LONGEST_GLOB = 1000
_LARGEST = 2**31
_ALIASES = {
    "JPG": ("JPEG", "MPO"),
    "JPEG": ("JPEG", "MPO"),
    "HEIC": ("HEIF",),
    "TIF": ("TIFF",),
    "JP2": ("JPEG2000",),
}


class FilterError(AlignError):
    """Wrong usage: a filter in the wrong form, or a filter on a field that no item has."""

    def __init__(self, name: str, value: object, problem: str) -> None:
        super().__init__(f"{name} {value!r} {problem}")


@dataclass(frozen=True)
class Near:
    """At most `km` kilometres from a place, along the earth's surface."""

    latitude: float
    longitude: float
    km: float


@dataclass(frozen=True)
class FieldTest:
    """A comparison with the field `name`; an item without the field never passes."""

    name: str
    operator: Operator
    value: str

    @property
    def number(self) -> int | float | None:
        """`value` as a number, to compare with fields that are numbers; None if it is none."""
        return number(self.value)

    @property
    def moment(self) -> str | None:
        """`value` as the beginning of an ISO date and time, or of a time of day, to compare with
        fields that are such; None if it is none."""
        is_one = _MONTH.fullmatch(self.value) or is_moment(self.value)
        return self.value.replace(" ", "T") if is_one else None

    def __str__(self) -> str:
        return f"{self.name}{self.operator}{self.value}"


@dataclass(frozen=True)
class Filters:
    """Conditions that an item must all meet. None and empty mean no condition.

    What a person writes for one of them, as `parse` describes it, is taken, too, and kept as the
    type that stands here. Raises FilterError, which names the filter and what is wrong with it.
    """

    after: str | None = None
    """Taken at this time or later: the beginning of an ISO time, compared with the local time of
    the picture. Pictures without a capture time never match."""
    before: str | None = None
    """Taken earlier than this time, in the same form."""
    under: bytes | None = None
    """Absolute path of the file, or of a folder that holds it at any depth."""
    glob: bytes | None = None
    """Matches the path relative to its root, or the end of that path after a ``/``. ``*`` stands
    for any characters, also ``/``, ``?`` for one character, ``[a-z]`` and ``[^a-z]`` for one of a
    set. Case matters."""
    camera: str | None = None
    """A part of the camera's name; case does not matter."""
    near: Near | None = None
    min_width: int | None = None
    """Pixels of the upright picture."""
    min_height: int | None = None
    formats: frozenset[str] = frozenset()
    """Pillow's names of formats; one of them must match."""
    fields: tuple[FieldTest, ...] = ()

    def __post_init__(self) -> None:
        for name, parse in _PARSERS.items():
            value: Any = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, parse(name.replace("_", "-"), value))

    @classmethod
    def parse(
        cls,
        *,
        after: str | date | None = None,
        before: str | date | None = None,
        under: str | os.PathLike[str] | None = None,
        glob: str | None = None,
        camera: str | None = None,
        near: str | Iterable[float] | None = None,
        min_width: str | SupportsIndex | None = None,
        min_height: str | SupportsIndex | None = None,
        formats: Iterable[str] | str = (),
        fields: Iterable[str] | str = (),
    ) -> Self:
        """Filters from texts, such as ``after="2024-05"``, ``near="48.86,2.35,10"``,
        ``formats=["jpg"]`` and ``fields=["aesthetic>=5"]``; one text stands for a list of one.

        Dates are ``2024``, ``2024-05``, ``2024-05-01`` or ``2024-05-01T12:30``, or a date or a time
        without a zone of Python. `near` is latitude, longitude and kilometres. A relative `under`
        starts at the current folder. Raises FilterError, which names the filter and what is wrong
        with it.
        """
        given: dict[str, Any] = {
            "after": after,
            "before": before,
            "under": under,
            "glob": glob,
            "camera": camera,
            "near": near,
            "min_width": min_width,
            "min_height": min_height,
            "formats": formats,
            "fields": fields,
        }
        return cls(**given)


def _text(name: str, text: object) -> str:
    """`text` itself, if it is one, is not blank and SQLite can hold it."""
    if not isinstance(text, str):
        raise FilterError(name, text, "is no text")
    if not text.strip():
        raise FilterError(name, text, "is empty")
    if "\0" in text or not is_unicode(text):
        raise FilterError(name, text, "is not a text in UTF-8")
    return text


def _under(name: str, path: object) -> bytes:
    return os.path.abspath(_bytes(name, path))


def _bytes(name: str, text: Any) -> bytes:
    """The bytes of a path; they may be any bytes except NUL."""
    try:
        path = os.fsencode(text)
    except UnicodeEncodeError:
        path = b"\0"
    except TypeError:
        raise FilterError(name, text, "is no text") from None
    if not path.strip() or b"\0" in path:
        raise FilterError(name, text, "is no path" if path else "is empty")
    return path


def _date(name: str, value: object) -> str:
    if isinstance(value, datetime) and value.tzinfo:
        problem = "has a zone: pictures are compared by what the clock showed where they were taken"
        raise FilterError(name, str(value), problem)
    text = value.isoformat()[:19] if isinstance(value, date) else str(value)
    parts = _DATE.fullmatch(text)
    # A time needs a day, and a day needs a month.
    if parts and all(parts[n] or not parts[n + 1] for n in (2, 3)):
        year, month, day, clock = parts.group(1, 2, 3, 4)
        try:
            datetime.fromisoformat(f"{year}{month or '-01'}{day or '-01'}{clock or ''}")
            return text
        except ValueError:
            pass
    raise FilterError(
        name, text, "is no date such as 2024, 2024-05, 2024-05-01 or 2024-05-01T12:30"
    )


def _glob(name: str, glob: object) -> bytes:
    found = _bytes(name, glob)
    text = os.fsdecode(found)
    if len(text) > _LONGEST_GLOB:
        raise FilterError(name, f"{text[:20]}...", f"is longer than {_LONGEST_GLOB:,} characters")
    return found


def _near(name: str, near: Near | Iterable[object] | str) -> Near:
    if isinstance(near, Near):
        near = (near.latitude, near.longitude, near.km)
    several = isinstance(near, Iterable) and not isinstance(near, str | bytes)
    text = ",".join(map(str, near)) if several else str(near)
    numbers = [number(part.strip()) for part in text.split(",")]
    known = [value for value in numbers if value is not None]
    if len(numbers) != 3 or len(known) != 3:
        raise FilterError("near", text, "is not LAT,LON,KM such as 48.86,2.35,10")
    latitude, longitude, km = known
    for name, value, least, most in (
        ("latitude", latitude, -90, 90),
        ("longitude", longitude, -180, 180),
    ):
        if not least <= value <= most:
            raise FilterError("near", text, f"has a {name} outside {least} to {most}: {value:g}")
    if km <= 0:
        raise FilterError("near", text, f"has a distance that is not above 0: {km:g}")
    return Near(latitude, longitude, km)


def _pixels(name: str, value: object) -> int:
    text = str(value).strip()
    if not (text.isascii() and text.isdigit()) or int(text[:20]) > _LARGEST:
        raise FilterError(name, text, f"is no whole number from 0 to {_LARGEST}")
    return int(text)


def _formats(_: str, formats: Iterable[str] | str) -> frozenset[str]:
    several = (formats,) if isinstance(formats, str) else formats
    return frozenset(name for text in several for name in _format(text))


def _format(text: object) -> tuple[str, ...]:
    name = _text("format", text).strip().upper()
    if name in _ALIASES or name in FORMATS:
        return _ALIASES.get(name, (name,))
    known = " ".join(sorted(FORMATS))
    raise FilterError("format", text, f"is not one of {known}")


def _fields(_: str, fields: Iterable[str | FieldTest] | str) -> tuple[FieldTest, ...]:
    several = (fields,) if isinstance(fields, str | FieldTest) else fields
    return tuple(each if isinstance(each, FieldTest) else _field(each) for each in several)


def _field(text: str) -> FieldTest:
    parts = _FIELD.fullmatch(_text("field", text))
    name, value = (parts[1].strip(), parts[3].strip()) if parts else ("", "")
    if not (parts and name and value):
        raise FilterError("field", text, "is not a name, one of = != >= <= > < ~ and a value")
    operator = "=" if parts[2] == "==" else parts[2]
    test = FieldTest(nfc(name), cast(Operator, operator), nfc(value))
    if operator in (">=", "<=", ">", "<") and test.number is None and test.moment is None:
        problem = f"compares with {value!r}, no number and no date: use =, != or ~"
        raise FilterError("field", text, problem)
    return test


_PARSERS: dict[str, Callable[[str, Any], object]] = {
    "after": _date,
    "before": _date,
    "under": _under,
    "glob": _glob,
    "camera": _text,
    "near": _near,
    "min_width": _pixels,
    "min_height": _pixels,
    "formats": _formats,
    "fields": _fields,
}
"""By the name of the filter: from what a person gives to what `Filters` keeps."""
