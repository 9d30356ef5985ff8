"""How far a burst's files have come, by its agent's word."""

from __future__ import annotations

from dataclasses import dataclass

from burstd.api.desk import Desk
from burstd.domain.burst import Burst, Stage

#: Which way files go in which stage
WAYS = {Stage.STAGING_IN: "in", Stage.STAGING_OUT: "out"}


@dataclass(frozen=True)
class Moved:
    """``size`` of ``total`` bytes need nothing more of its own agent. ``waiting``: files that lack
    what another job's agent is bringing."""

    stage: Stage
    size: int
    total: int
    waiting: int

    @property
    def percent(self) -> int:
        """Of all bytes; 100 only once nothing is waited for."""
        found = self.size * 100 // self.total
        return min(found, 99) if self.waiting else found

    def words(self) -> str:
        """In a line."""
        unit, name = (1e9, "GB") if self.total >= 1e9 else (1e6, "MB")
        told = f"{self.size / unit:.1f} of {self.total / unit:.1f} {name} "
        told += "are sent, or there already" if self.stage is Stage.STAGING_IN else "have come home"
        if self.waiting:
            told += f"; {self.waiting} files wait for what another job is just sending"
        return told


def moved(desk: Desk, burst: Burst) -> Moved | None:
    """Of one whose files are on their way; ``None`` while nobody has said so."""
    way = WAYS.get(burst.stage)
    if way is None:
        return None
    report = desk.world.store.reports(burst.id, "moving").get("moving")
    if report is None or report.body.get("way") != way:
        return None
    # What an agent says is a user's word.
    numbers = [report.body.get(name) for name in ("bytes", "of", "waiting")]
    size, total, waiting = (one if isinstance(one, int) else 0 for one in numbers)
    if total <= 0:
        return None
    return Moved(burst.stage, min(max(0, size), total), total, max(0, waiting))
