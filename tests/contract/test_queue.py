"""One suite for the queue: on the simulator always, on Slurm 24.11 and 22.05 in the lab, and on
24.11 by pyslurm."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from burstd.adapters.slurm.worker import Worker
from burstd.testing.contracts.cluster import Cluster
from burstd.testing.contracts.queue import QueueContract
from lab import Lab
from tests.contract.real import LEGACY_SHAPES, PyslurmCluster, RealCluster, full
from tests.contract.simulated import SimulatedCluster


class TestSimulatedSlurm(QueueContract):
    @pytest.fixture
    def cluster(self) -> Cluster:
        return SimulatedCluster()


@pytest.mark.lab
class TestSlurm24(QueueContract):
    @pytest.fixture
    def cluster(self, lab: Lab) -> Iterator[Cluster]:
        yield from full(RealCluster(lab.host("ctl"), lab.host("px")))


@pytest.mark.lab
class TestSlurm22(QueueContract):
    @pytest.fixture
    def cluster(self, lab: Lab) -> Iterator[Cluster]:
        old = lab.legacy_up()
        yield from full(RealCluster(old, old, LEGACY_SHAPES, cluster="legacy"))


@pytest.mark.lab
class TestPyslurm24(QueueContract):
    @pytest.fixture
    def cluster(self, lab: Lab, worker: Worker) -> Iterator[Cluster]:
        yield from full(PyslurmCluster(lab.host("ctl"), lab.host("px"), worker=worker))
