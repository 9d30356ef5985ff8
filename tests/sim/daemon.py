"""One burstd: the real engine, its ports tapped. A kill takes all of it but the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine

from burstd.adapters.licences.static import StaticSource
from burstd.adapters.slurm.audited import AuditedController
from burstd.adapters.slurm.controller import CommandController
from burstd.adapters.slurm.queue import SlurmQueue
from burstd.adapters.store.sql import SqlStore
from burstd.domain.applications import Application
from burstd.domain.classes import OPEN
from burstd.domain.jobs import CoreHours
from burstd.domain.licences import Pool
from burstd.domain.policy import BurstPolicy, Mode, Watermarks
from burstd.domain.targets import Image, Money, TargetName
from burstd.obs.logs import burst_under_way
from burstd.ports.errors import PortError
from burstd.ports.licences import LicenceSource
from burstd.shell.audited import AuditedTarget
from burstd.shell.tend import lower_links, raise_links
from burstd.shell.tick import Memory, tick
from burstd.shell.vouched import VouchedTarget
from burstd.shell.world import Rulebook, World
from burstd.shell.world import Site as WorldSite
from burstd.testing.clock import SetClock
from burstd.testing.simulators import SimulatedCommands
from burstd.testing.witness import SimulatedWitness
from tests.sim.calls import Tap, Tapped
from tests.sim.site import Site

CLOUD = TargetName("cloud")
CALCULIX = Application("calculix", "calculix", (r"\bccx\b",), "calculix")
LICENCE = "ccx"
KEPT = timedelta(days=365)  #: no story is as long
IMAGE = Image("calculix", "/opt/images/calculix.sqfs", "ab" * 32)
POLICY = BurstPolicy(
    mode=Mode.AUTO,
    watermarks=Watermarks(high=CoreHours(1), low=CoreHours(0.5)),
    partitions=frozenset({"cae"}),
    burst_partition="burst",
    targets=(CLOUD,),
    budget=Money(Decimal(100)),
    lost_after=timedelta(minutes=1),
    data=OPEN,
)


class Killed(BaseException):
    """SIGKILL of one daemon: no handler of ours may see it."""

    def __init__(self, daemon: str) -> None:
        super().__init__(daemon)
        self.daemon = daemon


@dataclass
class Daemon:
    """``faults``: what it could not make sense of. ``busy``: it is inside a turn."""

    name: str
    site: Site
    database: Engine
    policy: BurstPolicy
    tap: Tap
    clock: SetClock
    licences: int = 0  #: that each job needs one of; 0: none
    alive: bool = False
    busy: bool = False
    faults: list[str] = field(default_factory=list)
    back_at: int = 0  #: the turn in which it is started again
    witness: SimulatedWitness = field(default_factory=SimulatedWitness)

    @classmethod
    def on_a_machine(
        cls, name: str, site: Site, database: Engine, policy: BurstPolicy, tap: Tap
    ) -> Daemon:
        """One that has a machine of its own."""
        clock = SetClock(site.clock, timedelta(), f"boot-{name}")
        return cls(name, site, database, policy, tap, clock)

    @property
    def _application(self) -> Application:
        return replace(CALCULIX, licences={LICENCE: 1}) if self.licences else CALCULIX

    @property
    def _sources(self) -> tuple[LicenceSource, ...]:
        pool = Pool(LICENCE, self.licences, 0)
        return (StaticSource({LICENCE: pool}),) if self.licences else ()

    def start(self) -> None:
        """burstd comes up: nothing is left of an earlier one but its database."""
        store = SqlStore(self.database, self.site.slurm.cluster, self.clock)
        store.create()
        self.store: SqlStore = self._tapped(store, "store")

        def tell(action: str, burst: str, facts: Mapping[str, object]) -> None:
            self.store.tell(action, burst or burst_under_way(), facts)

        commands = SimulatedCommands(controller=self._tapped(self.site.slurm, "slurm"))
        cluster = self.site.slurm.cluster
        queue = SlurmQueue(
            cluster, self.site.slurm.burst_partition, "cae", self.clock.now,
            commands, AuditedController(CommandController(commands), tell),
        )  # fmt: skip
        target, link = self._tapped(self.site.target, "far"), self._tapped(self.site.link, "link")
        vouched = VouchedTarget(target, self.store, cluster, CLOUD, self.clock)
        self.memory = Memory()
        self.world = World(
            clock=self.clock,
            store=self.store,
            witness=self.witness,
            queue=queue,
            sites={CLOUD: WorldSite(AuditedTarget(vouched, tell), link, keeps=KEPT)},
            rules=Rulebook(self.policy),
            applications={"calculix": self._application},
            images={"calculix": IMAGE},
            licences=self._sources,
        )
        self.alive = True

    def turn(self) -> None:
        """What the daemon's clockwork does each time. Raises ``Killed`` of other daemons only."""
        self._guarded(self._turn)

    def serve(self, agents_work: Callable[[], None]) -> None:
        """Let agents ask it: their words are calls of this daemon, and it may die of one."""
        self.site.agents.store = self.store
        self._guarded(agents_work)

    def die(self) -> None:
        """SIGKILL."""
        self.alive = False

    def _turn(self) -> None:
        try:
            raise_links(self.world)
            tick(self.world, self.memory)
            lower_links(self.world)
        except PortError:
            return
        except Exception as error:  # noqa: BLE001 - the same place as in the daemon
            self.faults.append(f"tick.broken: {error!r}")

    def _guarded(self, work: Callable[[], None]) -> None:
        was, self.busy = self.busy, True
        try:
            work()
        except Killed as killed:
            if killed.daemon != self.name:
                raise
            self.die()
        finally:
            self.busy = was

    def _tapped(self, port: object, seam: str) -> Any:
        return Tapped(port, self.name, seam, self.tap)
