"""One parameter over a range: what each value costs and spares, and where more stops paying."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from burstd.rehearsal.compare import decided
from burstd.rehearsal.decided import Rule
from burstd.rehearsal.history import History
from burstd.rehearsal.measures import Row
from burstd.rehearsal.rules import budgeted, marked

SHARE, HIGH = "cloud-share", "high"
MOST = 100  #: values
METHOD = "largest distance from the chord of the front, both axes scaled to 1"


class BadSweep(ValueError):
    """It can't be swept; says why."""


@dataclass(frozen=True)
class Sweep:
    """``cloud-share``: budgets. ``high``: marks of the threshold in core-hours, at any cost."""

    parameter: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Point:
    """One value, and what it came to. ``front``: nothing that costs less waits less."""

    value: float
    row: Row
    front: bool

    def as_json(self) -> dict[str, object]:
        """The row, named by its value."""
        return {"value": self.value, **self.row.as_json(), "front": self.front}


@dataclass(frozen=True)
class Swept:
    """All values in their order, and the knee of the front, if it bends."""

    parameter: str
    points: Sequence[Point]
    knee: Point | None

    def as_json(self) -> dict[str, object]:
        """With the method by which the knee was found."""
        return {
            "parameter": self.parameter,
            "points": [point.as_json() for point in self.points],
            "knee": self.knee.value if self.knee else None,
            "method": METHOD,
        }


def parse(text: str, strategy: str) -> Sweep:
    """PARAMETER=FIRST:LAST:STEP, both ends included. Raises ``BadSweep``."""
    parameter, _, span = text.partition("=")
    if parameter not in (SHARE, HIGH):
        raise BadSweep(f"--sweep {text}: {SHARE} or {HIGH} can be swept, not {parameter!r}")
    if parameter == HIGH and strategy != "threshold":
        raise BadSweep(f"--sweep {HIGH}: only --strategy threshold has a mark")
    try:
        first, last, step = map(float, span.split(":"))
    except ValueError as error:
        raise BadSweep(f"--sweep {text}: write {parameter}=FIRST:LAST:STEP") from error
    if not (0 < first <= last and step > 0 and (parameter == HIGH or last <= 1)):
        raise BadSweep(f"--sweep {text}: from above 0 upwards, a share no higher than 1")
    steps = (last - first) / step + 1e-9
    if steps >= MOST:
        raise BadSweep(f"--sweep {text}: more than {MOST} values; take a larger step")
    return Sweep(parameter, tuple(round(first + step * n, 10) for n in range(int(steps) + 1)))


def sweep(history: History, strategy: str, what: Sweep, theta: float) -> Swept:
    """A rehearsal for each value."""
    rows = [decided(f"{value:g}", history, _rule(history, strategy, what, value, theta)).row
            for value in what.values]  # fmt: skip
    best = set(front([(row.cloud_core_hours, row.mean_wait_s) for row in rows]))
    points = [
        Point(value, row, place in best)
        for place, (value, row) in enumerate(zip(what.values, rows, strict=True))
    ]
    return Swept(what.parameter, points, _knee(points))


def _rule(history: History, strategy: str, what: Sweep, value: float, theta: float) -> Rule:
    if what.parameter == HIGH:
        return marked(history, value)
    return budgeted(history, strategy, value, theta)


def front(points: Sequence[tuple[float, float]]) -> Iterator[int]:
    """Places of those that no other is better than: both less, or one less and one the same."""
    least = float("inf")
    for place in sorted(range(len(points)), key=lambda place: points[place]):
        if points[place][1] < least:
            least = points[place][1]
            yield place


def knee(points: Sequence[tuple[float, float]]) -> int | None:
    """Of a front, the place that lies farthest below the chord from its first to its last; None
    where none lies below (Satopaa et al., *Finding a kneedle in a haystack*, SIMPLEX 2011)."""
    if len(points) < 3:
        return None
    (x0, y0), (x1, y1) = points[0], points[-1]
    below = [1 - (x - x0) / (x1 - x0) - (y - y1) / (y0 - y1) for x, y in points]
    place = max(range(len(below)), key=below.__getitem__)
    return place if below[place] > 1e-9 else None


def _knee(points: Sequence[Point]) -> Point | None:
    best = sorted((p for p in points if p.front), key=lambda p: p.row.cloud_core_hours)
    place = knee([(p.row.cloud_core_hours, p.row.mean_wait_s) for p in best])
    return None if place is None else best[place]
