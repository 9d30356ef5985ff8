"""In which order jobs leave: by what each is worth, as the site's strategy sees it. Pure.

The cluster is seen through its queue: what runs becomes free when it is expected to end, and while
jobs wait for resources nothing else is free.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from burstd.core.selection import STRATEGIES, Outlook, Waiter
from burstd.core.steering import Steering
from burstd.domain.budgets import Period
from burstd.domain.jobs import JobIdentity, JobState, QueuedJob
from burstd.domain.plan import Snapshot
from burstd.domain.policy import BurstPolicy, Ledger

OLDEST_FIRST = "threshold"  #: from the head of the line: its worth is its place
#: A job that runs on past its expected end runs half as long again as it has, at most to its limit.
MORE = 0.5


def price(policy: BurstPolicy, ledger: Ledger, now: datetime) -> float:
    """What a job must be worth at this moment for the month's budget to last; 0: anything."""
    if not policy.steer or policy.strategy == OLDEST_FIRST:
        return 0.0
    month = Period.MONTH
    steering = Steering(float(policy.budget), month.length(now).total_seconds())
    elapsed = (now - month.began(now)).total_seconds()
    return steering.price(elapsed, float(ledger.spent + ledger.likely))


def worths(
    snapshot: Snapshot, policy: BurstPolicy, price: float = 0.0
) -> Mapping[JobIdentity, float]:
    """What each waiting line of the queue is worth; empty where the oldest leaves first."""
    if policy.strategy == OLDEST_FIRST:
        return {}
    ends = _ends(snapshot, policy)
    cores = sum(count for _, count in ends)
    if not cores:
        return {}
    now = snapshot.queue.taken_at
    waiting = [job for job in snapshot.queue.jobs if _waits(job, policy)]
    if not waiting:
        return {}
    waiting.sort(key=_place)
    line = [
        Waiter(
            min(job.cpus, cores),
            _expected(job, snapshot).total_seconds(),
            max(0.0, (now - job.identity.submitted_at).total_seconds()),
        )
        for job in waiting
    ]
    mean = sum(waiter.core_hours for waiter in line) / len(line)
    delay = policy.start_delay.total_seconds()
    outlook = Outlook(cores, 0, ends, delay, mean, policy.theta)
    found = STRATEGIES[policy.strategy](line, outlook, price)
    return {job.identity: worth for job, worth in zip(waiting, found, strict=True)}


def _place(job: QueuedJob) -> tuple[int, datetime, int, int]:
    """In Slurm's line; of two in one place the lower number first."""
    task = -1 if job.key.array_task is None else job.key.array_task
    return -job.priority, job.identity.submitted_at, job.key.job_id, task


def _waits(job: QueuedJob, policy: BurstPolicy) -> bool:
    """It stands in the line of the partitions that burst, whether it may leave or not."""
    return (
        job.state is JobState.PENDING
        and job.reason in policy.reasons
        and job.time_limit is not None
        and not policy.partitions.isdisjoint(job.partitions)
    )


def _ends(snapshot: Snapshot, policy: BurstPolicy) -> list[tuple[float, int]]:
    """(seconds from now, cores) of what runs there."""
    return [
        (_left(job, snapshot).total_seconds(), job.cpus)
        for job in snapshot.queue.jobs
        if job.state in {JobState.RUNNING, JobState.COMPLETING}
        and not policy.partitions.isdisjoint(job.partitions)
    ]


def _left(job: QueuedJob, snapshot: Snapshot) -> timedelta:
    left = _expected(job, snapshot) - job.elapsed
    if left > timedelta():
        return left
    most = (job.time_limit or job.elapsed * 2) - job.elapsed
    return max(timedelta(), min(job.elapsed * MORE, most))


def _expected(job: QueuedJob, snapshot: Snapshot) -> timedelta:
    found = snapshot.usage.expected(job)
    return found.time if found else timedelta(days=1)
