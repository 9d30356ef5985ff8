"""The seam for time and for fresh names."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from burstd.domain.burst import Uptime


class Clock(Protocol):
    """Time as burstd sees it."""

    def now(self) -> datetime:
        """Aware, UTC. May jump: somebody sets it, or it is corrected."""

    def uptime(self) -> Uptime:
        """Time that only goes forward, for what must be measured rather than dated."""

    def fresh_id(self) -> str:
        """A name never used before, [0-9a-f]{12}; the source of burst ids."""
