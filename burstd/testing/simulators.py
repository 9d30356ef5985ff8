"""All simulators, and the two that are the real thing on a simulated floor."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import StaticPool

from burstd.adapters.slurm.audited import AuditedController
from burstd.adapters.slurm.controller import CommandController
from burstd.adapters.slurm.queue import SlurmQueue
from burstd.adapters.store.sql import SqlStore
from burstd.ports.audit import Tell, nobody
from burstd.testing.agents import SimulatedAgents
from burstd.testing.clock import SteppedClock
from burstd.testing.slurm import SimulatedCommands, SimulatedSlurm
from burstd.testing.target import SimulatedLink, SimulatedTarget

__all__ = [
    "SimulatedAgents",
    "SimulatedLink",
    "SimulatedSlurm",
    "SimulatedTarget",
    "SteppedClock",
    "in_file",
    "memory",
    "simulated_queue",
    "store_in",
]


def simulated_queue(
    slurm: SimulatedSlurm, home_partition: str = "cae", tell: Tell = nobody
) -> SlurmQueue:
    """Port ``Queue``: the real adapter, whose commands reach a simulated controller."""
    commands = SimulatedCommands(controller=slurm)
    controller, now = AuditedController(CommandController(commands), tell), slurm.clock.now
    names = (slurm.cluster, slurm.burst_partition, home_partition)
    return SlurmQueue(*names, now, commands, controller)


def memory() -> Engine:
    """A database that lives as long as this value, across any number of stores."""
    return create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )


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
