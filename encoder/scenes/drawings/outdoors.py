"""Buildings, plants and other outdoor things, each drawn in about the unit square."""

from encoder.scenes.canvas import Colour, Pen, arc_points
from encoder.scenes.colours import Tones

_STEM: Colour = (92, 134, 76)
_BARK: Colour = (116, 88, 66)


def house(pen: Pen, t: Tones) -> None:
    pen.box(0.68, 0.06, 0.8, 0.34, t.deep)
    pen.box(0.1, 0.38, 0.9, 0.92, t.base)
    pen.poly([(0.1, 0.38), (0.9, 0.38), (0.9, 0.46), (0.1, 0.46)], t.dark)
    pen.poly([(0.5, 0.02), (1.0, 0.42), (0.0, 0.42)], t.dark)
    pen.poly([(0.5, 0.1), (0.82, 0.36), (0.18, 0.36)], t.base)
    pen.oval(0.5, 0.27, 0.06, 0.06, t.glass)
    pen.box(0.42, 0.6, 0.59, 0.92, t.deep, 0.02)
    pen.oval(0.56, 0.77, 0.015, 0.015, t.pale)
    for x in (0.17, 0.66):
        pen.box(x, 0.55, x + 0.18, 0.75, t.pale)
        pen.box(x + 0.02, 0.57, x + 0.16, 0.73, t.glass)
        pen.line([(x + 0.09, 0.56), (x + 0.09, 0.74)], 0.018, t.pale)


def castle(pen: Pen, t: Tones) -> None:
    for x in (0.12, 0.5, 0.88):
        top = 0.0 if x == 0.5 else 0.1
        pen.line([(x, top + 0.01), (x, top + 0.2)], 0.016, t.deep)
        pen.poly([(x, top), (x + 0.13, top + 0.04), (x, top + 0.08)], t.dark)
    pen.box(0.36, 0.24, 0.64, 0.9, t.dark)
    pen.box(0.14, 0.5, 0.86, 0.96, t.base)
    for x in (0.28, 0.4, 0.52, 0.64):
        pen.box(x, 0.44, x + 0.07, 0.51, t.base)
    for left in (0.0, 0.76):
        pen.box(left + 0.02, 0.34, left + 0.22, 0.96, t.base)
        pen.box(left, 0.3, left + 0.24, 0.38, t.light)
        for x in (left, left + 0.09, left + 0.18):
            pen.box(x, 0.25, x + 0.06, 0.31, t.light)
        pen.box(left + 0.09, 0.48, left + 0.15, 0.62, t.deep, 0.025)
    for x in (0.34, 0.455, 0.57):
        pen.box(x, 0.18, x + 0.09, 0.26, t.dark)
    pen.box(0.46, 0.3, 0.54, 0.42, t.deep, 0.03)
    pen.slice(0.5, 0.76, 0.12, 0.14, 180, 360, t.deep)
    pen.box(0.38, 0.76, 0.62, 0.96, t.deep)


def tent(pen: Pen, t: Tones) -> None:
    pen.line([(0.43, 0.0), (0.36, 0.1)], 0.03, t.deep)
    pen.line([(0.29, 0.0), (0.36, 0.1)], 0.03, t.deep)
    pen.poly([(0.36, 0.06), (0.82, 0.16), (1.08, 0.68), (0.72, 0.74)], t.dark)
    pen.poly([(0.36, 0.06), (0.72, 0.74), (0.0, 0.74)], t.base)
    pen.poly([(0.36, 0.06), (0.36, 0.74), (0.0, 0.74)], t.light)
    pen.poly([(0.36, 0.2), (0.52, 0.74), (0.2, 0.74)], (52, 48, 56))
    pen.poly([(0.36, 0.2), (0.52, 0.74), (0.58, 0.74), (0.44, 0.38)], t.light)
    pen.poly([(0.36, 0.2), (0.2, 0.74), (0.14, 0.74), (0.28, 0.38)], t.base)


def tree(pen: Pen, t: Tones) -> None:
    pen.poly([(0.36, 1.04), (0.42, 0.56), (0.52, 0.56), (0.58, 1.04)], _BARK)
    pen.line([(0.47, 0.78), (0.62, 0.6)], 0.05, _BARK)
    crown = [(0.2, 0.46, 0.2), (0.73, 0.46, 0.21), (0.32, 0.25, 0.21), (0.63, 0.24, 0.2)]
    for x, y, r in crown:
        pen.oval(x, y, r, r, t.dark)
    pen.oval(0.47, 0.5, 0.26, 0.2, t.dark)
    for x, y, r in [*crown, (0.47, 0.2, 0.18), (0.47, 0.42, 0.22)]:
        pen.oval(x - 0.01, y - 0.035, r * 0.9, r * 0.86, t.base)
    for x, y, r in ((0.28, 0.18, 0.09), (0.56, 0.12, 0.07), (0.18, 0.4, 0.07), (0.68, 0.36, 0.08)):
        pen.oval(x, y, r, r * 0.8, t.light)


def flower(pen: Pen, t: Tones) -> None:
    pen.line([(0.4, 0.4), (0.42, 0.7), (0.4, 1.06)], 0.05, _STEM)
    pen.blob([(0.41, 0.92), (0.54, 0.76), (0.72, 0.74), (0.62, 0.9)], _STEM)
    pen.blob([(0.4, 1.0), (0.28, 0.84), (0.1, 0.84), (0.22, 0.98)], _STEM)
    centres = arc_points(0.4, 0.36, 0.23, 0.23, -90, 270)[:32:4]
    for i, (x, y) in enumerate(centres):
        pen.oval(x, y, 0.155, 0.115, t.base if i % 2 else t.dark, i * 45 - 90)
    for i, (x, y) in enumerate(centres):
        if i % 2:
            pen.oval(x, y, 0.15, 0.1, t.base, i * 45 - 90)
            pen.oval(x, y, 0.08, 0.04, t.light, i * 45 - 90)
    pen.oval(0.4, 0.36, 0.1, 0.1, t.deep)
    pen.oval(0.4, 0.36, 0.07, 0.07, (250, 234, 170))


def mushroom(pen: Pen, t: Tones) -> None:
    pen.blob([(0.36, 0.46), (0.64, 0.46), (0.65, 0.7), (0.7, 0.92), (0.5, 0.97), (0.3, 0.92),
              (0.35, 0.7)], t.pale)  # fmt: skip
    pen.blob([(0.56, 0.5), (0.64, 0.5), (0.65, 0.7), (0.7, 0.92), (0.58, 0.96)], (222, 214, 200))
    pen.blob([(0.0, 0.48), (0.08, 0.24), (0.28, 0.06), (0.5, 0.01), (0.72, 0.06), (0.92, 0.24),
              (1.0, 0.48), (0.8, 0.57), (0.5, 0.59), (0.2, 0.57)], t.base)  # fmt: skip
    pen.blob([(0.0, 0.48), (0.2, 0.52), (0.5, 0.53), (0.8, 0.52), (1.0, 0.48), (0.8, 0.57),
              (0.5, 0.59), (0.2, 0.57)], t.dark)  # fmt: skip
    spots = ((0.5, 0.18, 0.1), (0.24, 0.32, 0.075), (0.76, 0.32, 0.08), (0.5, 0.41, 0.06))
    spot = t.deep if t.base[2] > 230 and t.base[0] > 230 and t.base[1] > 230 else t.pale
    for x, y, r in spots:
        pen.oval(x, y, r, r * 0.82, spot)


def cactus(pen: Pen, t: Tones) -> None:
    pen.line([(0.4, 0.68), (0.14, 0.66), (0.1, 0.56), (0.1, 0.34)], 0.15, t.base)
    pen.line([(0.4, 0.56), (0.66, 0.54), (0.7, 0.44), (0.7, 0.22)], 0.15, t.base)
    pen.line([(0.4, 0.12), (0.4, 0.94)], 0.24, t.base)
    pen.line([(0.4, 0.1), (0.4, 0.96)], 0.022, t.deep)
    for x in (0.33, 0.47):
        pen.line([(x, 0.14), (x, 0.96)], 0.022, t.light)
    pen.line([(0.1, 0.36), (0.1, 0.56)], 0.02, t.deep)
    pen.line([(0.7, 0.24), (0.7, 0.44)], 0.02, t.deep)
    for y in (0.2, 0.36, 0.52, 0.68, 0.84):
        for side in (-1, 1):
            pen.line([(0.4 + side * 0.1, y), (0.4 + side * 0.15, y - 0.03)], 0.014, t.deep)


def kite(pen: Pen, t: Tones) -> None:
    tail = [(0.36, 0.68), (0.42, 0.8), (0.32, 0.9), (0.4, 1.0), (0.3, 1.1)]
    pen.line(tail, 0.02, t.deep)
    for x, y in tail[1:]:
        pen.poly([(x, y), (x - 0.09, y - 0.045), (x - 0.09, y + 0.045)], t.base)
        pen.poly([(x, y), (x + 0.09, y - 0.045), (x + 0.09, y + 0.045)], t.dark)
    top, heart, bottom = (0.36, 0.0), (0.36, 0.28), (0.36, 0.7)
    left, right = (0.02, 0.28), (0.7, 0.28)
    pen.poly([top, right, bottom, left], t.base)
    pen.poly([top, heart, left], t.light)
    pen.poly([right, heart, bottom], t.dark)
    pen.line([top, bottom], 0.022, t.deep)
    pen.line([left, right], 0.022, t.deep)
