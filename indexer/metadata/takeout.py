"""Sidecars in an export of Google Photos (Takeout): their names and their content.

There is no specification; this module follows the exports of 2020 to 2025.
"""

import os
import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from indexer.content import Description
from indexer.values import kept, kept_of, nfc, number

_SUFFIX = ".supplemental-metadata"  # since 2024; before that, there was no suffix
_LENGTH = 46
_MOST_ALIKE = 9
"""So many pictures, whose long names begin alike, are told apart."""
_NUMBERED = re.compile(r"(.+)(\(\d+\))(\.[^.]*)", re.DOTALL)
_EDITED = re.compile(
    r"(.+)-(edited|effects|smile|mix|collage|animation|bearbeitet|bewerkt|edytowane|modifié"
    r"|modificato|(ha )?editado|editada|editat|redigerad|redigeret|redigert|muokattu|upraveno"
    r"|szerkesztve|düzenlendi|изменено|отредактировано|編集済み|已编辑|已編輯|수정됨)",
    re.DOTALL | re.IGNORECASE,
)
"""What the languages of Google Photos append to the name of an edited copy."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def names(picture: bytes) -> Iterator[bytes]:
    """The paths at which the sidecar of the picture at `picture` may lie, the likeliest first.

    A name is cut to 46 characters; ``.json`` and a number in parentheses do not count. The number
    moves to the end: the sidecar of ``a(1).jpg`` is ``a.jpg.supplemental-metadata(1).json``. Where
    long names begin alike, the later ones get numbers. An edited copy has no sidecar of its own:
    that of ``a.jpg`` counts for ``a-edited.jpg``.
    """
    folder, name = os.path.split(picture)
    for plain in (os.fsdecode(name), *originals(os.fsdecode(name))):
        numbered = _NUMBERED.fullmatch(plain)
        for suffix in (_SUFFIX, ""):
            if numbered:
                stem = (numbered[1] + numbered[3] + suffix)[:_LENGTH] + numbered[2]
                yield os.path.join(folder, os.fsencode(stem + ".json"))
            stem = (plain + suffix)[:_LENGTH]
            yield os.path.join(folder, os.fsencode(stem + ".json"))
            if len(plain) > _LENGTH:
                for more in range(1, _MOST_ALIKE + 1):
                    yield os.path.join(folder, os.fsencode(f"{stem}({more}).json"))


def originals(name: str) -> Iterator[str]:
    """The name of the picture that `name` is an edited copy of; none if it is not one.

    ``a-edited(1).jpg`` is a copy of ``a(1).jpg``.
    """
    numbered = _NUMBERED.fullmatch(name)
    stem, ending = (numbered[1], numbered[2] + numbered[3]) if numbered else os.path.splitext(name)
    if edited := _EDITED.fullmatch(unicodedata.normalize("NFC", stem)):
        yield edited[1] + ending


def is_of(values: Mapping[str, object], picture: bytes) -> bool:
    """Whether the title of a Takeout object is the name of the picture, or of its original."""
    title = values.get("title")
    if not isinstance(title, str):
        return False
    name = os.fsdecode(os.path.basename(picture))
    return nfc(title).casefold() in {nfc(n).casefold() for n in (name, *originals(name))}


def is_takeout(values: Mapping[str, object]) -> bool:
    """Whether a JSON object is a sidecar of Takeout, and not one in this project's own format."""
    return isinstance(values.get("photoTakenTime"), dict)


def description(values: Mapping[str, object]) -> Description:
    """Description, time, place, people and favourite mark of a Takeout object. Values of an
    unexpected form are left out."""
    caption = kept(values.get("description"))
    return Description(
        caption if isinstance(caption, str) else None,
        kept_of({"people": _people(values.get("people")), "favorited": values.get("favorited")}),
        _time(values["photoTakenTime"]),
        _place(values.get("geoData")) or _place(values.get("geoDataExif")),
    )


def _people(raw: object) -> list[str]:
    people = raw if isinstance(raw, list) else []
    named = [one.get("name") for one in people if isinstance(one, dict)]
    return [name for name in named if isinstance(name, str)]


def _time(raw: object) -> datetime | None:
    seconds = number(str(raw.get("timestamp"))) if isinstance(raw, dict) else None
    try:
        return None if seconds is None else _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _place(raw: object) -> tuple[float, float] | None:
    if not isinstance(raw, dict):
        return None
    latitude, longitude = kept(raw.get("latitude")), kept(raw.get("longitude"))
    if not isinstance(latitude, int | float) or not isinstance(longitude, int | float):
        return None
    if (latitude, longitude) == (0, 0) or abs(latitude) > 90 or abs(longitude) > 180:
        return None
    return latitude, longitude
