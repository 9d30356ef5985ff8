"""Time that moves when it is told to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from burstd.domain.burst import Uptime


@dataclass
class SteppedClock:
    """``ports.clock.Clock``; starts at a full second."""

    at: datetime = datetime(2030, 1, 15, 12, tzinfo=UTC)
    up: Uptime = field(default_factory=lambda: Uptime("boot-1", 1000.0))
    _ids: int = 0

    def now(self) -> datetime:
        return self.at

    def uptime(self) -> Uptime:
        return self.up

    def fresh_id(self) -> str:
        self._ids += 1
        return f"{self._ids:012x}"

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
    started: float = 0.0  #: the real uptime at which this machine came up

    def now(self) -> datetime:
        return self.real.now() + self.ahead

    def uptime(self) -> Uptime:
        return Uptime(self.machine, self.real.uptime().seconds - self.started)

    def fresh_id(self) -> str:
        return self.real.fresh_id()

    def reboot(self) -> None:
        """The machine starts again: its uptime too, its wall clock goes on."""
        self.machine, self.started = f"{self.machine}+", self.real.uptime().seconds
