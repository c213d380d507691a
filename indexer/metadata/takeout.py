"""Sidecars in an export of Google Photos (Takeout): their names and their content.

There is no specification; this module follows the exports of 2020 to 2025.
"""

import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from indexer.content import Description
from indexer.metadata.fields import field_value, number

_SUFFIX = ".supplemental-metadata"  # since 2024; before that, there was no suffix
_LENGTH = 46
_NUMBERED = re.compile(r"(.+)(\(\d+\))(\.[^.]*)", re.DOTALL)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def names(picture: bytes) -> Iterator[bytes]:
    """The paths at which the sidecar of the picture at `picture` may lie.

    A name is cut to 46 characters; ``.json`` and a number in parentheses do not count. The number
    moves to the end: the sidecar of ``a(1).jpg`` is ``a.jpg.supplemental-metadata(1).json``.
    """
    folder, name = os.path.split(picture)
    plain = os.fsdecode(name)
    numbered = _NUMBERED.fullmatch(plain)
    for suffix in (_SUFFIX, ""):
        if numbered:
            stem = (numbered[1] + numbered[3] + suffix)[:_LENGTH] + numbered[2]
            yield os.path.join(folder, os.fsencode(stem + ".json"))
        yield os.path.join(folder, os.fsencode((plain + suffix)[:_LENGTH] + ".json"))


def is_takeout(values: Mapping[str, object]) -> bool:
    """Whether a JSON object is a sidecar of Takeout, and not one in this project's own format."""
    return isinstance(values.get("photoTakenTime"), dict)


def description(values: Mapping[str, object]) -> Description:
    """Description, time, place, people and favourite mark of a Takeout object. Values of an
    unexpected form are left out."""
    caption = field_value(values.get("description"))
    fields = {"people": _people(values.get("people")), "favorited": values.get("favorited")}
    found = {name: field_value(raw) for name, raw in fields.items()}
    return Description(
        caption if isinstance(caption, str) else None,
        {name: value for name, value in found.items() if value is not None},
        _time(values["photoTakenTime"]),
        _place(values.get("geoData")),
    )


def _people(raw: object) -> str:
    people = raw if isinstance(raw, list) else []
    named = [field_value(one.get("name")) for one in people if isinstance(one, dict)]
    return ", ".join(name for name in named if isinstance(name, str))


def _time(raw: object) -> datetime | None:
    seconds = number(str(raw.get("timestamp"))) if isinstance(raw, dict) else None
    try:
        return None if seconds is None else _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _place(raw: object) -> tuple[float, float] | None:
    if not isinstance(raw, dict):
        return None
    latitude, longitude = field_value(raw.get("latitude")), field_value(raw.get("longitude"))
    if not isinstance(latitude, float) or not isinstance(longitude, float):
        return None
    if (latitude, longitude) == (0, 0) or abs(latitude) > 90 or abs(longitude) > 180:
        return None
    return latitude, longitude
