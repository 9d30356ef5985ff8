"""One site, one cloud, their users and accidents: the floor on which the stories are played."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from sqlalchemy import Engine

from burstd.adapters.decisions import FileDecisions
from burstd.adapters.store.sql import SqlStore
from burstd.domain.applications import Application
from burstd.domain.burst import Burst, Stage
from burstd.domain.classes import OPEN
from burstd.domain.jobs import CoreHours, JobKey
from burstd.domain.plan import Plan
from burstd.domain.policy import BurstPolicy, Mode, Watermarks
from burstd.domain.targets import Image, Money, TargetName
from burstd.obs.logs import burst_under_way
from burstd.ports.errors import PortError
from burstd.ports.licences import LicenceSource
from burstd.shell.audited import AuditedTarget
from burstd.shell.tend import lower_links, raise_links
from burstd.shell.tick import Memory, tick
from burstd.shell.vouched import VouchedTarget
from burstd.shell.world import Rulebook, Site, World
from burstd.testing.simulators import (
    SimulatedAgents,
    SimulatedLink,
    SimulatedSlurm,
    SimulatedTarget,
    SteppedClock,
    memory,
    simulated_queue,
    store_in,
)
from burstd.testing.slurm_jobs import key_text
from burstd.testing.witness import SimulatedWitness

DAY = timedelta(days=1)
CLOUD = TargetName("cloud")
CALCULIX = Application("calculix", "calculix", (r"\bccx\b",), "calculix")
POLICY = BurstPolicy(
    mode=Mode.AUTO,
    watermarks=Watermarks(high=CoreHours(2), low=CoreHours(0.5)),
    partitions=frozenset({"cae"}),
    burst_partition="burst",
    targets=(CLOUD,),
    budget=Money(Decimal(100)),
    data=OPEN,
)

#: The stages between two turns, in the order of a life; the others pass within one tick.
RESTING = [Stage.CLAIMING, Stage.STAGING_IN, Stage.SUBMITTED, Stage.RUNNING, Stage.STAGING_OUT]


class Killed(BaseException):
    """Stands in for SIGKILL: no handler of ours may see it."""


@dataclass
class Scene:
    policy: BurstPolicy = POLICY
    clock: SteppedClock = field(default_factory=SteppedClock)
    database: Engine = field(default_factory=memory)
    link: SimulatedLink = field(default_factory=SimulatedLink)
    seconds: float = 5  #: of one turn
    licences: tuple[LicenceSource, ...] = ()
    decisions: Path | None = None  #: where they are kept

    def __post_init__(self) -> None:
        self.slurm = SimulatedSlurm(self.clock)
        self.target = SimulatedTarget(self.clock, link=self.link)
        self.store: SqlStore = store_in(self.database, self.clock)
        self.witness = SimulatedWitness()
        self.agents = SimulatedAgents(self.slurm, self.store, self.link, self.target)
        self.start()

    def start(self) -> None:
        """burstd comes up: nothing is left of an earlier one but its database."""
        store = store_in(self.database, self.clock)

        def tell(action: str, burst: str, facts: Mapping[str, object]) -> None:
            store.tell(action, burst or burst_under_way(), facts)

        vouched = VouchedTarget(self.target, store, "onprem", CLOUD, self.clock)
        target = AuditedTarget(vouched, tell)
        self.memory = Memory()
        self.world = World(
            clock=self.clock,
            store=store,
            witness=self.witness,
            queue=simulated_queue(self.slurm, tell=tell),
            sites={CLOUD: Site(target, self.link)},
            rules=Rulebook(self.policy),
            applications={"calculix": CALCULIX},
            images={"calculix": Image("calculix", "/opt/images/calculix.sqfs", "ab" * 32)},
            licences=self.licences,
            decisions=FileDecisions(self.decisions, DAY, "1") if self.decisions else None,
        )

    # --- time

    def tick(self) -> Plan | None:
        """burstd's part of a turn."""
        raise_links(self.world)
        plan = tick(self.world, self.memory)
        lower_links(self.world)
        return plan

    def others(self) -> None:
        """Everybody else's part of a turn."""
        self.slurm.schedule()
        try:
            self.agents.work()
        except PortError:
            return
        self.target.schedule()
        self.clock.forward(seconds=self.seconds)

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.tick()
            self.others()

    def until(self, stage: Stage, key: str = "1", most: int = 40) -> Burst:
        """Turns until the latest burst of a job is at ``stage``."""
        for _ in range(most):
            if self.bursts(key) and self.burst(key).stage is stage:
                return self.burst(key)
            self.turn()
        raise AssertionError(f"{key} never came to {stage}: {self.story(key)}")

    def finish(self, key: str = "1") -> Burst:
        """From RUNNING to the end."""
        self.until(Stage.RUNNING, key)
        self.turn()
        self.target.finish_all()
        return self.until(Stage.SETTLED, key)

    # --- what is there

    def bursts(self, key: str) -> tuple[Burst, ...]:
        return self.store.bursts(JobKey.parse("onprem", key))

    def burst(self, key: str = "1") -> Burst:
        """The latest burst of a job."""
        return self.bursts(key)[0]

    def story(self, key: str = "1") -> list[str]:
        """The stages a job's bursts went through, oldest first, waits left out."""
        stages: list[str] = []
        for burst in reversed(self.bursts(key)):
            for entry in self.store.journal(burst.id):
                if not stages or stages[-1] != entry.stage:
                    stages.append(entry.stage)
        return stages

    def living(self, name: str) -> int:
        """How many executions of the job of this name are alive at this instant, anywhere."""
        local = [
            j for j in self.slurm.jobs
            if j.name == name and j.state == "RUNNING" and j.node != "px"
        ]  # fmt: skip
        keys = {b.work_key for b in self.store.bursts() if b.identity.name == name}
        far = [
            w for w in self.target.on_nodes() if w.job.key in keys
        ]  # fmt: skip
        return len(local) + len(far)

    def executions(self, name: str) -> int:
        """How often the job of this name was ever started for real, anywhere."""
        keys = {b.work_key for b in self.store.bursts() if b.identity.name == name}
        far = [key for key in self.target.executions if key in keys]
        return len(far) + sum(run.name == name for run in self.slurm.runs)

    def held(self) -> list[str]:
        """Jobs on which a hold is left."""
        return [key_text(j) for j in self.slurm.jobs if j.held and j.state == "PENDING"]


def reach(scene: Scene, stage: Stage) -> None:
    """Stop the world at a stage: its burst is there and nobody has answered yet."""
    if stage is Stage.STAGING_OUT:
        scene.until(Stage.RUNNING)
        scene.turn()
        scene.target.finish_all()
    scene.link.cut = stage is Stage.STAGING_IN
    scene.agents.asleep = stage in {Stage.CLAIMING, Stage.STAGING_OUT}
    scene.until(stage)
