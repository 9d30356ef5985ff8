"""Does the queue, or a part of it with marks of its own, surge? Pure.

A pressure begins to surge at its high mark and ends below its low one. Jobs leave while what still
waits is above the low mark; with damped steps no more than a part of that in one cycle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from burstd.domain.jobs import CoreHours, QueuedJob
from burstd.domain.plan import Objection, Reason
from burstd.domain.policy import QUEUE, BurstPolicy, Pressure, Watermarks


class Load(NamedTuple):
    """What a job that waits is to the pressures that it is part of."""

    job: QueuedJob
    core_hours: float
    gpu_hours: float = 0.0

    def part_of(self, pressure: Pressure) -> bool:
        """Its waiting is pressure there."""
        return pressure.covers(self.job, gpus=self.gpu_hours > 0)

    def hours(self, pressure: Pressure) -> float:
        """In the unit of its marks."""
        return self.gpu_hours if pressure.gpus else self.core_hours


@dataclass
class Gauge:
    """One pressure while a plan is made. ``left``: what still waits, in its unit."""

    pressure: Pressure
    backlog: float
    surging: bool
    floor: float  #: jobs leave while it is at least this
    left: float

    def objection(self) -> Objection | None:
        """Why nobody leaves because of it, or no more."""
        if self.surging and self.left >= self.floor:
            return None
        marks = self.pressure.marks
        unit = "GPU-hours" if self.pressure.gpus else "core-hours"
        numbers = {"backlog": f"{self.left:.2f} {unit}"}
        if self.surging:
            why = Reason.DAMPED if self.left < marks.low else Reason.STEP
            return why, {**numbers, "low": f"{marks.low:g}", **self._name()}
        marked = {"high": f"{marks.high:g}", "low": f"{marks.low:g}"}
        return Reason.BELOW_WATERMARK, {**numbers, **marked, **self._name()}

    def _name(self) -> dict[str, str]:
        return {} if self.pressure.name == QUEUE else {"pressure": self.pressure.name}


class Gauges:
    """Every pressure of a site. ``waiting``: what may leave, and how many are like it."""

    def __init__(
        self,
        waiting: Sequence[tuple[Load, int]],
        policy: BurstPolicy,
        were: Iterable[str] = (),
    ) -> None:
        surged = frozenset(were)
        self._all = [_gauge(p, waiting, policy, p.name in surged) for p in pressures(policy)]
        self._said: dict[str, Objection] = {}

    @property
    def backlog(self) -> CoreHours:
        """Of the whole queue, as it was before anybody left."""
        return CoreHours(self._all[0].backlog)

    @property
    def backlogs(self) -> Mapping[str, float]:
        """Of its parts, by name."""
        return {gauge.pressure.name: gauge.backlog for gauge in self._all[1:]}

    @property
    def surging(self) -> frozenset[str]:
        return frozenset(gauge.pressure.name for gauge in self._all if gauge.surging)

    def of(self, load: Load) -> list[Gauge]:
        """Those that it is part of; the whole queue's first."""
        if len(self._all) == 1:
            return self._all
        return [gauge for gauge in self._all if load.part_of(gauge.pressure)]

    def objection(self, load: Load) -> Objection | None:
        """Leaves none of its pressures it room to leave: what the first says."""
        gauges = self.of(load)
        if any(gauge.surging and gauge.left >= gauge.floor for gauge in gauges):
            return None
        # The one that speaks is the one that surges, or the whole queue.
        speaker = next((gauge for gauge in gauges if gauge.surging), gauges[0])
        return self._once(speaker.pressure.name, speaker.objection)

    def take(self, load: Load) -> None:
        """It leaves."""
        self._said.clear()
        for gauge in self.of(load):
            gauge.left -= load.hours(gauge.pressure)

    def _once(self, name: str, said: Callable[[], Objection | None]) -> Objection | None:
        """Tens of thousands may hear the same."""
        if name not in self._said and (why := said()) is not None:
            self._said[name] = why
        return self._said.get(name)


def pressures(policy: BurstPolicy) -> list[Pressure]:
    """The whole queue, and its parts."""
    return [Pressure(QUEUE, policy.watermarks), *policy.pressures]


def is_surging(backlog: float, marks: Watermarks, *, was: bool) -> bool:
    """Start at the high-water mark; stop only below the low one."""
    return backlog >= (marks.low if was else marks.high)


def _gauge(
    pressure: Pressure,
    waiting: Sequence[tuple[Load, int]],
    policy: BurstPolicy,
    was: bool,
) -> Gauge:
    if pressure.name == QUEUE:
        backlog = sum(load.core_hours * count for load, count in waiting)
    else:
        parts = ((load, count) for load, count in waiting if load.part_of(pressure))
        backlog = sum(load.hours(pressure) * count for load, count in parts)
    marks = pressure.marks
    floor = max(marks.low, backlog - policy.step * (backlog - marks.low))
    surging = is_surging(backlog, marks, was=was)
    return Gauge(pressure, backlog, surging, floor, backlog)
