"""The eight backgrounds, muted and hazy, so that no part of them looks like a thing."""

import math
from collections.abc import Callable, Sequence
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from encoder.scenes.canvas import Colour, Pen, Point, mix
from encoder.scenes.layout import HORIZON

_Stops = Sequence[tuple[float, Colour]]
_WHITE: Colour = (255, 255, 255)


class _Stage:
    """A square picture to paint a background on, in unit coordinates."""

    def __init__(self, side: int, rng: Random) -> None:
        self.image = Image.new("RGB", (side, side))
        self.pen = Pen(ImageDraw.Draw(self.image), (side, 0, 0, 0, side, 0))
        self.rng = rng
        self.horizon = HORIZON + rng.uniform(-0.03, 0.03)
        self._side = side

    def gradient(self, top: float, bottom: float, stops: _Stops) -> None:
        """Fill the band from ``top`` to ``bottom`` with the colours of ``stops``; each stop gives a
        share of the band, 0 to 1, and the colour there."""
        first, last = round(top * self._side), round(bottom * self._side)
        rows = np.linspace(0, 1, max(2, last - first))
        shares = [share for share, _ in stops]
        channels = [np.interp(rows, shares, [c[i] for _, c in stops]) for i in range(3)]
        column = np.stack(channels, axis=-1).round().astype(np.uint8)[:, None]
        band = Image.fromarray(column).resize((self._side, len(rows)), Image.Resampling.NEAREST)
        self.image.paste(band, (0, first))

    def ridge(
        self,
        y: float,
        swing: float,
        colour: Colour,
        waves: float = 2.0,
        foam: Colour | None = None,
    ) -> None:
        """Hills, or a shore with ``foam``, from about ``y`` down to the bottom edge."""
        phase, second = self.rng.uniform(0, 6.3), self.rng.uniform(0, 6.3)
        points: list[Point] = [(1.0, 1.0), (0.0, 1.0)]
        for i in range(33):
            x = i / 32
            wave = math.sin(waves * 3.1 * x + phase) + 0.5 * math.sin(waves * 7.3 * x + second)
            points.append((x, y + swing * wave))
        if foam:
            self.pen.poly([(x, height - 0.022) for x, height in points], foam)
        self.pen.poly(points, colour)

    def clouds(self, number: int, low: float, high: float, colour: Colour) -> None:
        for _ in range(number):
            x, y = self.rng.uniform(0, 1), self.rng.uniform(low, high)
            w = self.rng.uniform(0.07, 0.14)
            for dx, dy, r in (
                (-0.9, 0.0, 0.5),
                (-0.3, -0.22, 0.62),
                (0.4, -0.1, 0.58),
                (1, 0, 0.42),
            ):
                self.pen.oval(x + dx * w, y + dy * w, r * w, r * w * 0.6, colour)
            self.pen.box(x - 1.35 * w, y, x + 1.35 * w, y + 0.26 * w, colour, 0.1 * w)

    def dots(self, number: int, top: float, bottom: float, radius: float, colour: Colour) -> None:
        for _ in range(number):
            r = radius * self.rng.uniform(0.5, 1.0)
            x, y = self.rng.random(), self.rng.uniform(top, bottom)
            self.pen.poly([(x - r, y), (x, y - r), (x + r, y), (x, y + r)], colour)

    def strokes(
        self, number: int, top: float, bottom: float, length: float, width: float, colour: Colour
    ) -> None:
        """Short level lines (waves, furrows, wind marks), which are longer towards the bottom."""
        for _ in range(number):
            y = self.rng.uniform(top, bottom)
            near = 0.35 + 0.65 * (y - top) / (bottom - top)
            x, half = self.rng.random(), length * near * self.rng.uniform(0.5, 1.0)
            bend = width * 1.2
            self.pen.line([(x - half, y), (x, y - bend), (x + half, y)], width * near, colour)

    def tufts(self, number: int, top: float, colour: Colour) -> None:
        for _ in range(number):
            x, y = self.rng.random(), self.rng.uniform(top, 1.0)
            h = 0.012 + 0.03 * (y - top)
            for lean in (-0.6, 0.0, 0.6):
                self.pen.line([(x, y), (x + lean * h, y - h)], 0.004, colour)


def _tinted(rng: Random, colour: Colour, by: int = 10) -> Colour:
    shift = rng.randint(-by, by)
    red, green, blue = (max(0, min(255, c + shift + rng.randint(-4, 4))) for c in colour)
    return red, green, blue


def _sea(stage: _Stage) -> None:
    rng, h = stage.rng, stage.horizon
    beach = rng.uniform(0.8, 0.87)
    sky, deep = _tinted(rng, (122, 190, 232)), _tinted(rng, (22, 112, 164))
    stage.gradient(0, h, [(0, sky), (1, (226, 242, 248))])
    stage.clouds(rng.randint(2, 4), 0.06, h - 0.12, (246, 250, 252))
    if rng.random() < 0.6:
        x, w = rng.uniform(0.1, 0.9), rng.uniform(0.14, 0.26)
        stage.pen.slice(x, h, w, rng.uniform(0.03, 0.06), 180, 360, (158, 194, 208))
    stage.gradient(h, 1, [(0, deep), (0.7, (62, 172, 196)), (1, (130, 210, 212))])
    stage.strokes(26, h + 0.02, beach, 0.07, 0.007, (116, 196, 214))
    stage.strokes(12, h + 0.06, beach, 0.06, 0.006, (206, 236, 240))
    stage.ridge(beach + 0.01, 0.012, _tinted(rng, (240, 220, 172)), foam=(238, 248, 248))
    stage.dots(30, beach + 0.05, 1, 0.006, (218, 192, 142))


def _field(stage: _Stage) -> None:
    rng, h = stage.rng, stage.horizon
    grass = _tinted(rng, (142, 194, 88))
    stage.gradient(0, h + 0.12, [(0, _tinted(rng, (128, 196, 240))), (1, (232, 244, 240))])
    stage.clouds(rng.randint(2, 4), 0.06, h - 0.14, (250, 252, 252))
    stage.ridge(h - 0.03, 0.022, (168, 204, 190))
    stage.ridge(h + 0.02, 0.016, (156, 202, 142), 1.4)
    stage.ridge(h + 0.09, 0.014, grass, 1.0)
    stage.ridge(0.76, 0.014, mix(grass, (96, 166, 66), 0.45), 1.2)
    stage.tufts(44, h + 0.12, mix(grass, (62, 130, 50), 0.7))
    stage.dots(34, h + 0.14, 1, 0.007, (250, 246, 206))


def _snow(stage: _Stage) -> None:
    rng, h = stage.rng, stage.horizon
    stage.gradient(0, h + 0.12, [(0, _tinted(rng, (166, 188, 210))), (1, (220, 230, 238))])
    for _ in range(3):
        x, w = rng.uniform(0, 1), rng.uniform(0.16, 0.26)
        top = h - rng.uniform(0.12, 0.2)
        stage.pen.poly([(x - w, h + 0.06), (x, top), (x + w, h + 0.06)], (188, 204, 220))
        cap = [(x - w * 0.35, top + 0.07), (x, top), (x + w * 0.35, top + 0.07),
               (x + w * 0.12, top + 0.055), (x - w * 0.1, top + 0.075)]  # fmt: skip
        stage.pen.poly(cap, (238, 244, 250))
    stage.ridge(h + 0.03, 0.016, (224, 234, 244), 1.3)
    stage.ridge(h + 0.13, 0.018, (234, 241, 248), 0.9)
    stage.ridge(0.76, 0.02, (243, 247, 252), 0.8)
    stage.strokes(12, h + 0.16, 0.98, 0.09, 0.007, (214, 226, 240))
    stage.dots(70, 0, 1, 0.011, _WHITE)


def _desert(stage: _Stage) -> None:
    rng, h = stage.rng, stage.horizon
    sand = _tinted(rng, (232, 190, 122))
    stage.gradient(0, h + 0.14, [(0, _tinted(rng, (140, 198, 222))), (1, (250, 236, 206))])
    for _ in range(rng.randint(1, 2)):
        x, w, top = rng.uniform(0.05, 0.95), rng.uniform(0.08, 0.14), h - rng.uniform(0.05, 0.1)
        mesa = [(x - w * 1.3, h + 0.05), (x - w, top), (x + w, top), (x + w * 1.3, h + 0.05)]
        stage.pen.poly(mesa, (222, 180, 150))
    for y, tone in ((h + 0.02, 0.25), (h + 0.13, 0.0), (0.76, -0.14)):
        x = rng.uniform(0.2, 0.8)
        body = mix(sand, (255, 240, 204), tone) if tone > 0 else mix(sand, (190, 120, 60), -tone)
        crest = y - rng.uniform(0.03, 0.07)
        stage.pen.poly([(0, 1), (0, y + 0.04), (x * 0.5, y), (x, crest), (x * 0.5 + 0.5, y + 0.02),
                        (1, y + 0.03), (1, 1)], body)  # fmt: skip
        shade = mix(body, (176, 112, 66), 0.22)
        stage.pen.blob([(x, crest), (x * 0.5 + 0.5, y + 0.02), (1.1, y + 0.03), (1.1, y + 0.12),
                        (x + 0.1, y + 0.07), (x - 0.02, y + 0.03)], shade)  # fmt: skip
    stage.strokes(26, h + 0.16, 0.99, 0.08, 0.005, mix(sand, (168, 108, 56), 0.4))


def _forest(stage: _Stage) -> None:
    rng, h = stage.rng, stage.horizon
    stage.gradient(
        0, 1, [(0, (96, 138, 104)), (0.4, _tinted(rng, (176, 204, 160))), (1, (150, 180, 130))]
    )
    layers = (((142, 176, 138), 11, 0.022), ((112, 148, 112), 8, 0.034), ((84, 118, 88), 5, 0.05))
    for depth, (tone, number, width) in enumerate(layers):
        for i in range(number):
            x = (i + rng.uniform(0.1, 0.9)) / number
            w = width * rng.uniform(0.7, 1.2) / 2
            foot = h + 0.05 + 0.04 * depth
            stage.pen.poly([(x - w, 0), (x + w, 0), (x + w * 1.5, foot + 0.03),
                            (x - w * 1.5, foot + 0.03)], tone)  # fmt: skip
        for _ in range(9):
            x, r = rng.random(), rng.uniform(0.09, 0.15)
            y = 0.1 - 0.05 * depth + rng.uniform(-0.04, 0.04)
            stage.pen.oval(x, y, r, r * 0.75, mix(tone, (70, 116, 70), 0.35))
        stage.ridge(h + 0.03 + 0.05 * depth, 0.01, mix(tone, (96, 142, 78), 0.5), 2.4)
    stage.ridge(h + 0.17, 0.012, _tinted(rng, (98, 134, 74)), 1.2)
    stage.ridge(0.8, 0.014, _tinted(rng, (84, 118, 64)), 1.0)
    stage.tufts(60, h + 0.14, (62, 96, 52))
    stage.strokes(18, h + 0.2, 1, 0.03, 0.008, (134, 164, 92))


def _city(stage: _Stage) -> None:
    rng, h = stage.rng, stage.horizon
    stage.gradient(0, h + 0.16, [(0, _tinted(rng, (164, 190, 214))), (1, (238, 232, 224))])
    ground = h + 0.13
    for tone, least, most, lit in (
        ((188, 200, 214), 0.22, 0.44, (204, 214, 226)),
        ((152, 166, 186), 0.1, 0.32, (206, 212, 212)),
    ):
        x = -0.03
        while x < 1:
            w, top = rng.uniform(0.08, 0.15), ground - rng.uniform(least, most)
            stage.pen.box(x, top, x + w, ground, _tinted(rng, tone, 7))
            columns = int(w / 0.032)
            for row in range(int((ground - top - 0.02) / 0.04)):
                for column in range(columns):
                    if rng.random() < 0.72:
                        left, up = (
                            x + 0.012 + column * (w - 0.01) / columns,
                            top + 0.016 + row * 0.04,
                        )
                        stage.pen.box(left, up, left + 0.014, up + 0.02, lit)
            x += w + rng.choice((0.0, 0.0, 0.02))
    road = _tinted(rng, (122, 126, 136), 6)
    stage.gradient(ground, 1, [(0, (208, 206, 204)), (1, (192, 190, 190))])
    stage.gradient(ground + 0.1, 0.93, [(0, mix(road, _WHITE, 0.08)), (1, road)])
    stage.pen.box(0, ground + 0.092, 1, ground + 0.102, (228, 226, 222))
    stage.pen.box(0, 0.925, 1, 0.938, (228, 226, 222))
    offset, middle = rng.uniform(0, 0.2), (ground + 1.03) / 2
    for i in range(-1, 6):
        left = offset + i * 0.2
        stage.pen.box(left, middle - 0.007, left + 0.1, middle + 0.007, (226, 224, 214))


def _night(stage: _Stage) -> None:
    rng, h = stage.rng, stage.horizon
    top = _tinted(rng, (22, 28, 74), 5)
    stage.gradient(0, h + 0.1, [(0, top), (1, (70, 82, 146))])
    stage.dots(70, 0.0, h, 0.005, (206, 214, 246))
    stage.dots(9, 0.02, h - 0.08, 0.011, (250, 248, 226))
    x, y, r = rng.uniform(0.1, 0.9), rng.uniform(0.08, 0.16), rng.uniform(0.045, 0.06)
    share = y / (h + 0.1)
    for glow, strength in ((2.2, 0.1), (1.6, 0.2)):
        stage.pen.oval(
            x, y, r * glow, r * glow, mix(mix(top, (70, 82, 146), share), (200, 206, 240), strength)
        )
    halo = mix(mix(top, (70, 82, 146), share), (200, 206, 240), 0.2)
    stage.pen.oval(x, y, r, r, (248, 244, 214))
    stage.pen.oval(x + r * 0.45, y - r * 0.2, r * 0.85, r * 0.85, halo)
    stage.ridge(h, 0.026, (54, 64, 120))
    stage.ridge(h + 0.07, 0.02, (44, 56, 102), 1.4)
    stage.ridge(h + 0.16, 0.014, (38, 54, 90), 1.1)
    stage.ridge(0.8, 0.014, (32, 46, 78), 1.0)
    stage.tufts(30, h + 0.2, (58, 78, 116))


def _sunset(stage: _Stage) -> None:
    rng, h = stage.rng, stage.horizon
    stage.gradient(0, h + 0.03, [(0, _tinted(rng, (104, 70, 138))), (0.4, (226, 106, 118)),
                                 (0.75, (252, 168, 92)), (1, (255, 220, 138))])  # fmt: skip
    x, r = rng.uniform(0.15, 0.85), rng.uniform(0.09, 0.12)
    for glow, tone in ((1.7, (255, 206, 124)), (1.3, (255, 222, 144)), (1.0, (255, 244, 196))):
        stage.pen.slice(x, h + 0.03, r * glow, r * glow, 180, 360, tone)
    for _ in range(rng.randint(5, 8)):
        y = rng.uniform(0.04, h - 0.06)
        tone = mix((150, 84, 142), (255, 196, 132), y / h)
        left, w = rng.uniform(-0.1, 0.9), rng.uniform(0.12, 0.34)
        stage.pen.oval(left + w / 2, y, w, rng.uniform(0.007, 0.014), tone)
    stage.ridge(h, 0.014, (176, 92, 112), 1.6)
    stage.gradient(h + 0.06, 1, [(0, (150, 78, 108)), (1, (92, 52, 92))])
    stage.ridge(h + 0.13, 0.014, (134, 70, 104), 1.2)
    stage.ridge(h + 0.27, 0.014, (114, 60, 98), 1.0)
    stage.ridge(0.86, 0.014, (96, 52, 92), 1.0)
    stage.strokes(22, h + 0.14, 0.98, 0.06, 0.006, (176, 98, 118))


_PAINTERS: dict[str, Callable[[_Stage], None]] = {
    "sea": _sea,
    "field": _field,
    "snow": _snow,
    "desert": _desert,
    "forest": _forest,
    "city": _city,
    "night": _night,
    "sunset": _sunset,
}

BACKGROUNDS: tuple[str, ...] = tuple(_PAINTERS)


def paint(background: str, side: int, rng: Random) -> Image.Image:
    """Paint a background of `BACKGROUNDS`, ``side`` x ``side`` RGB; ``rng`` chooses its details."""
    stage = _Stage(side, rng)
    _PAINTERS[background](stage)
    return stage.image
