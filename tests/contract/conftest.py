"""The lab for contracts on real Slurms: burstd's own daemons rest, stand-ins are plain jobs."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from burstd.adapters.slurm.worker import Worker
from lab import Lab
from tests.contract.real import worker_in


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The running lab, without burstd and without the SPANK plugin on the proxy node."""
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    lab = Lab.here()
    lab.up()
    px = lab.host("px")
    for name in ("burstd", "burst-netd"):
        px.end(name)
    plugins = px.read("/etc/slurm/plugstack.conf")
    px.write("/etc/slurm/plugstack.conf", "")
    yield lab
    px.write("/etc/slurm/plugstack.conf", plugins)


@pytest.fixture(scope="session")
def worker(lab: Lab) -> Iterator[Worker]:
    """pyslurm on the proxy node."""
    worker = worker_in(lab.host("px"), lab.install_pyslurm())
    yield worker
    worker.close()
