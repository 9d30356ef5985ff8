"""The core's strategies at work on the rehearsed cluster, and what they are compared with."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from burstd.core.selection import STRATEGIES, Outlook, Strategy, Waiter
from burstd.core.steering import Steering
from burstd.domain.usage import RUNS, shrunk
from burstd.rehearsal.easy import Cluster
from burstd.rehearsal.history import History, PastJob
from burstd.rehearsal.measures import BILLED

DELAY = 300  #: seconds until a job that leaves has begun elsewhere
SHORTEST = 60.0  #: seconds that a job is expected to run at least
THETA = 0.5  #: between each job's hour (0) and each core-hour's (1)


class Forecast(Protocol):
    """How long a job will run, in seconds, as far as it can be known."""

    def __call__(self, job: PastJob) -> float: ...

    def ended(self, job: PastJob) -> None:
        """It has ended, wherever it ran."""


class Limits:
    """What their users say."""

    def __call__(self, job: PastJob) -> float:
        return job.limit

    def ended(self, job: PastJob) -> None:
        """Nothing is learnt from it."""


class Clairvoyant(Limits):
    """What nobody can know before."""

    def __call__(self, job: PastJob) -> float:
        return job.ran


@dataclass
class Habits:
    """The limit, times the part of it that the user's last ten runs of that application used on
    average, counted with one that used all; the limit for who has run nothing yet, or is not known.

    Nothing shorter: of jobs whose forecasts are noisy, those that are forecast too short look the
    cheapest and are bought. The last two runs alone (Tsafrir et al., TPDS 2007) doubled the cost.
    """

    _used: dict[tuple[str, str, str], deque[float]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=RUNS))
    )

    def __call__(self, job: PastJob) -> float:
        used = self._used.get((job.user, job.application, job.queue)) if job.user else None
        if not used:
            return job.limit
        return max(min(SHORTEST, job.limit), job.limit * shrunk(used))

    def ended(self, job: PastJob) -> None:
        self._used[job.user, job.application, job.queue].append(job.ran / job.limit)


def everything(cluster: Cluster) -> Sequence[int]:
    """Who can't start at once leaves."""
    return range(len(cluster.waiting))


def nothing(_cluster: Cluster) -> Sequence[int]:
    """Nobody leaves."""
    return ()


@dataclass
class Steered:
    """One strategy under a budget of core-hours for the whole history; ``mark``: instead of one,
    the threshold's core-hours, at any cost."""

    history: History
    strategy: str
    share: float
    forecast: Forecast = field(default_factory=Habits)
    theta: float = THETA
    mark: float | None = None
    _running: dict[int, tuple[PastJob, int, float]] = field(default_factory=dict)
    _ends: list[tuple[int, int, PastJob, float, float]] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)
    _hours: float = 0.0  #: of all that were seen
    _spent: float = 0.0  #: by what has ended
    _likely: float = 0.0  #: by what is away
    _bound: float = 0.0  #: the worst case of that

    def __post_init__(self) -> None:
        self._rule: Strategy = STRATEGIES[self.strategy]
        self._first = self.history.jobs[0].submitted
        self._budget = math.inf
        if self.mark is None:
            self._budget = self.share * self.history.core_hours
        self._steering = Steering(self._budget, max(1.0, float(self.history.seconds)))

    def started(self, job: PastJob, now: int) -> None:
        """It runs at home from now on."""
        self._running[job.number] = (job, now, self.forecast(job))
        heapq.heappush(self._ends, (now + job.ran, job.number, job, 0.0, 0.0))

    def __call__(self, cluster: Cluster) -> Sequence[int]:
        now = cluster.now
        self._learn(now)
        line = [
            Waiter(job.cores, self.forecast(job), now - job.submitted) for job in cluster.waiting
        ]
        for job, waiter in zip(cluster.waiting, line, strict=True):
            if job.number not in self._seen:
                self._seen.add(job.number)
                self._hours += waiter.core_hours
        price = self._price(now)
        worth = self._rule(line, self._outlook(cluster), price)
        return [
            place
            for place, (job, waiter) in enumerate(zip(cluster.waiting, line, strict=True))
            if worth[place] > price and self._buy(job, waiter, now)
        ]

    def _price(self, now: int) -> float:
        if self.mark is not None:
            return self.mark / self.history.cores
        return self._steering.price(now - self._first, self._spent + self._likely)

    def _learn(self, now: int) -> None:
        while self._ends and self._ends[0][0] <= now:
            _, number, job, likely, worst = heapq.heappop(self._ends)
            self.forecast.ended(job)
            if self._running.pop(number, None) is None:
                self._spent += _cost(job, job.ran)
                self._likely -= likely
                self._bound -= worst

    def _buy(self, job: PastJob, waiter: Waiter, now: int) -> bool:
        """False where its worst case is more than is left."""
        worst, likely = _cost(job, job.limit), _cost(job, waiter.seconds)
        if self._spent + self._bound + worst > self._budget:
            return False
        self._bound += worst
        self._likely += likely
        heapq.heappush(self._ends, (now + DELAY + job.ran, job.number, job, likely, worst))
        return True

    def _outlook(self, cluster: Cluster) -> Outlook:
        now, ends = cluster.now, []
        for end, cores, number in cluster.promised:
            _, began, seconds = self._running[number]
            left = began + seconds - now
            if left <= 0:  # longer than was expected: half as long again, but no longer than it may
                left = min(max(SHORTEST, (now - began) / 2), max(0, end - now))
            ends.append((left, cores))
        mean = self._hours / len(self._seen) if self._seen else 1.0
        return Outlook(cluster.cores, cluster.free, ends, DELAY, mean, self.theta)


def _cost(job: PastJob, seconds: float) -> float:
    return job.cores * (seconds + BILLED) / 3600
