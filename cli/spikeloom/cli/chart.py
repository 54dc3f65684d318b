"""Plots as inline SVG that fit any width, take their colours from the page and need no script.

The drawing is stretched to the width there is, which strokes and labels do not follow: strokes
keep their width in pixels, dots are strokes of no length with round ends, and labels are text of
the page beside the drawing.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeloom.cli.markup import Html, join, tag

__all__ = ["Plot", "Scale", "Tick", "every", "legend", "nice_ticks"]

_SIZE = 1000
"""Units of the drawing in both directions."""

Tick = tuple[float, str]
"""Where on the scale, and what stands there."""


@dataclass(frozen=True)
class Scale:
    """From values to places in the drawing; left and right, or top and bottom."""

    start: float
    end: float

    def __call__(self, values: ArrayLike) -> NDArray[np.float64]:
        """Places from 0 to 1000, a hundredth apart at the closest."""
        part = (np.asarray(values, dtype=np.float64) - self.start) / (self.end - self.start)
        return np.round(part * _SIZE, 2)

    @property
    def range(self) -> tuple[float, float]:
        """The lower and the higher end."""
        return min(self.start, self.end), max(self.start, self.end)

    @classmethod
    def steps(cls, steps: int) -> "Scale":
        """From left to right, a step's middle at its number."""
        return cls(-0.5, steps - 0.5)

    @classmethod
    def upwards(cls, *values: ArrayLike, margin: float = 0.07) -> "Scale":
        """From top to bottom around all the values."""
        every_value = np.concatenate([np.ravel(np.asarray(v, dtype=np.float64)) for v in values])
        low, high = float(every_value.min()), float(every_value.max())
        space = (high - low) * margin or 1.0
        return cls(high + space, low - space)


def nice_ticks(scale: Scale, most: int) -> list[Tick]:
    """About that many multiples of 1, 2 or 5 times a power of ten, inside the scale."""
    low, high = scale.range
    unit = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(unit * m for m in (1, 2, 5, 10, 20) if (high - low) / (unit * m) <= most)
    first, last = math.ceil(low / step), math.floor(high / step)
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    minus = "\N{MINUS SIGN}"
    return [
        (k * step, f"{k * step:,.{places}f}".replace("-", minus)) for k in range(first, last + 1)
    ]


def every(length: int, most: int) -> int:
    """The smallest stride that leaves at most that many of ``length``."""
    return max(1, -(-length // most))


def legend(*entries: tuple[str, str] | None) -> Html:
    """Keys of the series drawn: class and text of each."""
    shown = (entry for entry in entries if entry is not None)
    return tag(
        "ul", *(tag("li", text, class_=f"key {kind}") for kind, text in shown), class_="legend"
    )


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A drawing area.

    Parameters
    ----------
    x, y
        Scales; ``y.start`` is the top.
    height
        In pixels. The width is that of the page.
    label
        Says in words what is drawn, for those who cannot see it.
    caption
        Stands above the drawing.
    """

    x: Scale
    y: Scale
    height: int
    label: str
    caption: str = ""

    def line(self, x: ArrayLike, y: ArrayLike, kind: str) -> Html:
        """A line through points."""
        points = _pairs(self.x(x), self.y(y))
        return _path("M" + "L".join(f"{a} {b}" for a, b in points), f"line {kind}")

    def stairs(self, x: ArrayLike, y: ArrayLike, kind: str) -> Html:
        """A line that keeps each value for one unit of ``x`` around its point."""
        x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        edges = np.column_stack([x - 0.5, x + 0.5]).ravel()
        return self.line(edges, np.repeat(y, 2), kind)

    def level(self, y: float, kind: str) -> Html:
        """A line from side to side."""
        return self.line(self.x.range, (y, y), kind)

    def dots(self, x: ArrayLike, y: ArrayLike, kind: str) -> Html:
        """A dot at each point."""
        points = _pairs(self.x(x), self.y(y))
        return _path("".join(f"M{a} {b}h.01" for a, b in points), f"dots {kind}")

    def bars(self, x: ArrayLike, low: ArrayLike, high: ArrayLike, kind: str) -> Html:
        """A vertical stroke at each ``x``."""
        low, high = np.broadcast_arrays(self.y(low), self.y(high))
        triples = zip(_words(self.x(x)), _words(low), _words(high), strict=True)
        return _path("".join(f"M{a} {b}V{c}" for a, b, c in triples), f"line {kind}")

    def boxes(
        self,
        x: ArrayLike,
        y: ArrayLike,
        kind: str,
        *,
        width: float = 0.86,
        height: ArrayLike = 0.8,
    ) -> Html:
        """A filled box around each point, its size in units of the scales."""
        x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        half = np.asarray(height, dtype=np.float64) / 2
        left, right = self.x(x - width / 2), self.x(x + width / 2)
        top, bottom = self.y(y - half), self.y(y + half)
        corners = zip(_words(left), _words(top), _words(right), _words(bottom), strict=True)
        return _path("".join(f"M{a} {b}H{c}V{d}H{a}z" for a, b, c, d in corners), f"box {kind}")

    def render(
        self,
        *marks: Html,
        x_ticks: Sequence[Tick] = (),
        y_ticks: Sequence[Tick] = (),
        grid: bool = True,
    ) -> Html:
        """The drawing with labels at the ticks, and grid lines there too unless unwanted."""
        lines = [self.bars([value], *self.y.range, "grid") for value, _ in x_ticks]
        lines += [self.level(value, "grid") for value, _ in y_ticks]
        drawing = tag(
            "svg",
            *(lines if grid else ()),
            *marks,
            viewBox=f"0 0 {_SIZE} {_SIZE}",
            preserveAspectRatio="none",
            role="img",
            aria_label=self.label,
            style=f"height:{self.height}px",
        )
        return tag(
            "div",
            tag("p", self.caption, class_="caption") if self.caption else None,
            tag("div", *_labels(self.y, y_ticks, "top"), class_="y", aria_hidden="true"),
            drawing,
            tag("div", *_labels(self.x, x_ticks, "left"), class_="x", aria_hidden="true")
            if x_ticks
            else None,
            class_="plot",
        )


def _labels(scale: Scale, ticks: Iterable[Tick], side: str) -> Iterable[Html]:
    for value, text in ticks:
        place = float(scale(value)) * 100 / _SIZE
        yield tag("span", text, style=f"{side}:{place:.2f}%")


def _path(places: str, kind: str) -> Html:
    return tag("path", d=places, class_=kind) if places not in ("", "M") else join(())


def _pairs(x: NDArray[Any], y: NDArray[Any]) -> Iterable[tuple[str, str]]:
    return zip(_words(x), _words(y), strict=True)


def _words(places: NDArray[Any]) -> list[str]:
    return [f"{place:.2f}".rstrip("0").rstrip(".") for place in np.atleast_1d(places).tolist()]
