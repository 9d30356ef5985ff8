"""How long jobs will run, by what their users ran before. Time limits are upper bounds: many are
ten times too long.

The mean of the last two runs is the published baseline (Tsafrir, Etsion and Feitelson,
*Backfilling using system-generated predictions*, TPDS 2007). Here it is no good: of jobs whose
forecasts are noisy those that are forecast too short look the cheapest, and are taken. So nothing
is forecast shorter than its user's habits say (docs/policy.md has the figures).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Generic, TypeVar

from burstd.domain.jobs import QueuedJob

SHORTEST = timedelta(minutes=1)  #: that anything is expected to run
_SHORTEST = SHORTEST.total_seconds()
RUNS = 10  #: of a kind, or of a user, that count
REQUESTS = 100  #: of runs that asked for as much, whoever's they were
_ANY = 0  #: instead of a number of cores

_NUMBERS = re.compile(r"\d+")
K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class PastRun:
    """A job that came to its end in a partition of the site's own."""

    user: str
    name: str
    account: str
    limit: timedelta
    ran: timedelta
    cores: int = 0  #: 0: not known

    @property
    def core_hours(self) -> float:
        return self.cores * self.ran.total_seconds() / 3600


@dataclass(frozen=True, slots=True)
class Expectation:
    """How long a job will run: this ``part`` of its limit, by so many ``runs``; by its limit where
    there are none. ``whose``: which runs, in words."""

    time: timedelta
    part: float = 1.0
    runs: int = 0
    whose: str = ""

    @property
    def by(self) -> str:
        """In words."""
        if not self.runs:
            return "its time limit: nothing is known of runs like it"
        return f"{self.part:.0%} of its limit, by {self.runs} {self.whose}"


def shrunk(used: Collection[float]) -> float:
    """The part of a limit that runs use on average, counted with one that used all."""
    return (1 + sum(used)) / (1 + len(used))


@dataclass(frozen=True)
class Habits:
    """All that is kept of runs: the parts of their limits that they used, the oldest first; and the
    core-hours of all that are ``sized``: whose cores are known."""

    alike: Mapping[tuple[str, str], tuple[float, ...]]  #: by user and kind
    users: Mapping[str, tuple[float, ...]]
    core_hours: float = 0.0
    sized: int = 0
    #: By what was asked for: cores, and seconds of the limit; 0 cores: whatever they were.
    requests: Mapping[tuple[int, int], tuple[float, ...]] = field(default_factory=dict)


class _Parts(Generic[K]):
    """The parts of their limits that the last ``most`` runs of each kind used."""

    def __init__(self, most: int, used: Mapping[K, Iterable[float]] | None = None) -> None:
        self._most = most
        self._used = {key: deque(parts, most) for key, parts in (used or {}).items()}
        self._shrunk: dict[K, float] = {}

    def add(self, key: K, used: float) -> None:
        self._used.setdefault(key, deque(maxlen=self._most)).append(used)
        self._shrunk.pop(key, None)

    def part(self, key: K) -> float | None:
        """What a run of this kind is expected to use; ``None``: nothing is known of it."""
        found = self._shrunk.get(key)
        if found is None and key in self._used:
            found = self._shrunk[key] = shrunk(self._used[key])
        return found

    def of(self, key: K) -> tuple[float, ...]:
        return tuple(self._used.get(key, ()))

    def state(self) -> Mapping[K, tuple[float, ...]]:
        return {key: tuple(used) for key, used in self._used.items()}


class Usage:
    """Made of runs, the oldest first. Users without a name are nobody."""

    def __init__(self, runs: Iterable[PastRun] = ()) -> None:
        self._know(Habits({}, {}))
        for run in runs:
            self.add(run)

    def add(self, run: PastRun) -> None:
        """One more, the youngest."""
        if run.cores:
            self._hours += run.core_hours
            self._sized += 1
        if run.limit <= timedelta():
            return
        used, seconds = min(1.0, run.ran / run.limit), _seconds(run.limit)
        if run.user:
            self._alike.add((run.user, kind(run.name)), used)
            self._users.add(run.user, used)
        for cores in {run.cores, _ANY}:
            self._requests.add((cores, seconds), used)

    @property
    def mean(self) -> float | None:
        """Core-hours of a run, on average; ``None``: of none is it known."""
        return self._hours / self._sized if self._sized else None

    def state(self) -> Habits:
        """What it knows, to be kept elsewhere."""
        sums = self._hours, self._sized
        return Habits(self._alike.state(), self._users.state(), *sums, self._requests.state())

    @classmethod
    def of(cls, state: Habits) -> Usage:
        """One that knows the same."""
        usage = cls()
        usage._know(state)
        return usage

    def _know(self, state: Habits) -> None:
        self._alike = _Parts(RUNS, state.alike)
        self._users = _Parts(RUNS, state.users)
        self._requests = _Parts(REQUESTS, state.requests)
        self._hours, self._sized = state.core_hours, state.sized

    def __eq__(self, other: object) -> bool:
        return self.state() == other.state() if isinstance(other, Usage) else NotImplemented

    def expected(self, job: QueuedJob) -> Expectation | None:
        """The limit times the part of it that the user's last runs of this kind used, else any of
        the user's last runs, else anybody's that asked for as much, else the limit itself.
        ``None``: it has no limit."""
        limit = job.time_limit
        if limit is None:
            return None
        user, seconds = job.identity.user, _seconds(limit)
        known = (
            (self._alike.of((user, kind(job.identity.name))), f"runs like it of {user}'s"),
            (self._users.of(user), f"other runs of {user}'s"),
            (self._requests.of((job.cpus, seconds)), "runs that asked for as much"),
            (self._requests.of((_ANY, seconds)), "runs that asked for as much time"),
        )
        used, whose = next((found for found in known if found[0]), ((), ""))
        return Expectation(self.time(job), shrunk(used), len(used), whose)

    def time(self, job: QueuedJob) -> timedelta:
        """How long it is expected to run; nothing where it has no limit."""
        limit = job.time_limit
        if limit is None:
            return timedelta()
        who, most = job.identity, limit.total_seconds()
        part = self._alike.part((who.user, kind(who.name))) or self._users.part(who.user)
        likely = most * (part or self._by_request(job.cpus, int(most)))
        if likely < _SHORTEST:
            return min(limit, SHORTEST)
        return limit if likely >= most else timedelta(0, likely)

    def _by_request(self, cores: int, seconds: int) -> float:
        same = self._requests.part((cores, seconds))
        return same or self._requests.part((_ANY, seconds)) or 1.0

    def core_hours(self, job: QueuedJob) -> float:
        """What one element is expected to use; 0 where it has no limit."""
        return job.cpus * self.time(job).total_seconds() / 3600

    def used(self, user: str, name: str) -> list[float]:
        """The parts of their limits that the user's last runs of this kind used."""
        return list(self._alike.of((user, kind(name))))


def kind(name: str) -> str:
    """A name without its numbers: ``run_017`` and ``run_018`` are of one kind."""
    return _NUMBERS.sub("#", name)


def _seconds(limit: timedelta) -> int:
    return int(limit.total_seconds())
