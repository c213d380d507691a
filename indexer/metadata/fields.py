"""Fields: named values that sidecars and annotations give to an item."""

import math
import re
from datetime import date
from decimal import Decimal

from indexer.metadata.texts import is_unicode
from indexer.records import FieldValue, FieldValues

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def number(text: str) -> float | None:
    """The finite number that `text` spells; None for any other text."""
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    return value if math.isfinite(value) else None


def field_value(raw: object) -> FieldValue | None:
    """`raw` as a field stores it: numbers and booleans (0 and 1) as float, texts stripped, dates as
    ISO text. None for a value that is blank, not finite or nested."""
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


def field_values(raw: object) -> FieldValues | None:
    """As `field_value`; of a list the values that can be stored, each once, in their order."""
    if not isinstance(raw, list | tuple):
        return field_value(raw)
    found = tuple(dict.fromkeys(value for each in raw if (value := field_value(each)) is not None))
    return found[0] if len(found) == 1 else found or None
