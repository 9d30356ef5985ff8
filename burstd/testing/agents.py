"""The agents of all stand-ins, as burstd hears of them: through the store, like its API does."""

from __future__ import annotations

from dataclasses import dataclass, field

from burstd.core.orders import Order, ending, order_for
from burstd.domain.burst import Burst, Stage
from burstd.domain.jobs import JobKey
from burstd.ports.store import BurstStore
from burstd.testing.slurm import SimulatedSlurm
from burstd.testing.slurm_jobs import SimulatedJob, key_text
from burstd.testing.target import SimulatedLink

#: After TERM an agent stays only while there is something to bring home.
_WORTH_STAYING = frozenset(
    {Stage.RUNNING, Stage.CANCELLING, Stage.ENDED, Stage.STAGING_OUT, Stage.STAGED_OUT}
)


@dataclass
class SimulatedAgents:
    """One turn of every stand-in that runs.

    ``missing``: jobs (by key text) whose inputs are not whole. ``landed``: who brought results
    home, how often.
    """

    slurm: SimulatedSlurm
    store: BurstStore
    link: SimulatedLink | None = None
    missing: dict[str, str] = field(default_factory=dict)
    asleep: bool = False  #: no agent speaks
    landed: list[str] = field(default_factory=list)

    def work(self) -> None:
        """Every agent asks for its order and does what it can at once."""
        if self.asleep:
            return
        for job in list(self.slurm.jobs):
            stands_in = job.shown["Partition"] == self.slurm.burst_partition
            if stands_in and job.state in {"RUNNING", "COMPLETING"} and not job.requeued:
                self._turn(job, key_text(job))

    def _turn(self, job: SimulatedJob, key: str) -> None:
        burst = self._burst_of(JobKey.parse(self.slurm.cluster, key))
        if burst is None or burst.stage.at_rest:
            if job.cancelled:
                self.slurm.finish(key, 0, 15)
            return
        self.store.report(burst.id, "hello", {"restarts": job.restarts})
        if job.cancelled:
            self.store.report(burst.id, "recalled", {})
            if burst.stage not in _WORTH_STAYING:
                self.slurm.finish(key, 0, 15)
                return
        order = order_for(burst)
        if order is Order.EXIT:
            self._exit(key, burst)
        elif self.link is None or self.link.view().up:
            self._move_files(order, burst, key)

    def _move_files(self, order: Order, burst: Burst, key: str) -> None:
        said = self.store.reports(burst.id)
        if order is Order.STAGE_IN and not {"staged_in", "refused"} & set(said):
            if key in self.missing:
                self.store.report(burst.id, "refused", {"cause": self.missing[key]})
            else:
                self.store.report(burst.id, "staged_in", {"bytes": 1000})
        elif order is Order.STAGE_OUT and "staged_out" not in said:
            self.landed.append(key)
            self.store.report(burst.id, "staged_out", {"files": 1, "bytes": 50, "notes": []})

    def _exit(self, key: str, burst: Burst | None) -> None:
        self.slurm.finish(key, *ending(burst.outcome if burst else None))

    def _burst_of(self, job: JobKey) -> Burst | None:
        found = self.store.bursts(job)
        return next((b for b in found if not b.stage.at_rest), found[0] if found else None)
