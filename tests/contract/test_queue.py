"""One suite for the queue: on the simulator always, on Slurm 24.11 and 22.05 in the lab."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from burstd.testing.contracts.queue import Cluster, QueueContract
from lab import Lab
from tests.contract.real import LEGACY_SHAPES, RealCluster
from tests.contract.simulated import SimulatedCluster


class TestSimulatedSlurm(QueueContract):
    @pytest.fixture
    def cluster(self) -> Cluster:
        return SimulatedCluster()


def full(cluster: RealCluster) -> Iterator[RealCluster]:
    """The cluster, with full nodes, for one test."""
    cluster.clear()
    cluster.fill()
    yield cluster
    cluster.clear()


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
