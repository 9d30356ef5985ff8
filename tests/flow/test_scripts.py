"""What one job's script or record does not tell holds up nobody else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from burstd.adapters.slurm.commands import NoSuchJob
from burstd.domain.burst import Stage
from burstd.domain.plan import Reason
from burstd.ports.errors import Rejected, Unreachable
from tests.flow.scene import Scene

LOST = "job script retrieval failed: No such file or directory"


def failing(scene: Scene, fails: Callable[[str], Exception | None]) -> list[str]:
    """Questions about these jobs' scripts and records fail; the jobs that were asked about."""
    real, asked = scene.slurm.run, list[str]()

    def run(argv: Sequence[str]) -> str:
        if tuple(argv[:3]) == ("scontrol", "write", "batch_script"):
            asked.append(argv[3])
            if (error := fails(argv[3])) is not None:
                raise error
        return real(argv)

    scene.slurm.run = run  # type: ignore[method-assign]
    return asked


@pytest.mark.parametrize("error", [Rejected(LOST), NoSuchJob("Invalid job id"), Unreachable("x")])
def test_a_script_that_nobody_can_read_keeps_that_job_here_and_no_other(error: Exception) -> None:
    scene = Scene()
    scene.slurm.submit(name="broken", minutes=120)
    failing(scene, lambda job: error if job == "1" else None)
    scene.slurm.submit(name="beam", minutes=120)

    scene.until(Stage.RUNNING, key="2")
    assert () == scene.bursts("1")
    assert scene.memory.plan is not None
    (stays,) = (d for d in scene.memory.plan.declined if d.identity.key.job_id == 1)
    assert Reason.SCRIPT_UNREAD is stays.reason


def test_those_that_could_not_be_read_are_asked_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many they are, and a controller that is away is not asked by hundreds."""
    monkeypatch.setattr("burstd.shell.tick.UNREAD_PER_TICK", 2)
    scene = Scene()
    for _ in range(5):
        scene.slurm.submit(name="broken", minutes=120)
    scene.slurm.submit(name="beam", minutes=120)
    asked = failing(scene, lambda job: Rejected(LOST) if job != "6" else None)
    scene.slurm.schedule()
    scene.tick()
    assert ["1", "2"] == asked
    scene.until(Stage.RUNNING, key="6")
