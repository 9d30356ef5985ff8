"""Plots as SVG text: two axes, lines or marks, a legend. Colours are the page's (report.py)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 340
LEFT, RIGHT, TOP, BOTTOM = 100, 16, 34, 50  #: around the plotted area
LETTER = 6.6  #: its width in the legend


@dataclass(frozen=True)
class Axis:
    """``label`` names the quantity and its unit. ``log``: decades; ``low`` is above zero then."""

    label: str
    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """0 at the low end, 1 at the high; what lies beyond is put on the edge."""
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return (at - low) / (high - low) if high > low else 0.0

    def ticks(self) -> list[float]:
        """Round values, some five to eight of them; on a logarithmic axis the powers of ten."""
        if self.log:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            return [10.0**power for power in range(first, last + 1)]
        step = _step((self.high - self.low) / 8)
        first, last = math.ceil(self.low / step), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


@dataclass(frozen=True)
class Series:
    """Points from left to right, drawn as the page's class ``s0``, ``s1`` ... (``style``).
    ``marks``: each for itself, no line between them."""

    name: str
    style: int
    points: Sequence[tuple[float, float]]
    marks: bool = False


def plot(title: str, x: Axis, y: Axis, series: Sequence[Series]) -> str:
    """One drawing. What is beyond an axis is drawn at its end."""
    drawn = [_frame(), *_across(x), *_up(y)]
    for one in series:
        drawn += _drawn(one, [(_right(x.place(a)), _down(y.place(b))) for a, b in one.points])
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        + "".join([*drawn, *_legend(series)])
        + "</svg>"
    )


def _step(rough: float) -> float:
    """The next of 1, 2, 5, 10 times a power of ten."""
    if rough <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next((power * part for part in (1, 2, 5) if power * part >= rough), power * 10)


def _right(place: float) -> float:
    return LEFT + place * (WIDTH - LEFT - RIGHT)


def _down(place: float) -> float:
    return HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM)


def _frame() -> str:
    return f'<path class="axis" d="M{LEFT} {TOP}V{_down(0)}H{WIDTH - RIGHT}"/>'


def _across(axis: Axis) -> list[str]:
    drawn = []
    for tick in axis.ticks():
        at = _right(axis.place(tick))
        drawn.append(f'<path class="grid" d="M{at:.1f} {TOP}V{_down(0)}"/>')
        drawn.append(_text(at, _down(0) + 16, f"{tick:,.10g}"))
    return [*drawn, _text(_right(0.5), HEIGHT - 12, axis.label)]


def _up(axis: Axis) -> list[str]:
    drawn = []
    for tick in axis.ticks():
        at = _down(axis.place(tick))
        drawn.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        drawn.append(_text(LEFT - 6, at + 4, f"{tick:,.10g}", "end"))
    middle = _down(0.5)
    turned = f' transform="rotate(-90 14 {middle})"'
    return [*drawn, _text(14, middle, axis.label, more=turned)]


def _text(x: float, y: float, text: str, anchor: str = "middle", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'


def _drawn(one: Series, points: Sequence[tuple[float, float]]) -> list[str]:
    if one.marks:
        return [
            f'<circle class="mark s{one.style}" cx="{x:.1f}" cy="{y:.1f}" r="5"/>'
            for x, y in points
        ]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return [f'<path class="line s{one.style}" d="M{path}"/>'] if path else []


def _legend(series: Sequence[Series]) -> list[str]:
    drawn, at = [], float(LEFT)
    for one in series:
        drawn += _drawn(one, [(at + 11, 14)] if one.marks else [(at, 14), (at + 22, 14)])
        drawn.append(_text(at + 28, 18, one.name, "start"))
        at += 28 + 18 + LETTER * len(one.name)
    return drawn
