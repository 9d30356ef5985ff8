"""Time that moves when it is told to."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from burstd.domain.burst import Uptime


@dataclass
class SteppedClock:
    """``ports.clock.Clock``; starts at a full second."""

    at: datetime = datetime(2030, 1, 15, 12, tzinfo=UTC)
    up: Uptime = field(default_factory=lambda: Uptime("boot-1", 1000.0))
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def now(self) -> datetime:
        return self.at

    def uptime(self) -> Uptime:
        return self.up

    def fresh_id(self) -> str:
        return f"{next(self._ids):012x}"

    def forward(self, **delta: float) -> None:
        """``forward(seconds=5)``."""
        step = timedelta(**delta)
        self.at += step
        self.up = replace(self.up, seconds=self.up.seconds + step.total_seconds())


@dataclass
class SetClock:
    """The same time, seen by a machine whose wall clock somebody has set ``ahead``."""

    real: SteppedClock
    ahead: timedelta = timedelta()
    machine: str = "boot-1"

    def now(self) -> datetime:
        return self.real.now() + self.ahead

    def uptime(self) -> Uptime:
        return replace(self.real.uptime(), machine=self.machine)

    def fresh_id(self) -> str:
        return self.real.fresh_id()
