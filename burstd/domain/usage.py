"""How long jobs will run, by what their users ran before. Time limits are upper bounds: many are
ten times too long.

The mean of the last two runs of the same kind is the published baseline (Tsafrir, Etsion and
Feitelson, *Backfilling using system-generated predictions*, TPDS 2007).
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from burstd.domain.jobs import QueuedJob

SHORTEST = timedelta(minutes=1)  #: that anything is expected to run
ENOUGH = 5  #: runs of a user before their mean share of the limit is believed
REMEMBERED = 20  #: runs of a user

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


class Usage:
    """Made of runs, the oldest first."""

    def __init__(self, runs: Iterable[PastRun] = ()) -> None:
        self._last: dict[tuple[str, str], deque[timedelta]] = defaultdict(lambda: deque(maxlen=2))
        self._shares: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
        for run in runs:
            self._last[run.user, kind(run.name)].append(run.ran)
            if run.limit > timedelta():
                self._shares[run.user].append(min(1.0, run.ran / run.limit))

    def expected(self, job: QueuedJob) -> Expectation | None:
        """By the user's last two runs of this kind, else by the share of their limits that they
        used lately, else the limit itself; never more than that. ``None``: it has no limit."""
        limit = job.time_limit
        if limit is None:
            return None
        user = job.identity.user
        last = self._last.get((user, kind(job.identity.name))) if self._last else None
        if last:
            mean = sum(last, timedelta()) / len(last)
            return Expectation(_within(mean, limit), f"{len(last)} runs of {user}'s like it")
        shares = self._shares.get(user) if self._shares else None
        if shares and len(shares) >= ENOUGH:
            share = sum(shares) / len(shares)
            by = f"{user} used {share:.0%} of the limits of {len(shares)} jobs"
            return Expectation(_within(limit * share, limit), by)
        return Expectation(limit, "its time limit: too little is known of its user's runs")

    def core_hours(self, job: QueuedJob) -> float:
        """What one element is expected to use; 0 where it has no limit."""
        expected = self.expected(job)
        return job.cpus * expected.time.total_seconds() / 3600 if expected else 0.0


@lru_cache(maxsize=50_000)
def kind(name: str) -> str:
    """A name without its numbers: ``run_017`` and ``run_018`` are of one kind."""
    return _NUMBERS.sub("#", name)


def _within(time: timedelta, limit: timedelta) -> timedelta:
    return min(limit, max(SHORTEST, time))
