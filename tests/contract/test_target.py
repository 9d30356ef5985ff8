"""One suite for targets: the simulated one always, the Slurm plugin on the lab's cloud."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from burstd.domain.jobs import Shape
from burstd.domain.targets import WorkKey, WorkOrder
from burstd.testing.contracts.target import FarEnd, TargetContract
from lab import Lab
from tests.contract.far_ends import CloudFarEnd, SimulatedFarEnd
from tests.contract.far_shell import ShellFarEnd


class TestSimulatedTarget(TargetContract):
    @pytest.fixture
    def far(self) -> FarEnd:
        return SimulatedFarEnd()


class TestSlurmTargetOnASimulatedSlurm(TargetContract):
    @pytest.fixture
    def far(self, tmp_path: Path) -> FarEnd:
        return ShellFarEnd(tmp_path)


def test_a_stranger_who_got_the_id_of_lost_work_is_never_cancelled(tmp_path: Path) -> None:
    far = ShellFarEnd(tmp_path)
    order = WorkOrder(WorkKey("b-ours"), "alice", Shape(), timedelta(hours=1), far.image)
    ours = far.target.submit(order)
    far.slurm.crash()
    assert ours == far.slurm.submit("cae07", "stranger", "hpc")
    far.slurm.schedule()
    far.target.cancel(order.key)

    assert "RUNNING" == far.slurm.job(ours).state
    assert far.target.find(order.key) is None
    cancels = [command for command in far.slurm.commands if command[0] == "scancel"]
    assert cancels
    assert all("--name=b-ours" in command for command in cancels)


@pytest.mark.lab
class TestSlurmTarget(TargetContract):
    @pytest.fixture
    def far(self, lab: Lab, tmp_path: Path) -> Iterator[FarEnd]:
        far = CloudFarEnd(lab, tmp_path)
        yield far
        far.login.run(["scancel", "--user=cae01"], "burst", check=False)
        far.login.sh("rm -f /scratch/burst/bin/burst-far-*.pyz /scratch/burst/images/2*.sqfs")
