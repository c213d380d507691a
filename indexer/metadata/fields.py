"""Fields: what sidecars and annotations say of an item beyond its file, by name."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from indexer.metadata.texts import is_unicode
from indexer.records import FieldValue

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Said:
    """What the sidecars of a picture say."""

    caption: str | None = None
    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    taken_at: datetime | None = None
    """For a picture that does not say it itself; so is `place`."""
    place: tuple[float, float] | None = None
    """Degrees, north in [-90, 90] and east in [-180, 180]."""


def number(text: str) -> float | None:
    """The finite number that `text` spells, None for anything else."""
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    return value if math.isfinite(value) else None


def field_value(raw: object) -> FieldValue | None:
    """Numbers and booleans (0 and 1) as float, texts stripped, dates in ISO form; None for what is
    blank, not finite or nested."""
    if isinstance(raw, bool | int | float | Decimal):
        try:
            value = float(raw)
        except OverflowError:
            return None
        return value if math.isfinite(value) else None
    if isinstance(raw, date):
        return raw.isoformat()
    if isinstance(raw, str) and is_unicode(raw):
        return raw.strip() or None
    return None
