"""One suite for targets: the simulated one always, the Slurm plugin on the lab's cloud."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from burstd.testing.contracts.target import FarEnd, TargetContract
from lab import Lab
from tests.contract.far_ends import CloudFarEnd, SimulatedFarEnd


class TestSimulatedTarget(TargetContract):
    @pytest.fixture
    def far(self) -> FarEnd:
        return SimulatedFarEnd()


@pytest.mark.lab
class TestSlurmTarget(TargetContract):
    @pytest.fixture
    def far(self, lab: Lab, tmp_path: Path) -> Iterator[FarEnd]:
        far = CloudFarEnd(lab, tmp_path)
        yield far
        far.login.run(["scancel", "--user=cae01"], "burst", check=False)
        far.login.sh("rm -f /scratch/burst/bin/burst-far-*.pyz /scratch/burst/images/2*.sqfs")
