"""Which things a scene shows, and where: in unit coordinates with y pointing down."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from encoder.scenes.colours import COLOURS
from encoder.scenes.things import FLYING, HELD_OUT, KINDS, extent

Size = Literal["small", "medium", "large"]
Side = Literal["left", "right", "above", "below"]
Pairs = Literal["seen", "held-out", "any"]

HORIZON = 0.45
GAP = 0.03
"""The smallest free space between two things along the axis of their relation."""

_PLAIN = 1.4
"""In a plain relation, two centres are this many times farther apart along its axis than across."""

_MARGIN = 0.035
_TRIES = 160
_REACH: dict[Size, tuple[float, float]] = {
    "small": (0.17, 0.2),
    "medium": (0.28, 0.32),
    "large": (0.44, 0.5),
}
_CROWD = {1: 1.0, 2: 0.88, 3: 0.8}


@dataclass(frozen=True)
class Box:
    """An upright rectangle of the picture: 0 <= left < right <= 1 and 0 <= top < bottom <= 1."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def centre(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


@dataclass(frozen=True)
class Item:
    """One drawn object: its centre, its scale (picture per drawing unit), turn and facing."""

    x: float
    y: float
    scale: float
    stretch: float
    tilt: float
    flip: bool


@dataclass(frozen=True)
class Thing:
    """``count`` objects of one kind and colour; ``box`` encloses all ``items``."""

    kind: str
    colour: str
    count: int
    size: Size
    box: Box
    items: tuple[Item, ...]


def relation(thing: Thing, other: Thing) -> Side | None:
    """Where ``thing`` is as seen from ``other``; None if the picture does not clearly show it."""
    a, b = thing.box, other.box
    across = max(b.left - a.right, a.left - b.right)
    along = max(b.top - a.bottom, a.top - b.bottom)
    dx, dy = (p - q for p, q in zip(a.centre, b.centre, strict=True))
    if across >= GAP and abs(dx) > _PLAIN * abs(dy):
        return "left" if dx < 0 else "right"
    if along >= GAP and abs(dy) > _PLAIN * abs(dx):
        return "above" if dy < 0 else "below"
    return None


def sample_things(rng: Random, pairs: Pairs) -> tuple[Thing, ...]:
    """One to three things of different kinds, each with a plain relation to the first."""
    number = rng.choices((1, 2, 3), (0.25, 0.45, 0.3))[0]
    chosen = _sample_pairs(rng, pairs, number)
    while True:
        dreamy = rng.random() < 0.12
        sizes = [_sample_size(rng) for _ in chosen]
        counts = [_sample_count(rng, size) for size in sizes]
        unplaced = [
            _thing(rng, kind, colour, count, size)
            for (colour, kind), count, size in zip(chosen, counts, sizes, strict=True)
        ]
        for attempt in range(_TRIES):
            grounded = not dreamy and attempt < _TRIES * 3 // 4
            placed = [_place(rng, thing, grounded) for thing in unplaced]
            if _clear(placed):
                return tuple(placed)


def _sample_pairs(rng: Random, pairs: Pairs, number: int) -> list[tuple[str, str]]:
    chosen: list[tuple[str, str]] = []
    while len(chosen) < number:
        pair = (rng.choice(COLOURS), rng.choice(KINDS))
        if pairs == "held-out" and not chosen:
            pair = rng.choice(sorted(HELD_OUT))
        elif pairs == "seen" and pair in HELD_OUT:
            continue
        if all(pair[1] != kind for _, kind in chosen):
            chosen.append(pair)
    return chosen


def _sample_size(rng: Random) -> Size:
    sizes: tuple[Size, ...] = ("small", "medium", "large")
    return rng.choices(sizes, (0.27, 0.43, 0.3))[0]


def _sample_count(rng: Random, size: Size) -> int:
    count = rng.choices((1, 2, 3), (0.68, 0.18, 0.14))[0]
    return min(count, 2) if size == "large" else count


def _thing(rng: Random, kind: str, colour: str, count: int, size: Size) -> Thing:
    """The thing by itself; its box starts at (0, 0)."""
    left, top, right, bottom = extent(kind)
    width, height = right - left, bottom - top
    shape = max(width, height) / min(width, height)
    reach = rng.uniform(*_REACH[size]) * _CROWD[count] * shape**0.25
    flip = rng.random() < 0.5
    stacked = count > 1 and width > 1.5 * height
    loose = 9.0 if kind in FLYING else 4.0
    cells: list[tuple[float, float, Item]] = []
    for _ in range(count):
        scale = reach / max(width, height) * rng.uniform(0.96, 1.0)
        stretch = rng.uniform(0.95, 1.06)
        tilt = rng.uniform(-loose, loose)
        facing = flip if rng.random() < 0.8 else not flip
        w, h = width * scale * stretch, height * scale
        c, s = abs(math.cos(math.radians(tilt))), abs(math.sin(math.radians(tilt)))
        cells.append((w * c + h * s, h * c + w * s, Item(0, 0, scale, stretch, tilt, facing)))
    items: list[Item] = []
    start = 0.0
    for w, h, item in cells:
        # Placed along a row or pile with a gap between, and a little off its line.
        sway = rng.uniform(0.0, 0.12) * (w if stacked else h) if count > 1 else 0.0
        x, y = (sway, start) if stacked else (start, sway)
        start += (h if stacked else w) + 0.022
        items.append(_moved(item, round(x + w / 2, 4), round(y + h / 2, 4)))
    far_x = max(item.x + w / 2 for item, (w, _, _) in zip(items, cells, strict=True))
    far_y = max(item.y + h / 2 for item, (_, h, _) in zip(items, cells, strict=True))
    box = Box(0.0, 0.0, round(far_x, 4), round(far_y, 4))
    return Thing(kind, colour, count, size, box, tuple(items))


def _moved(item: Item, dx: float, dy: float) -> Item:
    x, y = round(item.x + dx, 4), round(item.y + dy, 4)
    scale, stretch, tilt = round(item.scale, 4), round(item.stretch, 4), round(item.tilt, 2)
    return Item(x, y, scale, stretch, tilt, item.flip)


def _place(rng: Random, thing: Thing, grounded: bool) -> Thing:
    """The thing somewhere in the picture; ``grounded`` keeps ground and sky apart."""
    width, height = thing.box.right, thing.box.bottom
    low, high = _MARGIN, 1 - _MARGIN - height
    if grounded and thing.kind in FLYING:
        high = min(high, max(low, 0.62 - height))
    elif grounded:
        low = max(low, min(high, HORIZON + 0.08 - height))
    x = rng.uniform(_MARGIN, max(_MARGIN, 1 - _MARGIN - width))
    y = rng.uniform(min(low, high), max(low, high))
    x, y = round(x, 4), round(y, 4)
    box = Box(x, y, round(x + width, 4), round(y + height, 4))
    items = tuple(_moved(item, x, y) for item in thing.items)
    return Thing(thing.kind, thing.colour, thing.count, thing.size, box, items)


def _clear(things: Sequence[Thing]) -> bool:
    boxes = [thing.box for thing in things]
    inside = all(box.right <= 0.99 and box.bottom <= 0.99 for box in boxes)
    apart = all(
        max(b.left - a.right, a.left - b.right, b.top - a.bottom, a.top - b.bottom) >= GAP
        for i, a in enumerate(boxes)
        for b in boxes[:i]
    )
    return inside and apart and all(relation(thing, things[0]) for thing in things[1:])
