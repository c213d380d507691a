"""The values of fields: what tables, sidecars and people write, and how the database keeps it."""

import math
import os
import re
import unicodedata
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Literal, NamedTuple, Self

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_PLAIN = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?", re.ASCII)
_ZONE = r"(Z|[+-]\d\d:\d\d(:\d\d)?)?"
_ZONED = re.compile(r":.*(Z|[+-]\d\d:\d\d(:\d\d)?)$", re.ASCII)
_CLOCK = rf"\d\d:\d\d(:\d\d(\.\d+)?)?{_ZONE}"
_MOMENT = re.compile(rf"\d{{4}}-\d\d-\d\d([T ]{_CLOCK})?|{_CLOCK}", re.ASCII)
_NO_NUMBERS = frozenset(
    {"nan", "NaN", "NAN", "inf", "-inf", "Inf", "-Inf", "Infinity", "-Infinity"}
)
_TRUTH = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_UNKEPT = {"dict": "an object", "list": "a list in a list", "bytes": "bytes"}
_INT64 = 2**63


class Spelled(float):
    """A number and how a table spells it, where Python would spell it otherwise: ``4.50``."""

    spelling: str

    def __new__(cls, number: float, spelling: str) -> Self:
        """`number` as `spelling` has it."""
        new = super().__new__(cls, number)
        new.spelling = spelling
        return new

    # `float` has one argument, this class has two.
    def __getnewargs__(self) -> tuple[float, str]:  # type: ignore[override]
        return float(self), self.spelling

    def __str__(self) -> str:
        return self.spelling


FieldValue = bool | int | float | str
"""Dates and times are texts in ISO 8601."""

FieldValues = FieldValue | tuple[FieldValue, ...]
"""One value, or several in their order."""


class Unkept(ValueError):
    """A field cannot keep a value; the message says what it is."""


def is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold `text`. JSON can spell half a surrogate pair, which UTF-8 cannot
    hold."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def nfc(text: str) -> str:
    """`text` with its accents composed, so that texts which look alike are equal."""
    return unicodedata.normalize("NFC", text)


def nfc_path(path: bytes) -> bytes:
    """As `nfc`, of a path in any bytes."""
    return path if path.isascii() else os.fsencode(nfc(os.fsdecode(path)))


def number(text: str) -> int | float | None:
    """The finite number that `text` spells, exact if it is whole; None for any other text."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    if not math.isfinite(value):
        return _whole(text)
    return int(value) if value.is_integer() and abs(value) < 2**53 else _whole(text) or value


def _whole(text: str) -> int | None:
    """The exact value of a large whole number without an exponent."""
    digits = text.partition(".")
    if not re.fullmatch(r"[+-]?\d{1,4000}", digits[0], re.ASCII) or digits[2].strip("0"):
        return None
    return int(digits[0])


def is_plain(text: str) -> bool:
    """Whether a number is spelled as people do, without leading zeros and exponents. Only such
    spellings are compared as numbers by ``=``: 4.5 is 4.50, but 02134 is not 2134."""
    return _PLAIN.fullmatch(text) is not None


def truth(text: str) -> bool | None:
    """The value of ``true``, ``True``, ``TRUE`` and of the same for false; None for other texts."""
    return _TRUTH.get(text)


def is_moment(text: str) -> bool:
    """Whether `text` is a day, a time of day, or both, in the extended form of ISO 8601."""
    if not _MOMENT.fullmatch(text):
        return False
    try:
        (time if text[2] == ":" else datetime).fromisoformat(text)
    except ValueError:
        return False
    return True


def has_zone(moment: str) -> bool:
    """Whether a moment says how its clock differs from UTC."""
    return _ZONED.search(moment) is not None


def cell(text: str) -> FieldValue | None:
    """What a cell of a table without types says; None for a blank one and for no number (NaN) or
    an infinite one. Numbers keep their spelling; one that is not plain stays a text."""
    text = text.strip()
    if not text or text in _NO_NUMBERS:
        return None
    if (said := truth(text)) is not None:
        return said
    if not is_plain(text) or len(text) > 4000:
        return text
    if "." not in text:
        return int(text)
    value = float(text)
    if not math.isfinite(value):
        return text
    return value if repr(value) == text else Spelled(value, text)


def field_value(raw: object) -> FieldValue | None:
    """`raw`, of JSON or Parquet, as a field keeps it: texts stripped, dates and times as ISO texts,
    durations in seconds. None for a blank text and for no number (NaN) or an infinite one. Raises
    Unkept for anything else."""
    if isinstance(raw, Unkept):
        raise raw
    if raw is None or isinstance(raw, bool | int):
        return raw
    if isinstance(raw, Decimal):
        return cell(format(raw, "f")) if raw.is_finite() else None
    if isinstance(raw, float):
        return raw if math.isfinite(raw) else None
    if isinstance(raw, date | time):
        return raw.isoformat()
    if isinstance(raw, timedelta):
        return raw.total_seconds()
    if not isinstance(raw, str):
        raise Unkept(_UNKEPT.get(type(raw).__name__, f"of the type {type(raw).__name__}"))
    if not is_unicode(raw):
        raise Unkept("half a character")
    return raw.strip() or None


def field_values(raw: object) -> FieldValues | None:
    """As `field_value`; of a list all values, each once, in their order."""
    if not isinstance(raw, list | tuple):
        return field_value(raw)
    found: dict[tuple[type, FieldValue], FieldValue] = {}
    for each in raw:
        if (value := field_value(each)) is not None:
            found.setdefault((type(value), value), value)
    values = tuple(found.values())
    return values[0] if len(values) == 1 else values or None


def kept(raw: object) -> FieldValues | None:
    """As `field_values`, without what a field cannot keep."""

    def is_kept(each: object) -> bool:
        try:
            return field_value(each) is not None
        except Unkept:
            return False

    if isinstance(raw, list | tuple):
        return field_values([each for each in raw if is_kept(each)])
    return field_value(raw) if is_kept(raw) else None


def kept_of(named: Mapping[str, object]) -> dict[str, FieldValues]:
    """As `kept`, of several named values; names without a value are left out."""
    found = {name: kept(raw) for name, raw in named.items()}
    return {name: value for name, value in found.items() if value is not None}


class Columns(NamedTuple):
    """A value in the database; see docs/library-format.md."""

    type: Literal["number", "integer", "truth", "text", "date"]
    number: int | float | None
    """For a text the number that it spells; of a larger one than SQLite's integers the nearest."""
    text: str | None


def columns(value: FieldValue) -> Columns:
    """How the database keeps `value`."""
    if isinstance(value, bool):
        return Columns("truth", int(value), None)
    if isinstance(value, int):
        kept = _stored(value)
        return Columns("integer", kept, None if isinstance(kept, int) else str(value))
    if isinstance(value, float):
        return Columns("number", float(value), getattr(value, "spelling", None))
    if is_moment(value):
        return Columns("date", None, value)
    return Columns("text", _stored(number(value)), value)


def value(type: str, number: int | float | None, text: str | None) -> FieldValue:
    """The value that the database keeps as `columns` says. Raises TypeError and ValueError for what
    no value is kept as."""
    if type == "truth":
        return bool(number)
    if type == "integer" and text is not None:
        return int(text)
    if type in ("integer", "number"):
        if number is None:
            raise TypeError("a field has no number")
        if type == "integer":
            return int(number)
        return float(number) if text is None else Spelled(number, text)
    if not isinstance(text, str):
        raise TypeError("a field has no text")
    return text


def _stored(value: int | float | None) -> int | float | None:
    """The nearest number that SQLite can hold."""
    if value is None or isinstance(value, float) or -_INT64 <= value < _INT64:
        return value
    try:
        return float(value)
    except OverflowError:
        return None


def bound(value: int | float) -> int | float:
    """`value` as a parameter to compare with what `columns` keeps, which see `compare` for."""
    stored = _stored(value)
    return math.copysign(math.inf, value) if stored is None else stored


def is_exact(value: int | float) -> bool:
    """Whether SQLite compares `value` exactly with every number that it keeps."""
    return isinstance(value, float) or -_INT64 <= value < _INT64


def compare(text: object, other: str) -> int | None:
    """-1, 0 or 1, as the number that `text` spells is below, equal to or above that of `other`,
    whatever their sizes; None if one of them spells none."""
    try:
        a, b = Decimal(str(text)), Decimal(other)
    except InvalidOperation:
        return None
    return (a > b) - (a < b)
