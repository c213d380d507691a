"""Typed answers."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Hit:
    """One answer. `width`, `height` (upright, in pixels) and `taken_at` are None for texts; `text`
    of a picture is the caption that a sidecar gives it, None where none does."""

    rank: int
    """1 is the best."""
    score: float
    """Cosine of query and item, in [-1, 1] up to rounding."""
    id: int
    """The item's; never given to another."""
    kind: str
    """``image`` or ``text``."""
    path: Path
    """Absolute; for a text, the file it stands in."""
    text: str | None
    taken_at: datetime | None
    width: int | None
    height: int | None
    similar: int | None = None
    """Near-duplicates that the hit stands for besides itself; None where hits were not grouped."""

    def to_dict(self) -> dict[str, Any]:
        """The hit as JSON values; with `similar` only where hits were grouped."""
        values = {
            **self.__dict__,
            "path": str(self.path),
            "taken_at": self.taken_at and self.taken_at.isoformat(),
        }
        if self.similar is None:
            del values["similar"]
        return values


class Results(list[Hit]):
    """Hits, best first unless another order was asked for.

    `degraded` says why the index could not be used as it was meant to be; None when all is well.
    The hits are right either way.
    """

    def __init__(self, hits: list[Hit], degraded: str | None = None) -> None:
        super().__init__(hits)
        self.degraded = degraded
