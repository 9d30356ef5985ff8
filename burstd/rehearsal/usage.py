"""How long jobs will run: by what accounting tells of runs here, or, as nobody can, truly."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from burstd.domain.jobs import QueuedJob
from burstd.domain.usage import PastRun, Usage

DAY = 86400


class Remembered(Usage):
    """Tells again what it has told, as long as no run has come that it would tell otherwise by."""

    def __init__(self, runs: Iterable[PastRun] = ()) -> None:
        self._told: dict[str, dict[int, timedelta]] = defaultdict(dict)  #: by user and job number
        super().__init__(runs)

    def add(self, run: PastRun) -> None:
        super().add(run)
        self._told.pop(run.user, None)
        for user in [user for user in self._told if self._users.part(user) is None]:
            del self._told[user]  # what others ran counts

    def time(self, job: QueuedJob) -> timedelta:
        told, number = self._told[job.identity.user], job.identity.key.job_id
        found = told.get(number)
        if found is None:
            found = told[number] = super().time(job)
        return found


class Clairvoyant(Usage):
    """What nobody can know before. ``times``: by job number."""

    def __init__(self, times: Mapping[int, timedelta], runs: Iterable[PastRun] = ()) -> None:
        super().__init__(runs)
        self._times = times

    def time(self, job: QueuedJob) -> timedelta:
        return self._times[job.identity.key.job_id]


class Accounting:
    """The runs of the last ``reach``, asked by the daemon now and then: here each counts from its
    end on, and is forgotten within a day after its time. ``made``: the usage that they come to."""

    def __init__(
        self, reach: timedelta, made: Callable[[Iterable[PastRun]], Usage] = Remembered
    ) -> None:
        self.usage = made(())
        self._made, self._reach = made, reach.total_seconds()
        self._runs: deque[tuple[int, PastRun]] = deque()
        self._sorted_out: int | None = None

    def ended(self, run: PastRun, now: int) -> None:
        """One more, that came to its end here."""
        if not self._reach:
            return
        self._runs.append((now, run))
        self.usage.add(run)
        if self._sorted_out is None:
            self._sorted_out = now
        elif now - self._sorted_out >= DAY:
            self._sort_out(now)

    def _sort_out(self, now: int) -> None:
        self._sorted_out = now
        if self._runs[0][0] < now - self._reach:
            while self._runs[0][0] < now - self._reach:
                self._runs.popleft()
            self.usage = self._made(run for _, run in self._runs)
