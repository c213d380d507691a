"""The eleven basic colours, and the tones in which an object of one colour is drawn."""

import colorsys
import random
from dataclasses import dataclass

from encoder.scenes.canvas import Colour, mix

BASES: dict[str, Colour] = {
    "red": (216, 36, 38),
    "orange": (248, 134, 20),
    "yellow": (252, 212, 36),
    "green": (52, 162, 66),
    "blue": (38, 100, 216),
    "purple": (128, 56, 178),
    "pink": (250, 142, 190),
    "brown": (122, 74, 38),
    "black": (36, 36, 40),
    "white": (248, 248, 246),
    "grey": (140, 144, 150),
}

COLOURS: tuple[str, ...] = tuple(BASES)

_DARK: Colour = (16, 12, 28)
_WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True)
class Tones:
    """The colours of one object: four of its own, and neutral ones for small details."""

    base: Colour
    light: Colour
    dark: Colour
    deep: Colour  # for lines on the object: darker than it, or lighter if it is black
    edge: Colour
    glass: Colour
    ink: Colour = (34, 34, 40)
    pale: Colour = (250, 248, 240)


def tones(colour: str, rng: random.Random) -> Tones:
    """The tones of one of `COLOURS`; ``rng`` chooses the shade."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(part / 255 for part in BASES[colour]))
    hue += rng.uniform(-0.008, 0.008)
    saturation = min(1.0, saturation * rng.uniform(0.9, 1.08))
    value = min(1.0, value * rng.uniform(0.94, 1.06))
    red, green, blue = (
        round(part * 255) for part in colorsys.hsv_to_rgb(hue % 1, saturation, value)
    )
    base = (red, green, blue)
    glass = (206, 230, 242)
    if colour == "black":
        return Tones(
            base=base,
            light=mix(base, _WHITE, 0.16),
            dark=mix(base, _DARK, 0.6),
            deep=mix(base, _WHITE, 0.36),
            edge=(14, 14, 18),
            glass=glass,
            ink=(12, 12, 16),
        )
    if colour == "white":
        return Tones(
            base=base,
            light=_WHITE,
            dark=mix(base, (120, 130, 160), 0.2),
            deep=mix(base, (90, 100, 130), 0.46),
            edge=(104, 110, 128),
            glass=(138, 160, 186),
            pale=(232, 234, 238),
        )
    return Tones(
        base=base,
        light=mix(base, _WHITE, 0.26),
        dark=mix(base, _DARK, 0.17),
        deep=mix(base, _DARK, 0.38),
        edge=mix(base, _DARK, 0.62),
        glass=glass,
    )
