"""How often those may look at their jobs who follow them: each look is a program of its own on the
proxy node, and an SSH connection at the target."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from burstd.domain.burst import BurstId

LOOK = 0.25  #: seconds of a CPU, at both ends together
CORES = 2.0  #: of the proxy node, that all looks together may take
SOONEST, LATEST = 4.0, 60.0  #: seconds between two looks
GONE = timedelta(seconds=3 * LATEST)


@dataclass
class Crowd:
    """Forgets with the daemon: after a start all ask anew within a minute."""

    _seen: dict[BurstId, datetime] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def period(self, burst: BurstId, now: datetime) -> float:
        """Seconds until this one's next look."""
        with self._lock:
            self._seen[burst] = now
            for gone in [b for b, at in self._seen.items() if now - at > GONE]:
                del self._seen[gone]
            return min(LATEST, max(SOONEST, len(self._seen) * LOOK / CORES))
