"""Who moves files over which line at this moment, and how fast each may."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from burstd.core.shares import LEAST, Flow, shares
from burstd.domain.burst import BurstId
from burstd.domain.data import MOST_COUNTED

#: An agent that moves files asks every two seconds.
SILENT = timedelta(seconds=10)
HUNGRY = 0.8  #: of its share: who uses that much wants more
MORE = 1.25  #: times what it used: who uses less may have so much


@dataclass(frozen=True)
class _Known:
    flow: Flow
    asked_at: datetime
    share: float


@dataclass
class Lines:
    """Forgets with the daemon: after a start all agents are asked anew within seconds."""

    _lines: dict[str, dict[BurstId, _Known]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def share(
        self, line: str, rate: float, burst: BurstId, weight: float, moved: int, now: datetime
    ) -> float:
        """Bytes a second that a burst may move over a line of so many. ``moved``: bytes that it
        has moved since it asked last."""
        with self._lock:
            known = self._lines.setdefault(line, {})
            for silent in [b for b, one in known.items() if now - one.asked_at > SILENT]:
                del known[silent]
            flows = {one: found.flow for one, found in known.items()}
            flows[burst] = Flow(weight, _wants(known.get(burst), moved, now))
            share = shares(rate, flows)[burst]
            known[burst] = _Known(flows[burst], now, share)
            return share


def _wants(before: _Known | None, moved: int, now: datetime) -> float:
    if before is None or now <= before.asked_at:
        return math.inf
    said = min(max(0, moved), MOST_COUNTED)  # less than nothing would be room that is not there
    used = said / (now - before.asked_at).total_seconds()
    return math.inf if used > HUNGRY * before.share else LEAST + MORE * used
