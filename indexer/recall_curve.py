"""Recall and time of an index by the number of lists that a search looks into, as measured."""

import json
from dataclasses import dataclass
from typing import NamedTuple, Self


class Point(NamedTuple):
    """One measurement."""

    nprobe: int
    recall: float
    """Share in [0, 1] of the ten best items that a search finds, mean over the queries."""
    milliseconds: float
    """Time of one query, median."""


@dataclass(frozen=True)
class RecallCurve:
    """Recall and time by nprobe, ascending."""

    origin: str
    """Where the queries come from, in words."""
    queries: int
    """How many queries were measured."""
    points: tuple[Point, ...]

    def choice(self, target: float) -> Point | None:
        """The point with the smallest nprobe whose recall is at least `target`; None if there is
        none."""
        return next((point for point in self.points if point.recall >= target), None)

    def to_json(self) -> str:
        """The text that the database stores."""
        points = [list(point) for point in self.points]
        return json.dumps({"with": self.origin, "queries": self.queries, "points": points})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The curve that `to_json` wrote."""
        values = json.loads(text)
        points = tuple(Point(*point) for point in values["points"])
        return cls(values["with"], values["queries"], points)
