"""How well an index finds what it should, by how many of its lists a search looks into."""

import json
from dataclasses import dataclass
from typing import NamedTuple, Self


class Point(NamedTuple):
    """One measurement."""

    nprobe: int
    recall: float
    """Share in [0, 1] of the ten best items that are in so many lists, mean over the queries."""
    milliseconds: float
    """Time of one query, median."""
    surely: float
    """The recall for all such queries is above this with a confidence of 95 %."""


class CaseRecall(NamedTuple):
    """What searches of one kind find."""

    among: str
    """Which items they may return, in words."""
    k: int
    recall: float
    """Share in [0, 1] of the k best of these items that are found, mean over the queries."""
    milliseconds: float
    surely: float


@dataclass(frozen=True)
class Probing:
    """Which lists a search looks into."""

    nprobe: int
    """So many in any case, the nearest to the query."""
    missed: float
    """And more, until all others are expected to hold at most this share of k better items."""
    closeness: float
    """Mean product of an item with the centroid of its list."""
    spread: float
    """Standard deviation of the scores of unit queries around what the centroid lets expect."""
    near: int
    """How many lists to look into for near-duplicates of an item."""


EXACT = Probing(1, 0, 1, 1, 1)
"""A flat index is one list."""


@dataclass(frozen=True)
class RecallCurve:
    """What was measured with an index, and what follows from it."""

    origin: str
    """Where the queries come from, in words."""
    queries: int
    """How many queries were measured."""
    points: tuple[Point, ...]
    """The ten best by the number of lists that are looked into, ascending."""
    cases: tuple[CaseRecall, ...]
    """The searches that users make, as `probing` has them; the first two are without a filter."""
    probing: Probing
    """What surely reaches the target at the least cost."""
    trained: tuple[int, int]
    """How many embeddings the lists were trained for, and the nprobe that they needed then."""

    @property
    def lowest(self) -> CaseRecall:
        """The case with the lowest recall."""
        return min(self.cases, key=lambda case: case.recall)

    def to_json(self) -> str:
        """The text that the database stores."""
        return json.dumps(
            {
                "with": self.origin,
                "queries": self.queries,
                "points": self.points,
                "cases": self.cases,
                "missed": self.probing.missed,
                "closeness": self.probing.closeness,
                "spread": self.probing.spread,
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
            cases=tuple(CaseRecall(*case) for case in values["cases"]),
            probing=Probing(
                nprobe,
                values["missed"],
                values["closeness"],
                values["spread"],
                values["near"],
            ),
            trained=(values["trained"][0], values["trained"][1]),
        )
