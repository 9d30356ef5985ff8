"""EASY backfill: first come, first served, as far as nobody has priority; and who delays the first
one's start does not overtake.

Source: Lifka, *The ANL/IBM SP Scheduling System* (JSSPP 1995); Mu'alem and Feitelson (TPDS 2001).
The scheduler believes what jobs ask for and learns when they end.
"""

from __future__ import annotations

import heapq
import sys
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from burstd.rehearsal.history import History, PastJob

#: (time by which it will have ended at the latest, cores, number)
Promise = tuple[int, int, int]


@dataclass
class Cluster:
    """The cluster at one moment: what runs, what waits, first in line first."""

    cores: int
    now: int = 0
    free: int = 0
    waiting: list[PastJob] = field(default_factory=list)
    promised: list[Promise] = field(default_factory=list)  #: of what runs, soonest first

    def __post_init__(self) -> None:
        self.free = self.cores

    def start(self, job: PastJob) -> None:
        """It runs from now on."""
        self.free -= job.cores
        insort(self.promised, (self.now + job.limit, job.cores, job.number))

    def end(self, job: PastJob, started: int) -> None:
        """Its cores are free."""
        self.free += job.cores
        promise = (started + job.limit, job.cores, job.number)
        del self.promised[bisect_left(self.promised, promise)]

    def starters(self) -> list[int]:
        """Places in the line of those who start now, in the order of their start."""
        waiting, free = self.waiting, self.free
        found: list[int] = []
        for place, job in enumerate(waiting):
            if job.cores > free:
                return [*found, *self._backfill(place, free, found)]
            found.append(place)
            free -= job.cores
        return found

    def _backfill(self, blocked: int, free: int, started: Sequence[int]) -> Iterable[int]:
        """Who may overtake the first that must wait."""
        if not free:
            return
        now, waiting = self.now, self.waiting
        shadow, spare = self._shadow(waiting[blocked].cores, free, started)
        for place in range(blocked + 1, len(waiting)):
            job = waiting[place]
            if job.cores > free:
                continue
            if now + job.limit > shadow:
                if job.cores > spare:
                    continue
                spare -= job.cores
            yield place
            free -= job.cores
            if not free:
                return

    def _shadow(self, wanted: int, free: int, started: Sequence[int]) -> tuple[int, int]:
        """When the blocked one starts at the latest, and the cores it then leaves over."""
        promised: Iterable[Promise] = self.promised
        if started:
            mine = [(self.now + j.limit, j.cores, j.number) for j in self._at(started)]
            promised = heapq.merge(self.promised, sorted(mine))
        for end, cores, _ in promised:
            free += cores
            if free >= wanted:
                return end, free - wanted
        raise AssertionError(f"{wanted} cores are more than the cluster's {self.cores}")

    def _at(self, places: Sequence[int]) -> Iterable[PastJob]:
        return (self.waiting[place] for place in places)


#: Looks at the cluster after all that can start has started; names places in the line that leave.
Choose = Callable[[Cluster], Sequence[int]]
#: Hears of each job that starts at home, and when.
Hear = Callable[[PastJob, int], None]
#: (when it ends, number, job, when it started) of what runs
Ends = list[tuple[int, int, PastJob, int]]


def _unheard(_job: PastJob, _now: int) -> None:
    """Nobody wants to know."""


NEVER = sys.maxsize
#: Seconds after which, in cycles, it is looked again although nothing has happened: jobs grow old,
#: windows open, prices fall.
IDLE = 300


@dataclass(frozen=True, slots=True)
class Run:
    """What became of one job. ``started``: as its time; ``away``: it left, so long before."""

    job: PastJob
    started: int
    away: bool
    trip: int = 0

    @property
    def wait(self) -> int:
        return self.started - self.job.submitted


class _Looks:
    """When it is looked who may leave: when something has happened, or at the next full cycle."""

    def __init__(self, cycle: int, first: int) -> None:
        self._cycle, self._first = cycle, first
        self.due = NEVER

    def happened(self, now: int) -> None:
        self.due = min(self.due, self._full(now))

    def looked(self, now: int, *, left: bool) -> None:
        """Who left may have made room for others to leave."""
        wait = self._cycle if left else max(self._cycle, IDLE)
        self.due = self._full(now + wait) if self._cycle else NEVER

    def _full(self, now: int) -> int:
        return now + (self._first - now) % self._cycle if self._cycle else now


def rehearse(
    history: History, choose: Choose, delay: int, hear: Hear = _unheard, cycle: int = 0
) -> list[Run]:
    """Run the history again. What leaves starts ``delay`` seconds later, elsewhere, where there is
    always room. In the order of the starts. ``cycle``: seconds from one moment at which jobs may
    leave to the next; 0: whenever one comes or ends."""
    cluster, runs = Cluster(history.cores), list[Run]()
    arrivals, ends = history.jobs, Ends()
    looks, coming = _Looks(cycle, arrivals[0].submitted if arrivals else 0), 0
    while coming < len(arrivals) or ends:
        arrival = arrivals[coming].submitted if coming < len(arrivals) else NEVER
        event = min(arrival, ends[0][0]) if ends else arrival
        cluster.now = min(event, looks.due)
        if cluster.now == event:
            _end(cluster, ends)
            coming += _come(cluster, arrivals, coming)
            _schedule(cluster, runs, ends, hear)
            looks.happened(event)
        if cluster.now < looks.due:
            continue
        leave = choose(cluster) if cluster.waiting else ()
        looks.looked(cluster.now, left=bool(leave))
        if leave:
            taken = _taken(cluster.waiting, leave)
            runs += [Run(job, cluster.now + delay, True, delay) for job in taken]
            _schedule(cluster, runs, ends, hear)
    return runs


def _end(cluster: Cluster, ends: Ends) -> None:
    while ends and ends[0][0] == cluster.now:
        _, _, job, started = heapq.heappop(ends)
        cluster.end(job, started)


def _come(cluster: Cluster, arrivals: Sequence[PastJob], coming: int) -> int:
    """How many came."""
    first = coming
    while coming < len(arrivals) and arrivals[coming].submitted == cluster.now:
        insort(cluster.waiting, arrivals[coming], key=_place)
        coming += 1
    return coming - first


def _place(job: PastJob) -> tuple[int, int, int]:
    return -job.priority, job.submitted, job.number


def _schedule(cluster: Cluster, runs: list[Run], ends: Ends, hear: Hear) -> None:
    if not cluster.free or not cluster.waiting:
        return
    for job in _taken(cluster.waiting, cluster.starters()):
        cluster.start(job)
        hear(job, cluster.now)
        runs.append(Run(job, cluster.now, False))
        heapq.heappush(ends, (cluster.now + job.ran, job.number, job, cluster.now))


def _taken(waiting: list[PastJob], places: Sequence[int]) -> list[PastJob]:
    """Take those at these places out of the line."""
    if not places:
        return []
    taken = [waiting[place] for place in places]
    gone = set(places)
    waiting[:] = [job for place, job in enumerate(waiting) if place not in gone]
    return taken
