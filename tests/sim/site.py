"""The simulated site and its cloud: all that a kill of burstd leaves as it is, and what they do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from burstd.domain.targets import CHECKPOINTED, WorkKey
from burstd.testing.agents import SimulatedAgents, mark
from burstd.testing.simulators import (
    SimulatedLink,
    SimulatedSlurm,
    SimulatedTarget,
    SteppedClock,
)
from burstd.testing.slurm_jobs import OVER, SimulatedJob, key_text
from tests.sim.workload import Order, Payload

#: What a claim changes, and a return must put back.
ASKED = (
    "TimeLimit", "Requeue", "NumNodes", "NumTasks", "OverSubscribe", "MinMemoryNode", "ExcNodeList",
    "ReqNodeList",
)  # fmt: skip
#: The payload of work that nobody described: a stranger's.
LITTLE = Payload(5)


@dataclass(frozen=True)
class End:
    """A payload came to its own end."""

    mark: str
    where: str  #: "onprem" or the work key
    code: int = 0


@dataclass
class Site:
    """``payloads``: by mark. ``ends``: the witness, in order."""

    clock: SteppedClock = field(default_factory=SteppedClock)
    payloads: dict[str, Payload] = field(default_factory=dict)
    #: What users asked for, by mark and name of ``shown``: a crash may forget the last of it.
    asked: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    submitted: dict[int, str] = field(default_factory=dict)  #: number of the order -> key
    serials: dict[int, int] = field(default_factory=dict)  #: of its (last) job
    moved: set[str] = field(default_factory=set)  #: whom a user has put into another partition
    ends: list[End] = field(default_factory=list)
    requeued: set[str] = field(default_factory=set)  #: whom a user has told to begin anew
    saved: dict[str, WorkKey] = field(default_factory=dict)  #: who was stopped, and where
    #: Users' own ``scancel``, by mark.
    cancelled: dict[str, datetime] = field(default_factory=dict)
    uncancelled: set[str] = field(default_factory=set)  #: whose scancel a crash has forgotten
    doomed: set[str] = field(default_factory=set)  #: an operator wants their end, until they end
    struck: set[str] = field(default_factory=set)  #: whose twin a far administrator has ended
    forgiven: dict[str, int] = field(default_factory=dict)  #: local ends that crashes forgot
    hurry: bool = False  #: payloads take at most a minute
    #: Troubles that pass by themselves: when, the act's name, whom it concerns.
    passing: list[tuple[datetime, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.link = SimulatedLink()
        self.slurm = SimulatedSlurm(self.clock)
        self.target = SimulatedTarget(self.clock, link=self.link)
        # The agents' way to burstd is given by who plays: none is up yet.
        self.agents = SimulatedAgents(self.slurm, None, self.link, self.target)  # type: ignore[arg-type]

    # --- users

    def submit(self, number: int, order: Order) -> None:
        """``sbatch``; nothing where the controller does not answer or the dependency is gone."""
        if not self.slurm.up:
            return
        fields = dict(order.fields)
        if order.after is not None:
            kind, other = order.after
            if (wanted := self._known(other)) is None:
                return
            fields["Dependency"] = f"{kind}:{wanted}(unfulfilled)"
        key = self.slurm.submit(
            order.user, order.name, order.partition, order.script, order.minutes, order.tasks,
            **fields,
        )  # fmt: skip
        self.submitted[number] = key
        for job in self.slurm.jobs:
            if job.name == order.name:
                self.serials[number] = job.serial
                job.comment = order.comment
                self.asked[mark(job)] = {n: {job.shown[n]} for n in ASKED if n in job.shown}
                self.payloads[mark(job)] = order.payload
                if order.missing:
                    self.agents.missing[mark(job)] = order.missing

    def _known(self, number: int) -> str | None:
        """The key of an order's job, unless slurmctld has lost it."""
        jobs = (*self.slurm.jobs, *self.slurm.accounting.values())
        there = any(job.serial == self.serials.get(number) for job in jobs)
        return self.submitted[number] if there else None

    def what_was_forgotten(self) -> None:
        """After a crash of slurmctld: a scancel that it forgot was not asked of it, and a local job
        whose end it forgot it runs again by itself."""
        for job in self.slurm.jobs:
            done = sum(end.mark == mark(job) and end.where == "onprem" for end in self.ends)
            if done and job.state not in OVER:
                self.forgiven[mark(job)] = done
        ended = {mark(job) for job in self.slurm.jobs if job.cancelled or job.state in OVER}
        there = {mark(job) for job in self.slurm.jobs}
        for name in [name for name in self.cancelled if name in there - ended]:
            del self.cancelled[name]
            self.uncancelled.add(name)

    # --- time

    def schedulers(self) -> None:
        """Both controllers' turn, if they are up."""
        if self.slurm.up:
            self.slurm.schedule()
        if not self.target.away:
            self.target.schedule()

    def payloads_end(self) -> None:
        """What has run long enough comes to its end."""
        for job in self.local():
            payload = self.payloads.get(mark(job), LITTLE)
            if self.slurm.up and job.state == "RUNNING" and self._is_over(job.started_at, payload):
                self.ends.append(End(mark(job), "onprem", payload.code))
                self.slurm.finish(key_text(job), payload.code)
        for key, name in self.far():
            payload = self.payloads.get(name, LITTLE)
            started = next(w.started_at for w in self.target.on_nodes() if w.job.key == key)
            if payload.saves and key in self.target.signals:
                self.saved[name] = key
                self.target.finish(key, "exited", CHECKPOINTED)
            elif self._is_over(started, payload):
                self.ends.append(End(name, key, payload.code))
                self.target.finish(key, "exited", payload.code)

    def to_be_stopped(self) -> Iterator[WorkKey]:
        """What has run there for as long as its user wants."""
        for key, name in self.far():
            told = self.payloads.get(name, LITTLE).told
            started = next(w.started_at for w in self.target.on_nodes() if w.job.key == key)
            if told is not None and self._has_run(started, told):
                yield key

    def local(self) -> Iterator[SimulatedJob]:
        """Jobs whose payload is on an on-prem node at this instant."""
        return (
            j for j in list(self.slurm.jobs)
            if j.node == "n1" and j.state in {"RUNNING", "COMPLETING"}
        )  # fmt: skip

    def far(self) -> Iterator[tuple[WorkKey, str]]:
        """Work whose payload is on a far node, with the payload's mark."""
        return (
            (w.job.key, self.target.runs.get(w.job.key, w.job.key)) for w in self.target.on_nodes()
        )

    def _is_over(self, started: datetime | None, payload: Payload) -> bool:
        seconds = min(payload.seconds, 60) if self.hurry else payload.seconds
        return self._has_run(started, seconds)

    def _has_run(self, started: datetime | None, seconds: int) -> bool:
        return self.clock.now() - (started or self.clock.now()) >= timedelta(seconds=seconds)
