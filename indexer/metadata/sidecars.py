"""Sidecars: the files ``name.txt``, ``name.json`` and ``name.xmp`` beside a picture give its
caption and its fields. Google Takeout writes its own kind of ``.json`` there."""

import logging
import os
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from encoder.errors import TextError
from encoder.pictures.xmp import read_xmp
from encoder.tables import parse_object
from indexer.content import Description
from indexer.metadata import takeout
from indexer.values import is_unicode, kept_of, nfc

MAX_BYTES = 1 << 20
"""A larger file is not used as a sidecar."""

_CAPTION, _FIELDS, _XMP = ENDINGS = (b".txt", b".json", b".xmp")
_CAPTION_NAMES = ("caption", "text")
_log = logging.getLogger(__name__)

T = TypeVar("T", bound=Description)


@dataclass(frozen=True)
class Sidecars:
    """The sidecars of a picture that has at least one; paths are relative to the root."""

    picture: bytes
    paths: tuple[bytes, ...]
    """One text and one XMP file at most. Of several JSON files, the first that is not another
    picture's counts."""
    stamp: str
    """A change mark: it differs if a sidecar was added, removed or changed."""


def is_sidecar(path: bytes) -> bool:
    """Whether a file may be a sidecar, by its ending."""
    return os.path.splitext(path)[1].lower() in ENDINGS


def folded(path: bytes) -> str:
    """Equal for paths that differ only in case or in the form of their accents."""
    return unicodedata.normalize("NFC", os.fsdecode(path)).casefold()


def find(
    picture: bytes, look_up: Callable[[bytes], tuple[bytes, os.stat_result] | None]
) -> Sidecars | None:
    """The sidecars of the picture at `picture`; None if it has none.

    ``a.jpg.txt`` comes before ``a.txt``, and so with ``.xmp``. ``a.jpg.json`` comes before the
    names of Takeout, and they come before ``a.json``. `look_up` returns the true path, which may
    differ in case, and the status of a regular file; None where there is none.
    """
    stem = os.path.splitext(picture)[0]
    fields = (picture + _FIELDS, *takeout.names(picture), stem + _FIELDS)
    candidates = [(picture + _CAPTION, stem + _CAPTION), fields, (picture + _XMP, stem + _XMP)]
    chosen: dict[bytes, str] = {}
    for ending, paths in zip(ENDINGS, candidates, strict=True):
        for rank, path in enumerate(paths):
            if not (found := look_up(path)) or found[0] in chosen:
                continue
            true, status = found
            chosen[true] = f"{rank}{ending.decode()} {status.st_size} {status.st_mtime_ns}"
            if ending != _FIELDS:
                break
    return Sidecars(picture, tuple(chosen), ", ".join(chosen.values())) if chosen else None


def read(folder: bytes, sidecars: Sidecars) -> Description:
    """What `sidecars`, whose paths are relative to `folder`, say about their picture.

    A sidecar that cannot be read is logged and ignored. A whole text file, stripped, is the
    caption; without one, ``caption`` or ``text`` of the JSON object; then the description in XMP.
    Other numbers, texts, booleans and lists of these in the JSON object become fields; XMP gives
    ``title``, ``tags`` and ``rating``. See `takeout.description` for an object of Takeout, of which
    the title must be the picture's name where there are several.
    """
    described = [
        *_described(folder, sidecars, _CAPTION, _text),
        *_first_of_ours(_described(folder, sidecars, _FIELDS, _object), sidecars.picture),
        *_described(folder, sidecars, _XMP, _xmp),
    ]
    whole = Description()
    for each in described:
        whole = replace(
            whole,
            caption=whole.caption or each.caption,
            fields={**each.fields, **whole.fields},
            taken_at=whole.taken_at or each.taken_at,
            place=whole.place or each.place,
        )
    return whole


def _first_of_ours(found: Iterator["_Titled"], picture: bytes) -> Iterator[Description]:
    """The object that has the picture's name as its title; else the first one."""
    objects = list(found)
    yield from [*(each for each in objects if each.is_of(picture)), *objects][:1]


@dataclass(frozen=True)
class _Titled(Description):
    """What a JSON file says."""

    values: object = None

    def is_of(self, picture: bytes) -> bool:
        return isinstance(self.values, dict) and takeout.is_of(self.values, picture)


def _described(
    folder: bytes, sidecars: Sidecars, ending: bytes, parse: Callable[[bytes], T]
) -> Iterator[T]:
    """What the sidecars with this ending say, one after the other."""
    for path in sidecars.paths:
        if path.lower().endswith(ending):
            described = _read(os.path.join(folder, path), parse)
            if described is not None:
                yield described


def _read(absolute: bytes, parse: Callable[[bytes], T]) -> T | None:
    try:
        with open(absolute, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise TextError(f"larger than the limit of {MAX_BYTES:,} bytes")
        return parse(data)
    except OSError as error:
        reason = error.strerror or "cannot be read"
    except UnicodeDecodeError as error:
        reason = f"not UTF-8 at byte {error.start}"
    except TextError as error:
        reason = str(error)
    _log.warning("ignored the sidecar %s: %s", os.fsdecode(absolute), reason)
    return None


def _text(data: bytes) -> Description:
    return Description(data.decode("utf-8-sig").strip() or None)


def _object(data: bytes) -> _Titled:
    text = data.decode("utf-8-sig")
    try:
        values = parse_object(text)
    except ValueError as error:
        raise TextError(f"it {error}") from None
    if takeout.is_takeout(values):
        said = takeout.description(values)
        return _Titled(said.caption, said.fields, said.taken_at, said.place, values)
    captions = [_stripped(values.pop(name, None)) for name in _CAPTION_NAMES]
    named = {nfc(name.strip()): raw for name, raw in values.items() if is_unicode(name)}
    return _Titled(
        next((caption for caption in captions if caption), None),
        kept_of({name: raw for name, raw in named.items() if name}),
    )


def _stripped(raw: object) -> str | None:
    return raw.strip() if isinstance(raw, str) and is_unicode(raw) else None


def _xmp(data: bytes) -> Description:
    try:
        xmp = read_xmp(data)
    except ValueError as error:
        raise TextError(str(error)) from None
    return Description(
        xmp.description,
        kept_of({"title": xmp.title, "tags": xmp.tags, "rating": xmp.rating}),
        xmp.taken_at,
        None if xmp.latitude is None or xmp.longitude is None else (xmp.latitude, xmp.longitude),
    )
