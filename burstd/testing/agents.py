"""The agents of all stand-ins, as burstd hears of them: through the store, like its API does."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from burstd.core.orders import Order, ending, order_for
from burstd.domain.burst import Burst, Stage
from burstd.domain.jobs import JobKey
from burstd.domain.targets import WorkKey
from burstd.ports.errors import PortError, Rejected
from burstd.ports.store import BurstStore
from burstd.testing.slurm import SimulatedSlurm
from burstd.testing.slurm_jobs import SimulatedJob, key_text
from burstd.testing.target import SimulatedLink, SimulatedTarget

#: After TERM an agent stays only while there may be something to bring home.
_WORTH_STAYING = frozenset({
    Stage.PERMITTING, Stage.RUNNING, Stage.CANCELLING, Stage.ENDED, Stage.STAGING_OUT,
    Stage.STAGED_OUT,
})  # fmt: skip


@dataclass
class SimulatedAgents:
    """One turn of every stand-in that runs.

    ``missing``: jobs (by key text or ``mark``) whose inputs are not whole. ``landed``: who brought
    results home, how often; ``home``: the marks of their payloads by burst.
    """

    slurm: SimulatedSlurm
    store: BurstStore
    link: SimulatedLink | None = None
    target: SimulatedTarget | None = None
    missing: dict[str, str] = field(default_factory=dict)
    asleep: bool = False  #: no agent speaks
    landed: list[str] = field(default_factory=list)
    home: dict[WorkKey, str] = field(default_factory=dict)
    #: Lives of stand-ins that got TERM. The process knows it even if the controller forgets.
    termed: set[tuple[int, int]] = field(default_factory=set)

    def work(self) -> None:
        """Every agent asks for its order and does what it can at once; one whose daemon does not
        answer asks again next time."""
        if self.asleep:
            return
        for job in list(self.slurm.jobs):
            stands_in = job.shown["Partition"] == self.slurm.burst_partition
            if stands_in and job.state in {"RUNNING", "COMPLETING"}:
                if job.cancelled or job.requeued or job.begins_anew:
                    self.termed.add((job.serial, job.restarts))
                if not job.requeued and self.slurm.up:
                    with suppress(PortError):
                        self._turn(job, key_text(job))

    def _turn(self, job: SimulatedJob, key: str) -> None:
        life = job.restarts
        termed = (job.serial, life) in self.termed
        burst = self._burst_of(JobKey.parse(self.slurm.cluster, key))
        if burst is None or burst.stage.at_rest:
            if termed:
                self._end(job, life, 0, 15)
            return
        if burst.identity.user != job.user:
            return  # the API refuses to speak with it: it is no stand-in of this burst
        self._greet(burst, job)
        if termed:
            self.store.report(burst.id, "recalled", {"restarts": job.restarts})
            if burst.stage not in _WORTH_STAYING:
                self._end(job, life, 0, 15)
                return
        recalled = self.store.reports(burst.id).get("recalled")
        recalled_in = None if recalled is None else recalled.body["restarts"]
        own = None if self.target is None else self.target.records.get(burst.work_key)
        order = order_for(burst, job.restarts, recalled_in, own)
        if order is Order.EXIT:
            self._end(job, life, *((0, 15) if termed else ending(burst.outcome, own)))
        elif self.link is None or self.link.view().up:
            self._move_files(order, burst, job, own)

    def _end(self, job: SimulatedJob, life: int, code: int, signal: int) -> None:
        """The agent's own end is its stand-in's; that of one whose node went away meanwhile, or
        that a crash forgot, is nobody's."""
        known = any(key_text(one) == key_text(job) for one in self.slurm.jobs)
        if known and job.restarts == life and job.state in {"RUNNING", "COMPLETING"}:
            self.slurm.finish(key_text(job), code, signal)

    def _greet(self, burst: Burst, job: SimulatedJob) -> None:
        body = {"restarts": job.restarts}
        known = self.store.reports(burst.id).get("hello")
        if known is None or known.body != body:
            self.store.report(burst.id, "hello", body)

    def _move_files(self, order: Order, burst: Burst, job: SimulatedJob, own: int | None) -> None:
        said = self.store.said(burst.id)
        key = key_text(job)
        lack = self.missing.get(key) or self.missing.get(mark(job))
        if order is Order.STAGE_IN and not {"staged_in", "refused"} & said:
            if lack is not None:
                self.store.report(burst.id, "refused", {"cause": lack})
                return
            try:
                if self.target is not None:
                    self.target.lay(burst.work_key, job.user, mark(job))
            except Rejected as error:
                self.store.report(burst.id, "refused", {"cause": str(error)})
                return
            self.store.report(burst.id, "staged_in", {"bytes": 1000})
        elif order is Order.STAGE_OUT and "staged_out" not in said:
            if self.target is not None and burst.work_key in self.target.orphans:
                return  # busy: its runner is alive
            self.landed.append(key)
            if self.target is not None and burst.work_key in self.target.runs:
                self.home[burst.work_key] = self.target.runs[burst.work_key]
            body = {"files": 1, "bytes": 50, "notes": [], "exit_code": own}
            self.store.report(burst.id, "staged_out", body)

    def _burst_of(self, job: JobKey) -> Burst | None:
        found = self.store.bursts(job)
        return next((b for b in found if not b.stage.at_rest), found[0] if found else None)


def mark(job: SimulatedJob) -> str:
    """What the job's payload is known by, whatever id and name the job has now."""
    return f"#{job.serial}"
