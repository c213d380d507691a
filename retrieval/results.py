"""Typed answers."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Hit:
    """One answer. `width`, `height` (upright, in pixels) and `taken_at` are None for texts. The
    `text` of a picture is its caption from a sidecar, None if there is none."""

    rank: int
    """1 is the best."""
    score: float
    """Cosine of query and item, in [-1, 1] up to rounding."""
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

    def to_dict(self) -> dict[str, Any]:
        """The hit as JSON values; `similar` is among them only if hits were grouped."""
        values = {
            **self.__dict__,
            "path": str(self.path),
            "taken_at": self.taken_at and self.taken_at.isoformat(),
        }
        if self.similar is None:
            del values["similar"]
        return values


class Results(list[Hit]):
    """Hits, in the order that the search was asked for.

    `degraded` says why the search was slower than it should be, or that damage made it leave items
    out; None when all is well. The hits themselves are right.
    """

    def __init__(self, hits: list[Hit], degraded: str | None = None) -> None:
        super().__init__(hits)
        self.degraded = degraded


class Tagged(dict[str, int]):
    """Pictures that `Engine.tag` gave each label.

    `left` says of how many pictures a person or a sidecar says something under the name of a label.
    It stays, and filters go by it; labels without such pictures are left out.
    """

    def __init__(self, counts: dict[str, int], left: dict[str, int]) -> None:
        super().__init__(counts)
        self.left = left
