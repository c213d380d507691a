"""A pen that draws in unit coordinates: the same picture at every size."""

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
from PIL import ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]
Affine = tuple[float, float, float, float, float, float]
"""(a, b, c, d, e, f): x' = a x + b y + c and y' = d x + e y + f, with y pointing down."""

_STEPS = 6
_T = np.arange(_STEPS) / _STEPS
_SPLINE = 0.5 * np.stack(
    [
        -_T + 2 * _T**2 - _T**3,
        2 - 5 * _T**2 + 3 * _T**3,
        _T + 4 * _T**2 - 3 * _T**3,
        -(_T**2) + _T**3,
    ],
    axis=1,
)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour that lies ``share`` (0 to 1) of the way from ``first`` to ``second``."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def arc_points(
    x: float, y: float, rx: float, ry: float, start: float = 0.0, stop: float = 360.0
) -> list[Point]:
    """33 points on an ellipse; degrees count clockwise in the picture, from the right."""
    angles = [math.radians(start + (stop - start) * i / 32) for i in range(33)]
    return [(x + rx * math.cos(t), y + ry * math.sin(t)) for t in angles]


class Pen:
    """Draws filled shapes and round strokes onto a Pillow drawing, through an affine map."""

    def __init__(self, drawing: ImageDraw.ImageDraw, affine: Affine) -> None:
        a, b, c, d, e, f = affine
        self._drawing = drawing
        self._matrix = np.array([[a, d], [b, e]])
        self._shift = np.array([c, f])
        self._scale = math.sqrt(abs(a * e - b * d))

    def fill(self, points: npt.NDArray[np.float64], colour: Colour) -> None:
        """Fill the polygon of ``points``, shape (n, 2), in unit coordinates."""
        placed = points @ self._matrix + self._shift
        self._drawing.polygon(cast(list[float], placed.ravel().tolist()), fill=colour)

    def stroke(self, points: npt.NDArray[np.float64], width: float, colour: Colour) -> None:
        """Draw a line through ``points``, shape (n, 2), with round ends; at least 1 pixel thick."""
        placed = cast(list[float], (points @ self._matrix + self._shift).ravel().tolist())
        pixels = max(1, round(width * self._scale))
        self._drawing.line(placed, fill=colour, width=pixels, joint="curve")
        if pixels > 2:
            radius = (pixels - 1) / 2
            for x, y in (placed[:2], placed[-2:]):
                self._drawing.ellipse((x - radius, y - radius, x + radius, y + radius), colour)

    def poly(self, points: Sequence[Point], colour: Colour) -> None:
        """A polygon with straight sides."""
        self.fill(np.array(points), colour)

    def blob(self, points: Sequence[Point], colour: Colour) -> None:
        """A smooth closed shape through ``points``."""
        p = np.array(points)
        around = np.stack([np.roll(p, shift, axis=0) for shift in (1, 0, -1, -2)])
        self.fill(np.einsum("sk,knc->nsc", _SPLINE, around).reshape(-1, 2), colour)

    def oval(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, tilt: float = 0.0
    ) -> None:
        """An ellipse around (x, y), turned clockwise by ``tilt`` degrees."""
        points = np.array(arc_points(0, 0, rx, ry))
        c, s = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
        self.fill(points @ np.array([[c, s], [-s, c]]) + (x, y), colour)

    def slice(
        self, x: float, y: float, rx: float, ry: float, start: float, stop: float, colour: Colour
    ) -> None:
        """The part of an ellipse between an arc and its chord; angles as in `arc_points`."""
        self.poly(arc_points(x, y, rx, ry, start, stop), colour)

    def box(
        self, x0: float, y0: float, x1: float, y1: float, colour: Colour, radius: float = 0.0
    ) -> None:
        """An upright rectangle with corners rounded by ``radius``."""
        if not radius:
            self.poly([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)
            return
        corners = [
            (x1 - radius, y1 - radius, 0),
            (x0 + radius, y1 - radius, 90),
            (x0 + radius, y0 + radius, 180),
            (x1 - radius, y0 + radius, 270),
        ]
        points: list[Point] = []
        for x, y, start in corners:
            points += arc_points(x, y, radius, radius, start, start + 90)[::4]
        self.poly(points, colour)

    def line(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """A line through ``points`` with round joints and ends."""
        self.stroke(np.array(points), width, colour)

    def arc(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        width: float,
        colour: Colour,
        start: float = 0.0,
        stop: float = 360.0,
    ) -> None:
        """A curved line along an ellipse; angles as in `arc_points`."""
        self.line(arc_points(x, y, rx, ry, start, stop), width, colour)


class Extent(Pen):
    """A pen that draws nothing and remembers its extent: ``low`` and ``high``, shape (2,)."""

    def __init__(self) -> None:
        self.low = np.full(2, np.inf)
        self.high = np.full(2, -np.inf)

    def fill(self, points: npt.NDArray[np.float64], colour: Colour) -> None:
        self._reach(points, 0.0)

    def stroke(self, points: npt.NDArray[np.float64], width: float, colour: Colour) -> None:
        self._reach(points, width / 2)

    def _reach(self, points: npt.NDArray[np.float64], margin: float) -> None:
        self.low = np.minimum(self.low, points.min(axis=0) - margin)
        self.high = np.maximum(self.high, points.max(axis=0) + margin)
