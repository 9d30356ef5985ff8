"""How long jobs will run, by what their users ran before. Time limits are upper bounds: many are
ten times too long.

The mean of the last two runs is the published baseline (Tsafrir, Etsion and Feitelson,
*Backfilling using system-generated predictions*, TPDS 2007). Here it is no good: of jobs whose
forecasts are noisy those that are forecast too short look the cheapest, and are taken. So nothing
is forecast shorter than its user's habits say (docs/policy.md has the figures).
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from burstd.domain.jobs import QueuedJob

SHORTEST = timedelta(minutes=1)  #: that anything is expected to run
RUNS = 10  #: of a kind, or of a user, that count

_NUMBERS = re.compile(r"\d+")


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
    """How long a job will run, by so many ``runs`` of its user's, ``alike`` or any; by its limit
    where there are none."""

    time: timedelta
    user: str
    part: float = 1.0
    runs: int = 0
    alike: bool = False

    @property
    def by(self) -> str:
        """In words."""
        if not self.runs:
            return "its time limit: nothing is known of its user's runs"
        runs = f"{self.runs} {'runs like it' if self.alike else 'other runs'} of {self.user}'s"
        return f"{self.part:.0%} of its limit, by {runs}"


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


class Usage:
    """Made of runs, the oldest first."""

    def __init__(self, runs: Iterable[PastRun] = ()) -> None:
        self._alike: dict[tuple[str, str], deque[float]] = defaultdict(_few)
        self._users: dict[str, deque[float]] = defaultdict(_few)
        self._parts: dict[tuple[str, str], float] = {}
        self._any: dict[str, float] = {}
        self._hours, self._sized = 0.0, 0
        for run in runs:
            self.add(run)

    def add(self, run: PastRun) -> None:
        """One more, the youngest."""
        if run.cores:
            self._hours += run.core_hours
            self._sized += 1
        if run.limit <= timedelta():
            return
        key, used = (run.user, kind(run.name)), min(1.0, run.ran / run.limit)
        self._alike[key].append(used)
        self._users[run.user].append(used)
        self._parts[key] = shrunk(self._alike[key])
        self._any[run.user] = shrunk(self._users[run.user])

    @property
    def mean(self) -> float | None:
        """Core-hours of a run, on average; ``None``: of none is it known."""
        return self._hours / self._sized if self._sized else None

    def state(self) -> Habits:
        """What it knows, to be kept elsewhere."""
        alike = {who: tuple(used) for who, used in self._alike.items()}
        users = {user: tuple(used) for user, used in self._users.items()}
        return Habits(alike, users, self._hours, self._sized)

    @classmethod
    def of(cls, state: Habits) -> Usage:
        """One that knows the same."""
        usage = cls()
        for who, used in state.alike.items():
            usage._alike[who].extend(used)
        for user, used in state.users.items():
            usage._users[user].extend(used)
        usage._hours, usage._sized = state.core_hours, state.sized
        usage._parts = {key: shrunk(used) for key, used in usage._alike.items()}
        usage._any = {user: shrunk(used) for user, used in usage._users.items()}
        return usage

    def __eq__(self, other: object) -> bool:
        return self.state() == other.state() if isinstance(other, Usage) else NotImplemented

    def expected(self, job: QueuedJob) -> Expectation | None:
        """The limit times the part of it that the user's last runs of this kind used, else any of
        the user's last runs, else the limit itself. ``None``: it has no limit."""
        limit = job.time_limit
        if limit is None:
            return None
        user, time = job.identity.user, self.time(job)
        key = user, kind(job.identity.name)
        alike = key in self._parts
        used = self._alike[key] if alike else self._users.get(user, ())
        return Expectation(time, user, shrunk(used), len(used), alike)

    def time(self, job: QueuedJob) -> timedelta:
        """How long it is expected to run; nothing where it has no limit."""
        limit = job.time_limit
        if limit is None:
            return timedelta()
        user = job.identity.user
        part = self._any.get(user)
        if part is None:
            return limit
        part = self._parts.get((user, kind(job.identity.name)), part)
        return min(limit, max(SHORTEST, limit * part))

    def core_hours(self, job: QueuedJob) -> float:
        """What one element is expected to use; 0 where it has no limit."""
        return job.cpus * self.time(job).total_seconds() / 3600

    def used(self, user: str, name: str) -> list[float]:
        """The parts of their limits that the user's last runs of this kind used."""
        return list(self._alike.get((user, kind(name)), ()))


def kind(name: str) -> str:
    """A name without its numbers: ``run_017`` and ``run_018`` are of one kind."""
    return _NUMBERS.sub("#", name)


def _few() -> deque[float]:
    return deque(maxlen=RUNS)
