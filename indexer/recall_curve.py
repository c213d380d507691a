"""What was measured of an index: recall and time by the number of lists looked into."""

import json
from dataclasses import dataclass
from typing import NamedTuple, Self


class Point(NamedTuple):
    """One measurement."""

    nprobe: int
    recall: float
    """Share in [0, 1] of the exact ten best that a search finds, mean over the queries."""
    milliseconds: float
    """A query, median."""


@dataclass(frozen=True)
class RecallCurve:
    """Recall and time by nprobe, ascending."""

    origin: str
    queries: int
    points: tuple[Point, ...]

    def choice(self, target: float) -> Point | None:
        """The point of the smallest nprobe whose recall is at least `target`; None without one."""
        return next((point for point in self.points if point.recall >= target), None)

    def to_json(self) -> str:
        """As it is stored."""
        points = [list(point) for point in self.points]
        return json.dumps({"with": self.origin, "queries": self.queries, "points": points})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote."""
        values = json.loads(text)
        points = tuple(Point(*point) for point in values["points"])
        return cls(values["with"], values["queries"], points)
