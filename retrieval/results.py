"""Typed answers."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import isnan
from pathlib import Path
from typing import Any, Self

from indexer import FieldValues, Item, is_unicode


def json_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` as JSON holds them, paths and dates as texts. Beside a text that is not UTF-8, such
    as some file names, ``NAME_bytes`` holds its bytes in base64."""
    plain: dict[str, Any] = {}
    for name, value in values.items():
        plain[name], data = _plain(value)
        if data is not None:
            plain[f"{name}_bytes"] = data
    return plain


def _plain(value: Any) -> tuple[Any, Any]:
    """`value` as JSON holds it, and its bytes in base64 if that does not hold all of it."""
    if isinstance(value, Mapping):
        return json_values(value), None
    if isinstance(value, list | tuple):
        pairs = [_plain(each) for each in value]
        lost = any(data is not None for _, data in pairs)
        return [plain for plain, _ in pairs], [data for _, data in pairs] if lost else None
    if isinstance(value, datetime):
        return value.isoformat(), None
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, str) and not is_unicode(value):
        data = value.encode("utf-8", "surrogateescape")
        return data.decode(errors="replace"), base64.b64encode(data).decode()
    return value, None


@dataclass(frozen=True)
class Hit:
    """One answer. `width`, `height` (upright, in pixels) and `taken_at` are None for texts. The
    `text` of a picture is its caption from a sidecar, None if there is none."""

    rank: int
    """1 is the best."""
    score: float
    """Cosine of query and item, in [-1, 1] up to rounding; NaN if nothing was asked but filters."""
    id: int
    """The item's id, which no other item ever gets."""
    kind: str
    """``image`` or ``text``."""
    path: Path
    """Absolute; for a text, the file that holds it."""
    text: str | None
    taken_at: datetime | None
    width: int | None
    height: int | None
    similar: int | None = None
    """How many near-duplicates the hit also stands for; None if hits were not grouped."""
    format: str | None = None
    camera: str | None = None
    lens: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    fields: Mapping[str, FieldValues] = field(default_factory=dict)

    @classmethod
    def of(cls, item: Item, rank: int, score: float, similar: int | None = None) -> Self:
        """The hit that `item` is."""
        names = cls.__dataclass_fields__
        known = {name: getattr(item, name) for name in names if hasattr(item, name)}
        return cls(**known, rank=rank, score=score, similar=similar)

    def to_dict(self, *, full: bool = False) -> dict[str, Any]:
        """The hit as JSON values; `similar` is among them only if hits were grouped, and the
        metadata from `format` to `fields` only with `full`."""
        values = {
            name: value
            for name, value in self.__dict__.items()
            if (full or name not in _FULL) and (name != "similar" or value is not None)
        }
        return json_values({**values, "score": None if isnan(self.score) else self.score})


_FULL = ("format", "camera", "lens", "latitude", "longitude", "fields")


class Results(list[Hit]):
    """Hits, in the order that the search was asked for.

    `degraded` says why the search was slower than it should be, or that damage made it leave items
    out; None when all is well. The hits themselves are right.
    """

    def __init__(self, hits: list[Hit], degraded: str | None = None) -> None:
        super().__init__(hits)
        self.degraded = degraded

    def _repr_html_(self) -> str:
        """A table with thumbnails, which notebooks show."""
        from retrieval.contact_sheet import notebook_table

        return notebook_table(self)


class Tagged(dict[str, int]):
    """Pictures that `Engine.tag` gave each label.

    `left` says of how many pictures a person or a sidecar says something under the name of a label.
    It stays, and filters go by it; labels without such pictures are left out.
    """

    def __init__(self, counts: dict[str, int], left: dict[str, int]) -> None:
        super().__init__(counts)
        self.left = left
