"""Time that moves when it is told to."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta


@dataclass
class SteppedClock:
    """``ports.clock.Clock``; starts at a full second."""

    at: datetime = datetime(2030, 1, 15, 12, tzinfo=UTC)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def now(self) -> datetime:
        return self.at

    def fresh_id(self) -> str:
        return f"{next(self._ids):012x}"

    def forward(self, **delta: float) -> None:
        """``forward(seconds=5)``."""
        self.at += timedelta(**delta)
