"""Python functions that the SQL statements of this project call."""

import math
import sqlite3
from collections.abc import Callable
from typing import TypeVar

from indexer.values import compare, is_plain, nfc, nfc_path

T = TypeVar("T")

EARTH_RADIUS = 6371.0088
"""Mean radius in kilometres."""


def great_circle_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Kilometres between two places given in degrees, by the haversine formula."""
    a, b = math.radians(lat1), math.radians(lat2)
    half = math.sin((b - a) / 2) ** 2 + (
        math.cos(a) * math.cos(b) * math.sin(math.radians(lon2 - lon1) / 2) ** 2
    )
    return 2 * EARTH_RADIUS * math.asin(min(1.0, math.sqrt(half)))


def register(connection: sqlite3.Connection) -> None:
    """Make the functions available on a connection."""
    connection.create_function("casefold", 1, _of_text(str.casefold), deterministic=True)
    connection.create_function("nfc", 1, _of_text(nfc), deterministic=True)
    connection.create_function("nfc_path", 1, _nfc_path, deterministic=True)
    connection.create_function("is_plain", 1, _of_text(is_plain), deterministic=True)
    connection.create_function("compare_numbers", 2, compare, deterministic=True)
    connection.create_function("great_circle_km", 4, _great_circle_km, deterministic=True)


def _of_text(function: Callable[[str], T]) -> Callable[[object], T | None]:
    """`function` of texts; None of NULL and of what damage has put there."""
    return lambda text: function(text) if isinstance(text, str) else None


def _nfc_path(path: object) -> bytes | None:
    return nfc_path(path) if isinstance(path, bytes) else None


def _great_circle_km(
    lat1: float | None, lon1: float | None, lat2: float, lon2: float
) -> float | None:
    if lat1 is None or lon1 is None:
        return None
    return great_circle_km(lat1, lon1, lat2, lon2)
