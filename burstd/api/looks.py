"""What questions of people see of the queue: any user may ask, and nobody may have slurmctld and
licence servers asked at will."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import timedelta

from burstd.api.turns import Turns
from burstd.domain.plan import Snapshot
from burstd.shell.tick import Memory, look
from burstd.shell.world import World

FRESH = timedelta(seconds=30)  #: so old may be what the last cycle saw
AGAIN = 10.0  #: seconds; for all who ask within them there is one look


@dataclass
class Looks:
    """Each question that may need a look, or decides on the whole queue, is answered in its turn:
    the others' must not wait for a thread meanwhile."""

    turns: Turns = field(default_factory=Turns)
    _seen: tuple[float, Snapshot | None] | None = field(default=None)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def lately(self, world: World, memory: Memory) -> Snapshot | None:
        """What the last cycle saw; where that is too long ago, as ``now``."""
        seen = memory.snapshot
        now = world.clock.now()
        fresh = seen is not None and timedelta() <= now - seen.queue.taken_at <= FRESH
        return seen if fresh else self.now(world, memory)

    def now(self, world: World, memory: Memory) -> Snapshot | None:
        """What there is; ``None``: the queue can't be read."""
        with self._lock:
            now = world.clock.uptime().seconds
            if self._seen is None or not 0 <= now - self._seen[0] < AGAIN:
                # A memory of its own: the daemon's is in use in another thread.
                found = look(world, memory.apart(), world.store.ledger())
                self._seen = (world.clock.uptime().seconds, found)
            return self._seen[1]
