"""A user's hands on a cluster, and what every test of a ``ports.queue.Queue`` does with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from burstd.domain.jobs import JobIdentity, JobKey, JobRecord, JobSight, JobState, QueuedJob
from burstd.ports.queue import Queue

MARK = "burst=0123456789ab,where=cloud,application=calculix,at_most=1.50EUR"

STRANGE = "two\nlines|a bar 'and' \"quotes\" Partition=x"


class Cluster(Protocol):
    """A small cluster whose home partition is full until ``make_room``; the burst partition has
    a stand-in that just waits. ``shapes``: option sets that its nodes can run, with the shown
    fields that are known not to come back."""

    @property
    def queue(self) -> Queue: ...
    @property
    def burst_partition(self) -> str: ...
    @property
    def home_partition(self) -> str: ...
    @property
    def shapes(self) -> Mapping[str, frozenset[str]]: ...

    def submit(self, options: str = "", name: str = "job", script: str = "sleep 300") -> str:
        """``sbatch`` as a user; the key as users write it."""

    def interactive(self) -> str:
        """``salloc``: a waiting job without a batch script."""

    def heterogeneous(self) -> str | None:
        """A waiting job of two parts; ``None`` where this can't be made."""

    def cancel(self, key: str) -> None:
        """``scancel``; returns when the job is over."""

    def let_go(self, key: str) -> None:
        """Its user's ``scontrol release``."""

    def shown(self, key: str) -> Mapping[str, str]:
        """Every field of the job's record that is the user's, not the moment's."""

    def make_room(self) -> None:
        """Nodes of the home partition become free."""

    def wait(self, until: Callable[[], bool], seconds: float) -> bool:
        """Let time pass until it is so, at most that long; whether it came."""

    def controller(self, *, up: bool) -> None:
        """Stop or start the controller."""

    def forget(self, key: str) -> None:
        """Make the controller forget an ended job; only accounting remembers it then."""


def line(cluster: Cluster, key: str) -> QueuedJob:
    """The queue's line of a job, by ``12`` or ``12_3``."""
    wanted = JobKey.parse(cluster.queue.observe().cluster, key)
    jobs = cluster.queue.observe().jobs
    return next(j for j in jobs if wanted in {j.key, *j.elements})


def who(cluster: Cluster, key: str) -> JobIdentity:
    """The identity of a job as the queue shows it."""
    job = line(cluster, key)
    return replace(job.identity, key=JobKey.parse(job.key.cluster, key))


def look(cluster: Cluster, record: JobRecord) -> JobSight:
    return cluster.queue.look(record.identity)


def claimed(cluster: Cluster, key: str) -> JobRecord:
    """Park a job until its stand-in runs."""
    record = cluster.queue.record(who(cluster, key))
    park_all(cluster, [record])
    return record


def park_all(cluster: Cluster, records: Sequence[JobRecord]) -> None:
    def parked() -> bool:
        going = [r for r in records if look(cluster, r).state is not JobState.RUNNING]
        for record in going:
            cluster.queue.park(record, MARK)
        return not going

    assert cluster.wait(parked, 60), [look(cluster, r) for r in records]


def give_back(cluster: Cluster, records: Sequence[JobRecord]) -> None:
    left = list(records)

    def home() -> bool:
        left[:] = [record for record in left if not cluster.queue.give_back(record)]
        return not left

    assert cluster.wait(home, 90), [look(cluster, r) for r in left]
