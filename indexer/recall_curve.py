"""How well an index finds what it should, by how many of its lists a search looks into."""

import json
import math
from dataclasses import dataclass
from typing import NamedTuple, Self


class Point(NamedTuple):
    """One measurement."""

    nprobe: int
    recall: float
    """Share in [0, 1] of the k best items that a search finds, mean over the queries."""
    milliseconds: float
    """Time of one query, median."""
    surely: float
    """The recall for all such queries is above this with a confidence of 95 %."""


class FilterRecall(NamedTuple):
    """One measurement of searches that may return only some of the items."""

    filter: str
    """Which items, in words."""
    k: int
    recall: float
    milliseconds: float
    surely: float


@dataclass(frozen=True)
class Probing:
    """How many lists a search looks into."""

    nprobe: int
    """For the 10 best items or fewer."""
    nprobe_100: int
    """For the 100 best."""
    growth: int
    """A search with a filter goes on until so many times as many lists bring nothing better."""
    near: int
    """To find near-duplicates of an item."""

    def lists(self, k: int) -> int:
        """For the k best: between 10 and 100 by a power of k, above in proportion to k."""
        if k <= 10:
            return self.nprobe
        if k >= 100:
            return math.ceil(self.nprobe_100 * k / 100)
        between: float = (self.nprobe_100 / self.nprobe) ** math.log10(k / 10)
        return math.ceil(self.nprobe * between)


EXACT = Probing(1, 1, 1, 1)
"""A flat index is one list."""


@dataclass(frozen=True)
class RecallCurve:
    """What was measured with an index, and what follows from it."""

    origin: str
    """Where the queries come from, in words."""
    queries: int
    """How many queries were measured."""
    points: tuple[Point, ...]
    """Among the 10 best items, without a filter; by nprobe, ascending."""
    points_100: tuple[Point, ...]
    """Among the 100 best."""
    filtered: tuple[FilterRecall, ...]
    """With filters, at the `growth` of `probing`."""
    probing: Probing
    """The fewest lists that surely reach the target; all lists if none do."""
    trained: tuple[int, int]
    """How many embeddings the lists were trained for, and the nprobe that they needed then."""

    @property
    def chosen(self) -> tuple[Point, Point]:
        """The points of `probing`, for the 10 and for the 100 best."""
        ten = next(p for p in self.points if p.nprobe == self.probing.nprobe)
        hundred = next(p for p in self.points_100 if p.nprobe == self.probing.nprobe_100)
        return ten, hundred

    @property
    def lowest(self) -> float:
        """The lowest recall that was measured."""
        without = (point.recall for point in self.chosen)
        return min(*without, *(each.recall for each in self.filtered))

    def to_json(self) -> str:
        """The text that the database stores."""
        return json.dumps(
            {
                "with": self.origin,
                "queries": self.queries,
                "points": self.points,
                "points_100": self.points_100,
                "filtered": self.filtered,
                "nprobe_100": self.probing.nprobe_100,
                "growth": self.probing.growth,
                "near": self.probing.near,
                "trained": self.trained,
            }
        )

    @classmethod
    def from_json(cls, text: str, nprobe: int) -> Self:
        """The curve that `to_json` wrote; `nprobe` is not in it, but beside it in the database."""
        values = json.loads(text)
        return cls(
            origin=values["with"],
            queries=values["queries"],
            points=tuple(Point(*point) for point in values["points"]),
            points_100=tuple(Point(*point) for point in values["points_100"]),
            filtered=tuple(FilterRecall(*each) for each in values["filtered"]),
            probing=Probing(nprobe, values["nprobe_100"], values["growth"], values["near"]),
            trained=(values["trained"][0], values["trained"][1]),
        )
