"""Which of the waiting jobs leave. Every strategy gives each job in the line a worth; who is worth
more than the price of the moment leaves. Pure.

The threshold decides *when*; *which* job goes matters more. Worths are hours: of waiting, for what
a job of this site costs on average (``threshold``: that the whole cluster would need for what
waits), so that one range of prices serves them all, on small sites and large ones.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiter:
    """One waiting job: what it asks for, how long it will run as far as anybody knows, and how
    long it has waited (seconds). Or ``count`` tasks of an array that are all like it."""

    cores: int
    seconds: float
    waited: float
    count: int = 1

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


#: (the line in its order, the cluster, the price) -> what each is worth; above the price: it leaves
Strategy = Callable[[Sequence[Waiter], Outlook, float], list[float]]


def threshold(line: Sequence[Waiter], outlook: Outlook, _price: float) -> list[float]:
    """From the head, until what still waits is below the mark: the core-hours from here on."""
    worth, behind = [0.0] * len(line), 0.0
    for place in range(len(line) - 1, -1, -1):
        behind += line[place].core_hours * line[place].count
        worth[place] = behind / outlook.cores
    return worth


def waiting(line: Sequence[Waiter], outlook: Outlook, _price: float) -> list[float]:
    """A large job may be let wait longer than a small one (Starburst, USENIX ATC 2024)."""
    return [job.waited / 3600 * outlook.mean / max(job.core_hours, 1e-9) for job in line]


def marginal(line: Sequence[Waiter], outlook: Outlook, price: float) -> list[float]:
    """The hours of waiting that each would be spared, and would spare those behind it, for what it
    costs. Who leaves is not in the way of those behind: so in the order of the line."""
    weights = [_weight(job, outlook) for job in line]
    behind = sum(weight * job.count for job, weight in zip(line, weights, strict=True))
    room = Room(outlook)
    worth = []
    for job, weight in zip(line, weights, strict=True):
        behind -= weight * job.count
        at = room.when(job.cores)
        hours = max(job.core_hours, 1e-9)
        spared = (at - outlook.delay) / 3600
        saved = spared * weight + hours / outlook.cores * behind if spared > 0 else 0.0
        value = saved * outlook.mean / hours
        worth.append(value)
        if value <= price:
            room.fill(job)
    return worth


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

    def fill(self, job: Waiter) -> None:
        """It, and all that is like it, starts as soon as there is room."""
        left = job.count
        while left:
            at = self.when(job.cores)
            together = min(left, self._free // job.cores)
            self._free -= together * job.cores
            heapq.heappush(self._ends, (at + job.seconds, together * job.cores))
            left -= together


def _weight(job: Waiter, outlook: Outlook) -> float:
    if not outlook.theta:
        return 1.0
    return float((job.core_hours / outlook.mean) ** outlook.theta)


STRATEGIES: Mapping[str, Strategy] = {
    "threshold": threshold,
    "waiting": waiting,
    "marginal": marginal,
}
