"""All simulators, and the two that are the real thing on a simulated floor."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import StaticPool

from burstd.adapters.slurm.audited import AuditedController
from burstd.adapters.slurm.commands import NOTHING_MORE, Slurm
from burstd.adapters.slurm.controller import CommandController
from burstd.adapters.slurm.queue import SlurmQueue
from burstd.adapters.store.sql import SqlStore
from burstd.ports.audit import Tell, nobody
from burstd.testing.agents import SimulatedAgents
from burstd.testing.clock import SteppedClock
from burstd.testing.slurm import SimulatedSlurm
from burstd.testing.target import SimulatedLink, SimulatedTarget

__all__ = [
    "SimulatedAgents",
    "SimulatedCommands",
    "SimulatedLink",
    "SimulatedSlurm",
    "SimulatedTarget",
    "SteppedClock",
    "in_file",
    "memory",
    "picture_of",
    "simulated_queue",
    "store_in",
]


@dataclass(frozen=True)
class SimulatedCommands(Slurm):
    """``adapters.slurm.commands.Slurm`` whose programs talk to a simulated controller."""

    controller: SimulatedSlurm = field(default_factory=lambda: SimulatedSlurm(SteppedClock()))

    def run(self, argv: Sequence[str], environment: Mapping[str, str] = NOTHING_MORE) -> str:
        return self.controller.run(argv)


def simulated_queue(
    slurm: SimulatedSlurm, home_partition: str = "cae", tell: Tell = nobody
) -> SlurmQueue:
    """Port ``Queue``: the real adapter, whose commands reach a simulated controller."""
    commands = SimulatedCommands(controller=slurm)
    controller, now = AuditedController(CommandController(commands), tell), slurm.clock.now
    names = (slurm.cluster, slurm.burst_partition, home_partition)
    return SlurmQueue(*names, now, commands, controller)


def memory(picture: bytes = b"") -> Engine:
    """A database that lives as long as this value, across any number of stores; as it was when
    ``picture_of`` took ``picture``, or empty."""
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    if picture:
        _sqlite(engine).deserialize(picture)
    return engine


def picture_of(engine: Engine) -> bytes:
    """The whole of a database that ``memory`` made."""
    return _sqlite(engine).serialize()


def _sqlite(engine: Engine) -> sqlite3.Connection:
    connection = engine.raw_connection().driver_connection
    assert isinstance(connection, sqlite3.Connection)  # noqa: S101 - it is for tests only
    return connection


def in_file(path: Path) -> Engine:
    """A database in a file: several threads may use it, and a copy of the file is a backup. Not
    safe against power loss, which no simulation has."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def _quick(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    return engine


def store_in(engine: Engine, clock: SteppedClock, cluster: str = "onprem") -> SqlStore:
    """Port ``BurstStore``: the real one, opened on ``engine``."""
    store = SqlStore(engine, cluster, clock)
    store.create()
    return store
