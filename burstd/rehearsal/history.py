"""A site's past: which jobs came when, what they asked for, and how long they ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


class NotLog(ValueError):
    """The file can't be read as what it should be; says what to do."""


@dataclass(frozen=True, slots=True)
class PastJob:
    """Times in seconds; ``submitted`` since any one moment, the same for all jobs: from then on it
    could start. ``before`` that it waited for another job, or for its begin time.

    ``limit`` is what its user asked for, and no less than it ``ran``: logs have jobs that were
    ended late. ``cores``: whatever the log counts, processors or whole nodes.
    """

    number: int
    submitted: int
    cores: int
    limit: int
    ran: int
    user: str = ""
    account: str = ""
    application: str = ""
    queue: str = ""
    qos: str = ""
    nodes: int = 1
    before: int = 0
    priority: int = 0  #: in the line before all whose own is lower

    @property
    def core_hours(self) -> float:
        return self.cores * self.ran / 3600


@dataclass(frozen=True)
class History:
    """Jobs in the order of their submission, on a cluster of so many ``cores``.

    ``left_out``: how many of the log's lines are no job here, by reason. ``epoch``: the history's
    moment 0 in seconds since 1970; None: not told. ``named``: users, accounts and queues have the
    names that Slurm knows them by, no numbers.
    """

    name: str
    cores: int
    jobs: tuple[PastJob, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    epoch: int | None = None
    named: bool = False

    @property
    def seconds(self) -> int:
        """From the first submission to the last."""
        return self.jobs[-1].submitted - self.jobs[0].submitted if self.jobs else 0

    @property
    def core_hours(self) -> float:
        return sum(job.core_hours for job in self.jobs)

    @property
    def load(self) -> float:
        """Of the whole cluster, by the work that was submitted; 1: all of it, always."""
        return self.core_hours * 3600 / (self.cores * self.seconds) if self.seconds else 0.0
