"""Recall curves and rank histograms as inline SVG. The page that holds the SVG styles it."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from retrieval.evaluation.metrics import recall

Ranks = npt.NDArray[np.int64]

DEEPEST = 100
"""The largest K of a recall curve."""

WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 56, 120, 16, 48
"""Pixels around the plot area of the curves."""
ROW = 26
_HALF = 14
"""Smallest distance between two labels, in pixels."""


def curve(ranks: Ranks, deepest: int) -> list[tuple[int, float]]:
    """(K, recall@K) for K = 1 ... `deepest`; recall in [0, 1]."""
    return [(k, recall(ranks, k)) for k in range(1, deepest + 1)]


def depth(all_ranks: Sequence[Ranks]) -> int:
    """The largest K of the curves: DEEPEST, or less if all curves reach 1 before; at least 10."""
    return min(DEEPEST, max(10, *(int(ranks.max()) for ranks in all_ranks)))


def bins(worst: int) -> list[tuple[int, int]]:
    """First and last rank of each bin, both included: 1, 2-5, 6-10, 11-50, 51-100 and so on. The
    last bin holds `worst`."""
    found, first, last = [(1, 1)], 1, 1
    while last < worst:
        first, last = last + 1, last * 5 if len(found) % 2 else last * 2
        found.append((first, last))
    return found


def histogram(ranks: Ranks, edges: Sequence[tuple[int, int]]) -> list[int]:
    """How many of `ranks` are in each bin of `edges`."""
    return [int(((first <= ranks) & (ranks <= last)).sum()) for first, last in edges]


def recall_curves(sides: Mapping[str, Ranks]) -> str:
    """An SVG of recall@K over K, one curve for each of `sides`. The K axis is logarithmic."""
    end = depth(list(sides.values()))

    def x(k: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(k) / math.log(end)

    def y(share: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)

    parts = []
    for percent in range(0, 101, 20):
        at = y(percent / 100)
        parts.append(_line(LEFT, at, WIDTH - RIGHT, at, "grid"))
        parts.append(_text(LEFT - 8, at + 4, f"{percent}", "tick end"))
    for k in _ticks(end):
        parts.append(_line(x(k), HEIGHT - BOTTOM, x(k), HEIGHT - BOTTOM + 5, "axis"))
        parts.append(_text(x(k), HEIGHT - BOTTOM + 20, f"{k}", "tick middle"))
    parts.append(_line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "axis"))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(_text(middle, HEIGHT - 8, "K, answers looked at (log scale)", "label middle"))
    turned = f'transform="rotate(-90 14 {(TOP + HEIGHT - BOTTOM) / 2:.1f})"'
    parts.append(
        _text(14, (TOP + HEIGHT - BOTTOM) / 2, "recall@K, % of queries", "label middle", turned)
    )

    heights = _apart([y(recall(ranks, end)) for ranks in sides.values()])
    for i, (name, ranks) in enumerate(sides.items()):
        points = curve(ranks, end)
        path = " ".join(f"{x(k):.2f},{y(share):.3f}" for k, share in points)
        parts.append(f'<polyline class="line s{i}" points="{path}"/>')
        for k, share in points:
            if k in _ticks(end):
                parts.append(
                    f'<circle class="dot s{i}" cx="{x(k):.2f}" cy="{y(share):.3f}" r="4">'
                    f"<title>{name}: recall@{k} = {100 * share:.2f} %</title></circle>"
                )
        parts.append(_text(WIDTH - RIGHT + 10, heights[i] + 4, name, f"name s{i}"))
    told = "Recall at K for K from 1 to " + str(end)
    return _svg(WIDTH, HEIGHT, told, parts)


def rank_histogram(name: str, unit: str, ranks: Ranks, side: int) -> str:
    """An SVG of how many queries have which rank, one bar for each bin. `side` is the colour."""
    edges = bins(int(ranks.max()))
    counts = histogram(ranks, edges)
    left, width, top = 104, 420, 8
    room = width - left - 118
    parts = []
    for i, ((first, last), count) in enumerate(zip(edges, counts, strict=True)):
        at = top + i * ROW
        label = f"{first:,}" if first == last else f"{first:,}\N{EN DASH}{last:,}"
        long = room * count / max(counts)
        parts.append(_text(left - 8, at + 17, label, "tick end"))
        parts.append(
            f'<rect class="bar s{side}" x="{left}" y="{at + 3}" width="{long:.2f}"'
            f' height="{ROW - 6}" data-count="{count}"/>'
        )
        share = 100 * count / len(ranks)
        parts.append(_text(left + long + 6, at + 17, f"{count:,} ({share:.1f} %)", "tick"))
    bottom = top + len(edges) * ROW
    parts.append(_line(left, top, left, bottom, "axis"))
    parts.append(_text(left, bottom + 20, f"{unit} by rank of the first right answer", "label"))
    return _svg(width, bottom + 30, f"Histogram of ranks, {name}", parts)


def _ticks(end: int) -> list[int]:
    return [k for k in (1, 2, 5, 10, 20, 50, 100) if k <= end]


def _apart(heights: Sequence[float]) -> list[float]:
    """The heights of at most two labels, moved apart if the labels would overlap."""
    if len(heights) < 2 or abs(heights[0] - heights[1]) >= _HALF:
        return list(heights)
    middle, sign = sum(heights) / 2, 1 if heights[0] > heights[1] else -1
    return [middle + sign * _HALF / 2, middle - sign * _HALF / 2]


def _svg(width: int, height: float, told: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height:g}" style="max-width:{width}px" role="img"'
        f' aria-label="{told}">{"".join(parts)}</svg>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, kind: str, more: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}"{" " * bool(more)}{more}>{text}</text>'
