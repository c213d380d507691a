"""Animals, each drawn in about the unit square; those seen from the side face right."""

from encoder.scenes.canvas import Colour, Pen
from encoder.scenes.colours import Tones

_BEAK: Colour = (244, 176, 60)


def _eye(pen: Pen, t: Tones, x: float, y: float, r: float) -> None:
    pen.oval(x, y, r, r, t.pale)
    pen.oval(x + r * 0.15, y, r * 0.62, r * 0.62, (24, 24, 28))


def cat(pen: Pen, t: Tones) -> None:
    tail = [(0.66, 0.9), (0.8, 0.93), (0.91, 0.86), (0.93, 0.74), (0.88, 0.64), (0.9, 0.55)]
    pen.line(tail, 0.085, t.dark)
    pen.blob([(0.5, 0.4), (0.66, 0.56), (0.73, 0.8), (0.7, 0.97), (0.3, 0.97), (0.27, 0.8),
              (0.34, 0.56)], t.base)  # fmt: skip
    pen.oval(0.5, 0.76, 0.11, 0.17, t.light)
    for x in (0.4, 0.6):
        pen.oval(x, 0.95, 0.09, 0.05, t.light)
    for side in (-1, 1):
        pen.poly([(0.5 + side * 0.25, 0.0), (0.5 + side * 0.27, 0.28), (0.5 + side * 0.05, 0.14)],
                 t.base)  # fmt: skip
        pen.poly([(0.5 + side * 0.22, 0.07), (0.5 + side * 0.23, 0.2), (0.5 + side * 0.12, 0.14)],
                 t.dark)  # fmt: skip
    pen.oval(0.5, 0.31, 0.28, 0.22, t.base)
    for side in (-1, 1):
        _eye(pen, t, 0.5 + side * 0.12, 0.28, 0.055)
        for dy in (-0.02, 0.04):
            pen.line([(0.5 + side * 0.12, 0.39), (0.5 + side * 0.34, 0.37 + dy)], 0.012, t.deep)
    pen.poly([(0.46, 0.355), (0.54, 0.355), (0.5, 0.4)], t.deep)
    pen.arc(0.465, 0.4, 0.035, 0.035, 0.014, t.deep, 0, 160)
    pen.arc(0.535, 0.4, 0.035, 0.035, 0.014, t.deep, 20, 180)


def dog(pen: Pen, t: Tones) -> None:
    pen.line([(0.12, 0.46), (0.04, 0.36), (0.03, 0.22)], 0.07, t.base)
    for x in (0.22, 0.58):
        pen.box(x, 0.6, x + 0.1, 0.94, t.dark, 0.04)
    pen.box(0.08, 0.4, 0.74, 0.72, t.base, 0.14)
    for x in (0.1, 0.62):
        pen.box(x, 0.56, x + 0.11, 0.96, t.base, 0.045)
        pen.oval(x + 0.075, 0.93, 0.08, 0.04, t.light)
    pen.blob([(0.58, 0.2), (0.72, 0.08), (0.84, 0.14), (0.98, 0.25), (0.97, 0.36), (0.84, 0.42),
              (0.74, 0.6), (0.56, 0.52)], t.base)  # fmt: skip
    pen.oval(0.955, 0.255, 0.045, 0.038, t.ink)
    pen.line([(0.95, 0.365), (0.83, 0.36)], 0.016, t.deep)
    _eye(pen, t, 0.8, 0.2, 0.038)
    pen.blob([(0.62, 0.1), (0.7, 0.12), (0.71, 0.3), (0.65, 0.43), (0.55, 0.36), (0.55, 0.2)],
             t.deep)  # fmt: skip
    pen.line([(0.59, 0.52), (0.73, 0.56)], 0.04, t.pale)


def bird(pen: Pen, t: Tones) -> None:
    pen.poly([(0.0, 0.62), (0.06, 0.42), (0.4, 0.52), (0.34, 0.68)], t.dark)
    pen.blob([(0.28, 0.0), (0.5, 0.16), (0.62, 0.5), (0.46, 0.56), (0.32, 0.3)], t.dark)
    pen.poly([(0.93, 0.42), (1.06, 0.48), (0.92, 0.53)], _BEAK)
    pen.blob([(0.18, 0.58), (0.42, 0.45), (0.68, 0.42), (0.78, 0.34), (0.9, 0.36), (0.95, 0.48),
              (0.86, 0.64), (0.66, 0.78), (0.4, 0.76)], t.base)  # fmt: skip
    pen.blob([(0.5, 0.72), (0.7, 0.66), (0.84, 0.6), (0.7, 0.76)], t.light)
    pen.blob([(0.08, 0.06), (0.3, 0.14), (0.52, 0.36), (0.62, 0.56), (0.46, 0.64), (0.26, 0.42)],
             t.light)  # fmt: skip
    for x, y in ((0.28, 0.2), (0.38, 0.32)):
        pen.line([(x, y), (x + 0.14, y + 0.26)], 0.016, t.deep)
    _eye(pen, t, 0.86, 0.45, 0.036)


def fish(pen: Pen, t: Tones) -> None:
    pen.blob([(0.26, 0.34), (0.08, 0.12), (0.0, 0.14), (0.07, 0.35), (0.0, 0.56), (0.08, 0.58)],
             t.dark)  # fmt: skip
    pen.blob([(0.42, 0.16), (0.5, 0.0), (0.72, 0.06), (0.76, 0.2)], t.dark)
    pen.blob([(0.5, 0.55), (0.48, 0.7), (0.6, 0.68), (0.66, 0.54)], t.dark)
    pen.blob([(0.18, 0.35), (0.4, 0.14), (0.68, 0.09), (0.92, 0.22), (1.0, 0.36), (0.92, 0.48),
              (0.68, 0.6), (0.4, 0.55)], t.base)  # fmt: skip
    pen.blob([(0.42, 0.52), (0.68, 0.5), (0.9, 0.46), (0.68, 0.59)], t.light)
    pen.arc(0.66, 0.35, 0.08, 0.2, 0.022, t.deep, -65, 65)
    for x in (0.36, 0.5):
        pen.arc(x, 0.35, 0.05, 0.1, 0.022, t.deep, -70, 70)
    pen.blob([(0.62, 0.36), (0.5, 0.34), (0.46, 0.46), (0.56, 0.46)], t.dark)
    _eye(pen, t, 0.84, 0.28, 0.05)
    pen.line([(0.98, 0.4), (0.9, 0.41)], 0.016, t.deep)


def elephant(pen: Pen, t: Tones) -> None:
    pen.line([(0.08, 0.34), (0.02, 0.48), (0.03, 0.6)], 0.03, t.deep)
    for x in (0.2, 0.5):
        pen.box(x, 0.55, x + 0.13, 0.84, t.dark, 0.03)
    pen.blob([(0.06, 0.4), (0.16, 0.16), (0.4, 0.1), (0.62, 0.16), (0.7, 0.4), (0.62, 0.64),
              (0.36, 0.68), (0.1, 0.62)], t.base)  # fmt: skip
    for x in (0.08, 0.4):
        pen.box(x, 0.5, x + 0.15, 0.87, t.base, 0.03)
        for dx in (0.03, 0.075, 0.12):
            pen.oval(x + dx, 0.85, 0.02, 0.018, t.pale)
    trunk = [(0.94, 0.28), (0.99, 0.44), (0.98, 0.62), (0.95, 0.74), (1.0, 0.83), (1.08, 0.8)]
    pen.line(trunk, 0.085, t.base)
    pen.poly([(0.82, 0.44), (0.9, 0.44), (0.98, 0.58), (0.9, 0.55)], t.pale)
    pen.oval(0.82, 0.26, 0.19, 0.21, t.base)
    pen.line([(0.95, 0.3), (0.98, 0.46)], 0.1, t.base)
    pen.blob([(0.68, 0.04), (0.78, 0.14), (0.78, 0.36), (0.66, 0.54), (0.5, 0.44), (0.46, 0.2),
              (0.54, 0.06)], t.deep)  # fmt: skip
    pen.blob([(0.67, 0.08), (0.75, 0.16), (0.75, 0.34), (0.65, 0.49), (0.53, 0.41), (0.5, 0.21),
              (0.56, 0.1)], t.dark)  # fmt: skip
    _eye(pen, t, 0.88, 0.22, 0.03)


def duck(pen: Pen, t: Tones) -> None:
    pen.blob([(0.93, 0.26), (1.1, 0.27), (1.12, 0.33), (0.94, 0.37)], _BEAK)
    pen.blob([(0.0, 0.4), (0.14, 0.5), (0.4, 0.46), (0.6, 0.46), (0.66, 0.36), (0.92, 0.5),
              (0.92, 0.66), (0.78, 0.82), (0.3, 0.83), (0.08, 0.68)], t.base)  # fmt: skip
    pen.oval(0.79, 0.27, 0.2, 0.2, t.base)
    pen.blob([(0.16, 0.52), (0.4, 0.5), (0.6, 0.54), (0.64, 0.64), (0.5, 0.74), (0.28, 0.68)],
             t.light)  # fmt: skip
    pen.arc(0.42, 0.55, 0.15, 0.13, 0.022, t.deep, 10, 110)
    pen.arc(0.34, 0.53, 0.13, 0.11, 0.022, t.deep, 20, 120)
    _eye(pen, t, 0.85, 0.21, 0.042)


def rabbit(pen: Pen, t: Tones) -> None:
    for side in (-1, 1):
        pen.oval(0.5 + side * 0.12, 0.2, 0.085, 0.22, t.base, side * 9)
        pen.oval(0.5 + side * 0.12, 0.21, 0.04, 0.16, t.dark, side * 9)
    pen.oval(0.78, 0.86, 0.09, 0.09, t.light)
    pen.oval(0.5, 0.82, 0.27, 0.25, t.base)
    pen.oval(0.5, 0.87, 0.15, 0.17, t.light)
    pen.oval(0.5, 0.49, 0.22, 0.19, t.base)
    for side in (-1, 1):
        pen.oval(0.5 + side * 0.18, 1.04, 0.13, 0.06, t.dark)
        pen.oval(0.5 + side * 0.13, 0.76, 0.055, 0.1, t.dark, side * 20)
        _eye(pen, t, 0.5 + side * 0.1, 0.45, 0.042)
    pen.oval(0.5, 0.53, 0.035, 0.024, t.deep)
    pen.line([(0.5, 0.54), (0.5, 0.59)], 0.014, t.deep)
    pen.box(0.465, 0.59, 0.535, 0.65, t.pale)


def butterfly(pen: Pen, t: Tones) -> None:
    for side in (-1, 1):

        def at(x: float, y: float, side: int = side) -> tuple[float, float]:
            return 0.5 + side * x, y

        pen.blob([at(0.03, 0.5), at(0.3, 0.5), at(0.42, 0.64), at(0.36, 0.84), at(0.2, 0.86),
                  at(0.07, 0.7)], t.dark)  # fmt: skip
        pen.blob([at(0.02, 0.44), at(0.14, 0.18), at(0.36, 0.04), at(0.5, 0.08), at(0.5, 0.32),
                  at(0.38, 0.5), at(0.16, 0.56)], t.base)  # fmt: skip
        pen.oval(0.5 + side * 0.34, 0.23, 0.08, 0.1, t.light, side * 30)
        pen.oval(0.5 + side * 0.2, 0.38, 0.05, 0.06, t.light, side * 30)
        pen.oval(0.5 + side * 0.26, 0.7, 0.06, 0.07, t.light)
        pen.line([(0.5, 0.2), at(0.05, 0.08), at(0.12, 0.02)], 0.018, t.deep)
    pen.oval(0.5, 0.47, 0.042, 0.27, t.deep)
    pen.oval(0.5, 0.2, 0.05, 0.05, t.deep)
