"""The lab for contracts on real Slurms: burstd's own daemons rest, stand-ins are plain jobs."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from burstd.adapters.slurm.worker import Worker
from burstd.adapters.store.postgres import engine_at
from lab import Host, Lab
from tests.contract.real import without_burstd, worker_in


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The running lab, without burstd and without the SPANK plugin on the proxy node."""
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    lab = Lab.here()
    lab.up()
    with without_burstd(lab.host("px")):
        yield lab


@pytest.fixture(scope="session")
def database_host(lab: Lab) -> Host:
    """Where PostgreSQL runs."""
    host = lab.host("ctl")
    host.start_service("postgres")
    return host


@pytest.fixture
def postgres(database_host: Host) -> Iterator[Engine]:
    """An empty database, by its Unix socket: the test is on no net of the lab's."""
    sql = "drop schema public cascade; create schema public"
    database_host.run(["psql", "-qU", "burstd", "-c", sql])
    engine = engine_at(f"postgresql://burstd@/burstd?host={database_host.path('/run/postgresql')}")
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def worker(lab: Lab) -> Iterator[Worker]:
    """pyslurm on the proxy node."""
    worker = worker_in(lab.host("px"), lab.install_pyslurm())
    yield worker
    worker.close()
