"""Sidecars: the files ``name.txt`` and ``name.json`` beside a picture give its caption and its
fields. Google Takeout writes its own kind of ``.json`` there."""

import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from encoder.errors import TextError
from indexer.content import Description
from indexer.metadata import takeout
from indexer.metadata.fields import field_value
from indexer.metadata.texts import is_unicode

MAX_BYTES = 1 << 20
"""A larger file is not used as a sidecar."""

_CAPTION, _FIELDS = ENDINGS = (b".txt", b".json")
_CAPTION_NAMES = ("caption", "text")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sidecars:
    """The sidecars of a picture that has at least one."""

    caption: bytes | None
    """Path of the text file, relative to the root."""
    fields: bytes | None
    """Path of the JSON file, relative to the root."""
    stamp: str
    """A change mark: it differs if a sidecar was added, removed or changed."""


def find(picture: bytes, status_of: Callable[[bytes], os.stat_result | None]) -> Sidecars | None:
    """The sidecars of the picture at `picture`; None if it has none.

    ``a.jpg.txt`` comes before ``a.txt``. ``a.jpg.json`` comes before the names of Takeout, and they
    come before ``a.json``. `status_of` returns None for a path without a regular file.
    """
    stem = os.path.splitext(picture)[0]
    candidates = {
        _CAPTION: (picture + _CAPTION, stem + _CAPTION),
        _FIELDS: (picture + _FIELDS, *takeout.names(picture), stem + _FIELDS),
    }
    chosen: dict[bytes, bytes] = {}
    stamp = []
    for ending in ENDINGS:
        for rank, path in enumerate(candidates[ending]):
            status = status_of(path)
            if status is not None:
                chosen[ending] = path
                stamp.append(f"{rank}{ending.decode()} {status.st_size} {status.st_mtime_ns}")
                break
    if not chosen:
        return None
    return Sidecars(chosen.get(_CAPTION), chosen.get(_FIELDS), ", ".join(stamp))


def read(folder: bytes, sidecars: Sidecars) -> Description:
    """What `sidecars`, whose paths are relative to `folder`, say about their picture.

    A sidecar that cannot be read is logged and ignored.

    The whole text file, stripped, is the caption. Without a text file, ``caption`` or ``text`` of
    the JSON object is the caption. Its other numbers, texts and booleans become fields. See
    `takeout.description` for an object of Takeout.
    """
    described = _read(folder, sidecars.fields, _object) if sidecars.fields else Description()
    text = _read(folder, sidecars.caption, _text) if sidecars.caption else Description()
    return replace(described, caption=text.caption or described.caption)


def _read(folder: bytes, path: bytes, parse: Callable[[str], Description]) -> Description:
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
    return Description()


def _text(whole: str) -> Description:
    return Description(whole.strip() or None)


def _object(whole: str) -> Description:
    try:
        values = json.loads(whole)
    except (ValueError, RecursionError):
        raise TextError("not JSON") from None
    if not isinstance(values, dict):
        raise TextError("not a JSON object")
    if takeout.is_takeout(values):
        return takeout.description(values)
    captions = [field_value(values.pop(name, None)) for name in _CAPTION_NAMES]
    named = ((name.strip(), field_value(raw)) for name, raw in values.items() if is_unicode(name))
    return Description(
        next((caption for caption in captions if isinstance(caption, str)), None),
        {name: value for name, value in named if name and value is not None},
    )
