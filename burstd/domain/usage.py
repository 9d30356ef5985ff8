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
from functools import lru_cache

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


@dataclass(frozen=True, slots=True)
class Expectation:
    """How long a job will run, and by what."""

    time: timedelta
    by: str


def shrunk(used: Collection[float]) -> float:
    """The part of a limit that runs use on average, counted with one that used all."""
    return (1 + sum(used)) / (1 + len(used))


@dataclass(frozen=True)
class Habits:
    """All that is kept of runs: the parts of their limits that they used, the oldest first."""

    alike: Mapping[tuple[str, str], tuple[float, ...]]  #: by user and kind
    users: Mapping[str, tuple[float, ...]]


class Usage:
    """Made of runs, the oldest first."""

    def __init__(self, runs: Iterable[PastRun] = ()) -> None:
        self._alike: dict[tuple[str, str], deque[float]] = defaultdict(_few)
        self._users: dict[str, deque[float]] = defaultdict(_few)
        for run in runs:
            if run.limit > timedelta():
                used = min(1.0, run.ran / run.limit)
                self._alike[run.user, kind(run.name)].append(used)
                self._users[run.user].append(used)

    def state(self) -> Habits:
        """What it knows, to be kept elsewhere."""
        alike = {who: tuple(used) for who, used in self._alike.items()}
        return Habits(alike, {user: tuple(used) for user, used in self._users.items()})

    @classmethod
    def of(cls, state: Habits) -> Usage:
        """One that knows the same."""
        usage = cls()
        for who, used in state.alike.items():
            usage._alike[who].extend(used)
        for user, used in state.users.items():
            usage._users[user].extend(used)
        return usage

    def __eq__(self, other: object) -> bool:
        return self.state() == other.state() if isinstance(other, Usage) else NotImplemented

    def expected(self, job: QueuedJob) -> Expectation | None:
        """The limit times the part of it that the user's last runs of this kind used, else any of
        the user's last runs, else the limit itself. ``None``: it has no limit."""
        limit = job.time_limit
        if limit is None:
            return None
        user = job.identity.user
        alike = self._alike.get((user, kind(job.identity.name))) if self._alike else None
        used = alike or (self._users.get(user) if self._users else None)
        if not used:
            return Expectation(limit, "its time limit: nothing is known of its user's runs")
        part = shrunk(used)
        runs = f"{len(used)} {'runs like it' if alike else 'other runs'} of {user}'s"
        by = f"{part:.0%} of its limit, by {runs}"
        return Expectation(min(limit, max(SHORTEST, limit * part)), by)

    def time(self, job: QueuedJob) -> timedelta:
        """How long it is expected to run; nothing where it has no limit."""
        expected = self.expected(job)
        return expected.time if expected else timedelta()

    def core_hours(self, job: QueuedJob) -> float:
        """What one element is expected to use; 0 where it has no limit."""
        expected = self.expected(job)
        return job.cpus * expected.time.total_seconds() / 3600 if expected else 0.0


@lru_cache(maxsize=50_000)
def kind(name: str) -> str:
    """A name without its numbers: ``run_017`` and ``run_018`` are of one kind."""
    return _NUMBERS.sub("#", name)


def _few() -> deque[float]:
    return deque(maxlen=RUNS)
