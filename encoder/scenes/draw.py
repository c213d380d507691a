"""Draw a background and things as one picture."""

import math
from collections.abc import Sequence
from random import Random

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from encoder.scenes.backgrounds import paint
from encoder.scenes.canvas import Affine, Pen
from encoder.scenes.colours import Tones, tones
from encoder.scenes.layout import Item, Thing
from encoder.scenes.things import DRAWINGS, extent

_EDGE = 0.0065
_GLOW = 0.02
_RIM = [round(min(255, value * 2.4) * 0.62) for value in range(256)]
_SHADE = [round(value * 0.38) for value in range(256)]
_DIM = frozenset({"night", "sunset", "forest"})
_FALL = Image.linear_gradient("L").point([round(max(0, value - 90) * 0.22) for value in range(256)])


def draw(seed: int, background: str, things: Sequence[Thing], size: int) -> Image.Image:
    """The scene as a ``size`` x ``size`` RGB picture; only its grain depends on the size."""
    rng = Random(f"pixels {seed}")
    fine = 3 if size <= 400 else 2
    canvas = paint(background, size * fine, rng)
    for thing in things:
        shades = tones(thing.colour, rng)
        lit = (background in _DIM and thing.colour != "white") or thing.colour == "black"
        _add(canvas, thing, shades, lit)
    return _grainy(canvas.reduce(fine), seed)


def _add(canvas: Image.Image, thing: Thing, shades: Tones, lit: bool) -> None:
    """Draw a thing with its edge, and around it a glow (``lit``) or a soft shadow."""
    side = canvas.width
    margin = 3 * _GLOW
    left, top = (math.floor((v - margin) * side) for v in (thing.box.left, thing.box.top))
    right, bottom = (math.ceil((v + margin) * side) for v in (thing.box.right, thing.box.bottom))
    tile = Image.new("RGBA", (right - left, bottom - top))
    drawing = ImageDraw.Draw(tile)
    for item in thing.items:
        DRAWINGS[thing.kind](Pen(drawing, _affine(thing.kind, item, side, left, top)), shades)
    shape = tile.getchannel("A")
    around = shape.filter(ImageFilter.BoxBlur(_GLOW * side * (0.7 if lit else 0.5)))
    if lit:
        canvas.paste((246, 244, 232), (left, top), around.point(_RIM))
    else:
        below = ImageChops.offset(around, round(0.004 * side), round(0.012 * side))
        canvas.paste((24, 22, 44), (left, top), below.point(_SHADE))
    edge = shape.filter(ImageFilter.BoxBlur(_EDGE * side))
    canvas.paste(shades.edge, (left, top), edge.point([min(255, v * 4) for v in range(256)]))
    canvas.paste(tile, (left, top), shape)
    fall = ImageChops.multiply(_FALL.resize(tile.size), shape)
    canvas.paste(shades.edge, (left, top), fall)


def _affine(kind: str, item: Item, side: int, left: int, top: int) -> Affine:
    x0, y0, x1, y1 = extent(kind)
    across, down = item.scale * item.stretch * side, item.scale * side
    if item.flip:
        across = -across
    c, s = math.cos(math.radians(item.tilt)), math.sin(math.radians(item.tilt))
    a, b, d, e = across * c, -down * s, across * s, down * c
    mid_x, mid_y = (x0 + x1) / 2, (y0 + y1) / 2
    shift_x = item.x * side - left - a * mid_x - b * mid_y
    shift_y = item.y * side - top - d * mid_x - e * mid_y
    return a, b, shift_x, d, e, shift_y


def _grainy(picture: Image.Image, seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(
        -4, 5, (picture.height, picture.width, 1), np.int16
    )
    pixels = np.asarray(picture, dtype=np.int16) + noise
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
