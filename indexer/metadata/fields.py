"""Fields: what sidecars and annotations say of an item beyond its file, by name."""

import math
import re
from datetime import date
from decimal import Decimal

from indexer.metadata.texts import is_unicode
from indexer.records import FieldValue

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


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
