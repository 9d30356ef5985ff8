"""The rehearsed cluster as the daemon would see it: lines of Slurm's queue."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from burstd.domain.jobs import JobIdentity, JobKey, JobState, QueuedJob, QueueSnapshot
from burstd.rehearsal.easy import Cluster
from burstd.rehearsal.history import PastJob

NAME = "past"  #: of the cluster
_AHEAD = "Resources"  #: why Slurm says that the first in line waits
_BEHIND = "Priority"  #: and all others
_LETTERS = str.maketrans("0123456789", "abcdefghij")


def name(job: PastJob) -> str:
    """By its application. A number is a name of its own: jobs whose names differ in their numbers
    alone are taken for alike otherwise."""
    application = job.application
    return application.translate(_LETTERS) if application.isdecimal() else application


@dataclass
class Lines:
    """``epoch``: of the history's moment 0."""

    epoch: datetime
    _waiting: dict[int, QueuedJob] = field(default_factory=dict)
    _running: dict[int, tuple[QueuedJob, int]] = field(default_factory=dict)

    def moment(self, seconds: int) -> datetime:
        """A time of the history as one of the world."""
        return self.epoch + timedelta(seconds=seconds)

    def queue(self, cluster: Cluster) -> QueueSnapshot:
        """As it is now; the one that was given before is no longer true."""
        waiting = [self._waiting.get(job.number) or self._line(job) for job in cluster.waiting]
        if waiting:
            waiting[0] = replace(waiting[0], reason=_AHEAD)
        for line, started in self._running.values():
            # A new line for each at every look would take longer than the decision itself.
            object.__setattr__(line, "elapsed", timedelta(seconds=cluster.now - started))
        running = (line for line, _ in self._running.values())
        first = cluster.waiting[0].queue.split(",") if waiting else ()
        return QueueSnapshot(
            NAME, self.moment(cluster.now), (*waiting, *running), dict.fromkeys(first, cluster.free)
        )

    def started(self, job: PastJob, now: int) -> None:
        """It runs here."""
        line = self._waiting.pop(job.number, None) or self._line(job)
        self._running[job.number] = replace(line, state=JobState.RUNNING, reason="None"), now

    def ended(self, number: int) -> None:
        """It no longer does."""
        del self._running[number]

    def left(self, number: int) -> None:
        """It waits no longer."""
        del self._waiting[number]

    def _line(self, job: PastJob) -> QueuedJob:
        key = JobKey(NAME, job.number)
        # squeue tells when it was submitted, not since when it can start.
        who = JobIdentity(key, self.moment(job.submitted - job.before), job.user, name(job))
        line = QueuedJob(
            identity=who,
            state=JobState.PENDING,
            reason=_BEHIND,
            partition=job.queue,
            account=job.account,
            qos=job.qos,
            cpus=job.cores,
            nodes=job.nodes,
            time_limit=timedelta(seconds=job.limit),
            priority=1 + job.priority,
        )
        self._waiting[job.number] = line
        return line
