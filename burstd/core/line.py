"""The line that jobs wait in, as decisions see it. Pure.

The cluster is seen through its queue: what runs becomes free when it is expected to end. What is
idle now is not enough for the first that waits for resources.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import groupby

from burstd.core.backfill import starts
from burstd.core.room import Outlook, Room, Waiter
from burstd.domain.estimates import UNTRIED, Source, StartEstimate
from burstd.domain.jobs import JobIdentity, JobState, QueuedJob
from burstd.domain.plan import Snapshot
from burstd.domain.policy import BurstPolicy

#: A job that runs on past its expected end runs half as long again as it has, at most to its limit.
MORE = 0.5


@dataclass(frozen=True)
class Line:
    """The first in line first. Each waiter stands for ``groups``' lines of the queue: tasks of one
    array are one, however many lines Slurm has made of them. ``outlook``: ``None`` where nothing
    runs that could become free."""

    snapshot: Snapshot
    groups: Sequence[Sequence[QueuedJob]]
    waiters: Sequence[Waiter]
    outlook: Outlook | None

    @classmethod
    def of(cls, snapshot: Snapshot, policy: BurstPolicy) -> Line:
        """The line of the partitions that burst, whether its jobs may leave or not."""
        ends = _ends(snapshot, policy)
        running = sum(count for _, count in ends)
        if not running:
            return cls(snapshot, (), (), None)
        now = snapshot.queue.taken_at
        jobs = sorted((j for j in snapshot.queue.jobs if _waits(j, policy)), key=_place)
        free = _free(jobs, snapshot, policy)
        cores = running + free
        groups = [tuple(same) for _, same in groupby(jobs, _likeness)]
        waiters = [
            Waiter(
                min(same[0].cpus, cores),
                snapshot.usage.time(same[0]).total_seconds(),
                max(0.0, (now - same[0].identity.submitted_at).total_seconds()),
                sum(len(job.tasks) or 1 for job in same),
            )
            for same in groups
        ]
        mean = snapshot.usage.mean or _mean(waiters) or 1.0
        delay = policy.start_delay.total_seconds()
        return cls(snapshot, groups, waiters, Outlook(cores, free, ends, delay, mean, policy.theta))

    def start(self, job: QueuedJob, ahead: int = 0) -> StartEstimate | None:
        """When it starts here, or the task of an array that so many others of it are ``ahead`` of;
        ``None``: nobody can tell. Slurm tells of the first alone, and what it has told for a
        moment that has passed is worth nothing any more."""
        accuracy, now = self.snapshot.accuracy, self.snapshot.queue.taken_at
        if job.starts is not None and job.starts > now and not ahead:
            told = job.starts - now
            return StartEstimate(told, Source.SLURM, accuracy.get(Source.SLURM, UNTRIED))
        started = self.own.get(job.identity)
        if started is None:
            return None
        place = bisect_right(started, ahead, key=lambda some: some[0])
        told = timedelta(seconds=started[min(place, len(started) - 1)][1])
        return StartEstimate(told, Source.OWN, accuracy.get(Source.OWN, UNTRIED))

    @cached_property
    def own(self) -> Mapping[JobIdentity, Sequence[tuple[int, float]]]:
        """How many of each have started after how many seconds if nobody leaves: in their turn, the
        first sooner if it overtakes."""
        if self.outlook is None:
            return {}
        room, found = Room(self.outlook), dict[JobIdentity, Sequence[tuple[int, float]]]()
        soonest = starts(self.waiters, self.outlook)
        for same, waiter, soon in zip(self.groups, self.waiters, soonest, strict=True):
            started = room.fill(waiter)
            if soon < started[0][1]:
                started = [(1, soon), *started]
            found |= dict.fromkeys((job.identity for job in same), started)
        return found


def _mean(waiters: Sequence[Waiter]) -> float:
    """Core-hours of a job, where no past tells: of those that wait."""
    tasks = sum(waiter.tasks for waiter in waiters)
    return sum(waiter.core_hours * waiter.tasks for waiter in waiters) / max(1, tasks)


def _place(job: QueuedJob) -> tuple[int, datetime, int, int]:
    """In Slurm's line; of two in one place the lower number first."""
    task = -1 if job.key.array_task is None else job.key.array_task
    return -job.priority, job.identity.submitted_at, job.key.job_id, task


def _likeness(job: QueuedJob) -> tuple[int, int, timedelta | None]:
    return job.key.job_id, job.cpus, job.time_limit


def _waits(job: QueuedJob, policy: BurstPolicy) -> bool:
    return (
        job.state is JobState.PENDING
        and job.reason in policy.reasons
        and job.time_limit is not None
        and job.in_any(policy.partitions)
    )


def _free(line: Sequence[QueuedJob], snapshot: Snapshot, policy: BurstPolicy) -> int:
    """CPUs that the first in line could have and that are too few for it: or it would have them.
    What is idle beyond that it can't use, for whatever reason, and so perhaps nobody. Partitions
    may share their nodes."""
    idle = max((snapshot.queue.idle.get(name, 0) for name in policy.partitions), default=0)
    return min(idle, line[0].cpus - 1) if line else 0


def _ends(snapshot: Snapshot, policy: BurstPolicy) -> list[tuple[float, int]]:
    """(seconds from now, cores) of what runs there."""
    return [
        (_left(job, snapshot).total_seconds(), job.cpus)
        for job in snapshot.queue.jobs
        if (job.state is JobState.RUNNING or job.state is JobState.COMPLETING)
        and job.in_any(policy.partitions)
    ]


def _left(job: QueuedJob, snapshot: Snapshot) -> timedelta:
    expected = snapshot.usage.time(job) if job.time_limit else timedelta(days=1)
    left = expected - job.elapsed
    if left > timedelta():
        return left
    most = (job.time_limit or job.elapsed * 2) - job.elapsed
    return max(timedelta(), min(job.elapsed * MORE, most))
