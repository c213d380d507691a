"""What happened at every point that was struck, for the table at the end."""

import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass
class Tally:
    """One row of the table. Every problem is a sentence that says where it occurred."""

    fault: str
    operation: str
    points: int = 0
    died: int = 0
    """Workers that were killed."""
    ended: int = 0
    """Workers that ended by themselves."""
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    uncaught: list[str] = field(default_factory=list)

    @contextmanager
    def catching(self, where: object) -> Iterator[None]:
        """Record an exception as a problem instead of raising it."""
        try:
            yield
        except Exception:
            self.uncaught.append(f"{where}: {traceback.format_exc(limit=-4)}")

    def count(self, status: int) -> None:
        """Count a point, and how its worker ended; a negative status is a signal."""
        self.points += 1
        self.died += status < 0
        self.ended += status >= 0

    @property
    def numbers(self) -> list[int]:
        """The numbers of the row, in the order of the columns."""
        found = [len(self.lost), len(self.wrong), len(self.uncaught)]
        return [self.points, self.died, self.ended, *found]

    @property
    def problems(self) -> list[str]:
        """All problems; a test expects []."""
        named = {"lost": self.lost, "wrong": self.wrong, "uncaught": self.uncaught}
        return [f"{name}: {text}" for name, texts in named.items() for text in texts]


def assert_sound(tallies: Iterable[Tally]) -> None:
    """Fail with all problems of the tallies, if there are any."""
    problems = [problem for tally in tallies for problem in tally.problems]
    assert not problems, "\n".join(problems)


def spread(points: Sequence[T], count: int) -> list[T]:
    """`count` of the points, evenly spread."""
    return [points[(2 * n + 1) * len(points) // (2 * count)] for n in range(count)]


HEAD = ("fault", "operation", "points", "died", "ended", "lost", "wrong", "uncaught")


def table(tallies: Iterable[Tally]) -> list[str]:
    """The lines of the table, aligned. Tallies of one fault and operation are added up."""
    sums: dict[tuple[str, str], list[int]] = {}
    for tally in tallies:
        total = sums.setdefault((tally.fault, tally.operation), [0] * 6)
        for n, number in enumerate(tally.numbers):
            total[n] += number
    rows = [HEAD, *((*names, *map(str, numbers)) for names, numbers in sums.items())]
    widths = [max(len(row[n]) for row in rows) for n in range(len(HEAD))]
    return [
        "  ".join(
            cell.ljust(width) if n < 2 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
