"""All simulators, and the two that are the real thing on a simulated floor."""

from __future__ import annotations

from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import StaticPool

from burstd.adapters.slurm.cli_queue import CliQueue
from burstd.adapters.store.sql import SqlStore
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
    "memory",
    "simulated_queue",
    "store_in",
]


def simulated_queue(slurm: SimulatedSlurm, home_partition: str = "cae") -> CliQueue:
    """Port ``Queue``: the real adapter, whose commands reach a simulated controller."""
    commands = SimulatedCommands(controller=slurm)
    now = slurm.clock.now
    return CliQueue(slurm.cluster, slurm.burst_partition, home_partition, now, commands)


def memory() -> Engine:
    """A database that lives as long as this value, across any number of stores."""
    return create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )


def store_in(engine: Engine, clock: SteppedClock, cluster: str = "onprem") -> SqlStore:
    """Port ``BurstStore``: the real one, opened on ``engine``."""
    store = SqlStore(engine, cluster, clock)
    store.create()
    return store
