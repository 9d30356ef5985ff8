"""What the on-prem Slurm tells us: jobs, what they ask for, and the queue they stand in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from itertools import groupby
from typing import NewType

from burstd.domain.gres import GPU, Gres, Per

CoreHours = NewType("CoreHours", float)
"""CPUs times hours of wall clock."""

_FOR_US = re.compile(r"\bburst:", re.IGNORECASE)


@dataclass(frozen=True, order=True, slots=True)
class JobKey:
    """One Slurm job, or one task of a job array, as users write it: ``123`` or ``123_4``.

    ``job_id`` is the array's job id (Slurm's ``%F``) where ``array_task`` is set.
    A key names a job but does not identify it: Slurm reuses ids (see ``JobIdentity``).
    """

    cluster: str
    job_id: int
    array_task: int | None = None

    def __hash__(self) -> int:
        return hash((self.job_id, self.array_task))

    def __str__(self) -> str:
        return str(self.job_id) if self.array_task is None else f"{self.job_id}_{self.array_task}"

    @classmethod
    def parse(cls, cluster: str, text: str) -> JobKey:
        """Read ``123`` or ``123_4``. Raises ``ValueError`` for any other form."""
        head, _, task = text.partition("_")
        return cls(cluster, int(head), int(task) if task else None)


@dataclass(frozen=True, slots=True)
class JobIdentity:
    """Who a job really is. Slurm may lose an acknowledged job and give its id to a stranger."""

    key: JobKey
    submitted_at: datetime
    user: str
    name: str

    def __hash__(self) -> int:
        key = self.key  # few strangers ever have the same: all of a queue are looked up, by tens
        return hash((key.job_id, key.array_task))


class JobState(Enum):
    """Slurm's base states, folded to what burstd distinguishes."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETING = "COMPLETING"
    SUSPENDED = "SUSPENDED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    LOST = "LOST"  #: slurmctld does not know it and accounting, which is up to date, tells no end
    UNKNOWN = "UNKNOWN"

    @property
    def over(self) -> bool:
        """True only with proof: Slurm named a final state."""
        return self in {JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED}


@dataclass(frozen=True)
class Shape:
    """What a job asks for, per Slurm's words; memory in MiB, ``None`` where not asked."""

    nodes: int = 1
    tasks: int = 1
    cpus: int = 1
    cpus_per_task: int = 1
    tasks_per_node: int | None = None
    memory_per_node: int | None = None
    memory_per_cpu: int | None = None
    exclusive: bool = False
    gres: tuple[Gres, ...] = ()
    sockets_per_node: int | None = None

    @property
    def cpus_per_node(self) -> int:
        """On the node that gets most of them, where Slurm spreads them evenly."""
        if self.tasks_per_node is not None:
            return max(self.tasks_per_node * self.cpus_per_task, -(-self.cpus // self.nodes))
        return -(-self.cpus // self.nodes)

    @property
    def memory(self) -> int:
        """MiB on that node; 0 where none is asked for."""
        if self.memory_per_node is not None:
            return self.memory_per_node
        return (self.memory_per_cpu or 0) * self.cpus_per_node

    @property
    def gpus(self) -> int:
        """Of the whole job; where it asks in several ways, the most that one of them comes to."""
        times = {
            Per.JOB: 1, Per.NODE: self.nodes, Per.TASK: self.tasks,
            Per.SOCKET: self.nodes * (self.sockets_per_node or 1),
        }  # fmt: skip
        asked = Counter[Per]()
        for gres in self.gres:
            if gres.name == GPU:
                asked[gres.per] += gres.count or 0
        return max((count * times[per] for per, count in asked.items()), default=0)

    @property
    def gpu_types(self) -> frozenset[str]:
        """Those that it names."""
        return frozenset(g.type for g in self.gres if g.name == GPU and g.type)

    @property
    def other_gres(self) -> tuple[Gres, ...]:
        """What is no GPU, or can't be read."""
        return tuple(g for g in self.gres if g.name != GPU or g.count is None)


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """One line of the queue. A pending job array is one line with its waiting ``tasks``."""

    identity: JobIdentity
    state: JobState
    reason: str
    partition: str
    account: str
    qos: str
    cpus: int
    nodes: int
    time_limit: timedelta | None  #: ``None`` where the job has no limit.
    priority: int
    tasks: tuple[int, ...] = ()
    het: bool = False
    gres: str = ""
    licences: str = ""
    comment: str = ""
    dependency: str = ""
    elapsed: timedelta = timedelta()
    nodelist: str = ""
    directory: str = ""  #: where it works
    throttle: int | None = None  #: tasks of its array that may run at once; ``None``: all
    starts: datetime | None = None  #: by Slurm's backfill, where it has reckoned that

    @property
    def directives(self) -> list[str]:
        """What its user asks of burstd in its comment: words that begin with ``burst:``; one that
        has that elsewhere, or in other letters, as it is: nobody can read it, and it is heard."""
        if "burst:" not in self.comment.lower():
            return []
        words = (word for word in self.comment.split() if _FOR_US.search(word))
        return [word.removeprefix("burst:") for word in words]

    @property
    def partitions(self) -> tuple[str, ...]:
        """Those that it may start in."""
        return tuple(self.partition.split(",")) if "," in self.partition else (self.partition,)

    def in_any(self, partitions: frozenset[str]) -> bool:
        """It may start in one of these."""
        return self.partition in partitions or not partitions.isdisjoint(self.partitions)

    @property
    def key(self) -> JobKey:
        return self.identity.key

    @property
    def elements(self) -> tuple[JobKey, ...]:
        """The keys of the jobs that this line stands for, in order."""
        if not self.tasks:
            return (self.key,)
        return tuple(JobKey(self.key.cluster, self.key.job_id, task) for task in self.tasks)

    @property
    def core_hours(self) -> CoreHours:
        """Upper bound of one element: CPUs times its time limit; 0 where there is no limit."""
        if self.time_limit is None:
            return CoreHours(0.0)
        return CoreHours(self.cpus * self.time_limit.total_seconds() / 3600)


def ranges(tasks: Iterable[int]) -> str:
    """An array's task ids as squeue(1) shows them: ``1-4,7``."""
    # In a run without gaps the distance to the place is the same.
    runs = groupby(enumerate(sorted(tasks)), lambda at: at[1] - at[0])
    ends = [(found[0][1], found[-1][1]) for found in (list(run) for _, run in runs)]
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in ends)


@dataclass(frozen=True)
class QueueSnapshot:
    """The whole queue at one moment, pending and running. ``idle``: CPUs that no job has, of nodes
    that take jobs, by partition; where nobody knows, none."""

    cluster: str
    taken_at: datetime
    jobs: tuple[QueuedJob, ...]
    idle: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class JobRecord:
    """A job as Slurm held it before burstd touched it: what is needed to undo a claim exactly.

    ``fields`` are Slurm's own texts by ``scontrol update`` name (``partition``, ...).
    """

    identity: JobIdentity
    shape: Shape
    time_limit: timedelta | None
    fields: Mapping[str, str] = field(default_factory=dict)
    wish: bool = False  #: It was submitted straight to the burst partition.
    marks: tuple[str, ...] = ()  #: ids of bursts that its Extra field names
    #: Its user has requeued it while it was away, held (``scontrol requeuehold``) or not.
    requeued_held: bool | None = None


@dataclass(frozen=True)
class JobSight:
    """One fresh, single-job look at Slurm. ``state`` UNKNOWN where it could not be learned."""

    identity: JobIdentity | None
    state: JobState
    partition: str = ""
    reason: str = ""
    held: bool = False
    node: str = ""
    exit_code: int | None = None
    signal: int | None = None
    restarts: int = 0

    def is_job(self, who: JobIdentity) -> bool:
        """True if this sight shows that very job, not a later one with its id.

        A requeue gives a job a new submit time, so a restarted job is known by the rest.
        """
        seen = self.identity
        if seen is None or (seen.key, seen.user, seen.name) != (who.key, who.user, who.name):
            return False
        return seen.submitted_at == who.submitted_at or self.restarts > 0
