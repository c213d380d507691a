"""The kinds of things: how each is drawn, its extent, and whether it flies."""

from collections.abc import Callable
from functools import cache
from random import Random

from encoder.scenes.canvas import Extent, Pen
from encoder.scenes.colours import COLOURS, Tones, tones
from encoder.scenes.drawings import animals as animals
from encoder.scenes.drawings import home as home
from encoder.scenes.drawings import outdoors as outdoors
from encoder.scenes.drawings import vehicles as vehicles

DRAWINGS: dict[str, Callable[[Pen, Tones], None]] = {
    "aeroplane": vehicles.aeroplane,
    "apple": home.apple,
    "balloon": vehicles.balloon,
    "bicycle": vehicles.bicycle,
    "bird": animals.bird,
    "boat": vehicles.boat,
    "book": home.book,
    "bus": vehicles.bus,
    "butterfly": animals.butterfly,
    "cactus": outdoors.cactus,
    "car": vehicles.car,
    "castle": outdoors.castle,
    "cat": animals.cat,
    "chair": home.chair,
    "clock": home.clock,
    "cup": home.cup,
    "dog": animals.dog,
    "duck": animals.duck,
    "elephant": animals.elephant,
    "fish": animals.fish,
    "flower": outdoors.flower,
    "guitar": home.guitar,
    "hat": home.hat,
    "house": outdoors.house,
    "key": home.key,
    "kite": outdoors.kite,
    "lamp": home.lamp,
    "mushroom": outdoors.mushroom,
    "rabbit": animals.rabbit,
    "rocket": vehicles.rocket,
    "tent": outdoors.tent,
    "train": vehicles.train,
    "tree": outdoors.tree,
    "umbrella": home.umbrella,
}

KINDS: tuple[str, ...] = tuple(DRAWINGS)

FLYING = frozenset({"aeroplane", "balloon", "bird", "butterfly", "kite", "rocket"})
"""Kinds that belong in the sky; the others stand or lie on the ground."""

HELD_OUT: frozenset[tuple[str, str]] = frozenset(
    (COLOURS[i % len(COLOURS)], KINDS[3 * i % len(KINDS)]) for i in range(2 * len(COLOURS))
)
"""(colour, kind) pairs that training never shows: two of each colour, at most one of each kind."""


@cache
def extent(kind: str) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of a kind's drawing in its own coordinates, rounded to 1/1000."""
    reach = Extent()
    DRAWINGS[kind](reach, tones("red", Random(0)))
    left, top = (round(float(value), 3) for value in reach.low)
    right, bottom = (round(float(value), 3) for value in reach.high)
    return left, top, right, bottom
