"""Sidecars: ``name.txt`` and ``name.json`` beside a picture, its caption and its fields, or what
Google Takeout puts there."""

import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from encoder.errors import TextError
from indexer.content import Said
from indexer.metadata import takeout
from indexer.metadata.fields import field_value
from indexer.metadata.texts import is_unicode

MAX_BYTES = 1 << 20
"""Larger files are no sidecars of a picture."""

_CAPTION, _FIELDS = ENDINGS = (b".txt", b".json")
_CAPTION_NAMES = ("caption", "text")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sidecars:
    """Which sidecars a picture has; at least one."""

    caption: bytes | None
    """Path of the text file, relative to the root."""
    fields: bytes | None
    """Path of the JSON file, relative to the root."""
    stamp: str
    """Another one where any of them came, went or changed."""


def find(picture: bytes, status_of: Callable[[bytes], os.stat_result | None]) -> Sidecars | None:
    """The sidecars of the picture at `picture`; None where it has none.

    ``a.jpg.txt`` comes before ``a.txt``, and names of Takeout in between. `status_of` gives None
    for a path without a regular file.
    """
    stem = os.path.splitext(picture)[0]
    places = {
        _CAPTION: (picture + _CAPTION, stem + _CAPTION),
        _FIELDS: (picture + _FIELDS, *takeout.names(picture), stem + _FIELDS),
    }
    chosen: dict[bytes, bytes] = {}
    stamp = []
    for ending in ENDINGS:
        for place, path in enumerate(places[ending]):
            status = status_of(path)
            if status is not None:
                chosen[ending] = path
                stamp.append(f"{place}{ending.decode()} {status.st_size} {status.st_mtime_ns}")
                break
    if not chosen:
        return None
    return Sidecars(chosen.get(_CAPTION), chosen.get(_FIELDS), ", ".join(stamp))


def read(folder: bytes, sidecars: Sidecars) -> Said:
    """What `sidecars`, relative to `folder`, say. One that cannot be read is logged and ignored.

    The text file is the caption, whole and stripped. Of the JSON object ``caption`` or ``text`` is
    the caption where there is no text file; other numbers, texts and booleans become fields. Of an
    object of Takeout it is what `takeout.said` makes of it.
    """
    said = _read(folder, sidecars.fields, _object) if sidecars.fields else Said()
    text = _read(folder, sidecars.caption, _text) if sidecars.caption else Said()
    return replace(said, caption=text.caption or said.caption)


def _read(folder: bytes, path: bytes, parse: Callable[[str], Said]) -> Said:
    absolute = os.path.join(folder, path)
    try:
        with open(absolute, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise TextError(f"larger than the limit of {MAX_BYTES:,} bytes")
        return parse(data.decode("utf-8-sig"))
    except OSError as error:
        reason = error.strerror or "cannot be read"
    except UnicodeDecodeError as error:
        reason = f"not UTF-8 at byte {error.start}"
    except TextError as error:
        reason = str(error)
    _log.warning("ignored the sidecar %s: %s", os.fsdecode(absolute), reason)
    return Said()


def _text(whole: str) -> Said:
    return Said(whole.strip() or None)


def _object(whole: str) -> Said:
    try:
        values = json.loads(whole)
    except (ValueError, RecursionError):
        raise TextError("not JSON") from None
    if not isinstance(values, dict):
        raise TextError("not a JSON object")
    if takeout.is_takeout(values):
        return takeout.said(values)
    captions = [field_value(values.pop(name, None)) for name in _CAPTION_NAMES]
    named = ((name.strip(), field_value(raw)) for name, raw in values.items() if is_unicode(name))
    return Said(
        next((caption for caption in captions if isinstance(caption, str)), None),
        {name: value for name, value in named if name and value is not None},
    )
