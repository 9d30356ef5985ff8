"""When those that wait start, if nobody leaves: as a scheduler that backfills lets them. Pure.

EASY: who does not delay the first in the line may overtake it (Lifka, *The ANL/IBM SP Scheduling
System*, JSSPP 1995; so does Slurm's sched/backfill, slurm.conf(5)). Everybody runs as long as is
expected, so no reservation moves once it is made. A small job behind a large one waits far less
than its place in the line says, and is not worth buying for that.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from burstd.core.room import Outlook, Waiter

REACH = 20  #: lines behind the first that may overtake it; more of them change nothing (measured)
SEEN = 1000  #: starts, beyond which a line is no longer looked at: who waits there waits long


def starts(line: Sequence[Waiter], outlook: Outlook) -> list[float]:
    """Seconds from now until the first job of each starts; infinite where that is out of sight."""
    easy = _Easy(line, outlook)
    while easy.window and easy.started < SEEN:
        easy.step()
    return easy.found


@dataclass
class _Waiting:
    """One of the line, and how many of its jobs have not started."""

    place: int
    job: Waiter
    left: int


class _Easy:
    """The cluster from now on. ``window``: the first of the line and who may overtake it."""

    def __init__(self, line: Sequence[Waiter], outlook: Outlook) -> None:
        self.found = [math.inf] * len(line)
        self.started = 0
        self._ends = sorted(outlook.ends)
        self._passed = 0  #: of the ends
        self._free, self._at = outlook.free, 0.0
        waiting = (_Waiting(place, job, job.tasks) for place, job in enumerate(line))
        self._coming: Iterator[_Waiting] = waiting
        self.window = list(islice(waiting, 1 + REACH))

    def step(self) -> None:
        """The first starts, as soon as there is room; meanwhile others overtake it."""
        first = self.window[0]
        start, spare = self._reserved(first.job.cores)
        spare = self._overtake(start, spare)
        while self._passed < len(self._ends) and self._ends[self._passed][0] <= start:
            self._wait()
            spare = self._overtake(start, spare)
        self._start(first)
        self._move_up()

    def _wait(self) -> None:
        """Until the next end, and whatever else ends then."""
        self._at = max(self._at, self._ends[self._passed][0])
        while self._passed < len(self._ends) and self._ends[self._passed][0] <= self._at:
            self._free += self._ends[self._passed][1]
            self._passed += 1

    def _reserved(self, cores: int) -> tuple[float, int]:
        """When so many are free at the latest, and how many more there are then."""
        free, at = self._free, self._at
        for end, freed in islice(self._ends, self._passed, None):
            if free >= cores:
                break
            free, at = free + freed, max(at, end)
        return at, free - cores

    def _overtake(self, reserved: float, spare: int) -> int:
        """Who is over before the first starts, or fits beside it; what is then left beside it.
        Not at this very moment: whom Slurm could start it has started."""
        if not 0 < self._at < reserved:
            return spare
        for other in self.window[1:]:
            job = other.job
            while other.left and job.cores <= self._free and self.started < SEEN:
                if self._at + job.seconds > reserved:
                    if job.cores > spare:
                        break
                    spare -= job.cores
                self._start(other)
        self._move_up()
        return spare

    def _start(self, waiting: _Waiting) -> None:
        job = waiting.job
        self.found[waiting.place] = min(self.found[waiting.place], self._at)
        waiting.left -= 1
        self.started += 1
        self._free -= job.cores
        insort(self._ends, (self._at + job.seconds, job.cores), lo=self._passed)

    def _move_up(self) -> None:
        window = [waiting for waiting in self.window if waiting.left]
        self.window = [*window, *islice(self._coming, 1 + REACH - len(window))]
