"""The cluster as it will become free, and the line that waits for it. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Waiter(NamedTuple):
    """One waiting job: what it asks for, how long it will run as far as anybody knows, and how
    long it has waited (seconds). Or so many ``tasks`` of an array that are all like it."""

    cores: int
    seconds: float
    waited: float
    tasks: int = 1

    @property
    def core_hours(self) -> float:
        return self.cores * self.seconds / 3600


@dataclass(frozen=True, slots=True)
class Outlook:
    """The cluster as it will become free: ``ends`` are (seconds from now, cores) of what runs.

    ``delay``: seconds until a job that leaves has begun elsewhere. ``mean``: core-hours of a job
    of this site; ``theta``: how much more a large job's hour of waiting counts (0: each job's the
    same, 1: each core-hour's).
    """

    cores: int
    free: int
    ends: Sequence[tuple[float, int]]
    delay: float = 300.0
    mean: float = 1.0
    theta: float = 0.0


class Room:
    """The cluster as it fills, from the head of the line on."""

    def __init__(self, outlook: Outlook) -> None:
        self._ends = list(outlook.ends)
        heapq.heapify(self._ends)
        self._free, self._at = outlook.free, 0.0

    def when(self, cores: int) -> float:
        """So many seconds from now that many cores are free; who comes later waits that long at
        least."""
        while self._free < cores:
            end, freed = heapq.heappop(self._ends)
            self._at, self._free = max(self._at, end), self._free + freed
        return self._at

    def fill(self, job: Waiter) -> list[tuple[int, float]]:
        """It, and all that is like it, starts as soon as there is room: how many of them have
        started by when, in seconds."""
        left, started = job.tasks, list[tuple[int, float]]()
        while left:
            at = self.when(job.cores)
            together = min(left, self._free // job.cores)
            self._free -= together * job.cores
            heapq.heappush(self._ends, (at + job.seconds, together * job.cores))
            left -= together
            started.append((job.tasks - left, at))
        return started
