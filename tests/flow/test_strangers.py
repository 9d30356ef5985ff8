"""A slurmctld that crashes forgets a submission and gives its id away: nobody touches the job that
gets it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from burstd.domain.burst import Stage
from burstd.ports.errors import Unreachable
from tests.flow.scene import Scene

FLUENT = "#!/bin/sh\nfluent\n"


def given_to_a_stranger(scene: Scene, change: str) -> list[dict[str, str]]:
    """After the first such change the job was never saved, and its id is bob's. His job's fields,
    as soon as there is one."""
    real, fields = scene.slurm.run, list[dict[str, str]]()

    def run(argv: Sequence[str]) -> str:
        said = real(argv)
        if not fields and " ".join(argv).startswith(change):
            scene.slurm.crash()
            assert "1" == scene.slurm.submit(user="bob", name="hole", partition="other")
            fields.append(dict(scene.slurm.job("1").shown))
        return said

    scene.slurm.run = run  # type: ignore[method-assign]
    return fields


def test_a_return_whose_id_was_given_to_a_stranger_is_over() -> None:
    scene = Scene(seconds=3)
    scene.slurm.submit(name="wish", partition="burst", script=FLUENT)

    def crash() -> None:
        scene.slurm.crash()
        raise Unreachable("Unable to contact slurm controller")

    scene.slurm.meanwhile["scontrol update"] = crash
    scene.turn()
    assert "1" == scene.slurm.submit(user="bob", name="hole", partition="other")
    before = dict(scene.slurm.job("1").shown)
    scene.turn(30)

    assert Stage.RETURNED is scene.burst().stage
    assert before == scene.slurm.job("1").shown


@pytest.mark.parametrize(
    "change", ["hold", "update jobid=1 partition=burst", "update jobid=1 extra=burst"]
)
def test_no_change_of_a_claim_reaches_a_stranger(change: str) -> None:
    """slurmctld crashes and comes back between two changes; the id is somebody else's by then."""
    scene = Scene(seconds=1)
    scene.slurm.submit(name="beam", minutes=120)
    before = given_to_a_stranger(scene, f"scontrol {change}")
    scene.turn(30)

    assert Stage.RETURNED is scene.burst().stage
    assert before == [scene.slurm.job("1").shown]


@pytest.mark.parametrize(
    "change", ["hold", "update jobid=1 partition=cae", "update jobid=1 extra=", "release"]
)
def test_no_change_of_a_return_reaches_a_stranger(change: str) -> None:
    scene = Scene(seconds=1)
    scene.slurm.submit(name="wish", partition="burst")  # no application of a target's
    before = given_to_a_stranger(scene, f"scontrol {change}")
    scene.turn(30)

    assert Stage.RETURNED is scene.burst().stage
    assert before == [scene.slurm.job("1").shown]


def test_a_hold_that_came_to_a_stranger_is_undone() -> None:
    """The id was given away between the last look and the hold itself."""
    scene = Scene(seconds=1)
    scene.slurm.submit(name="beam", minutes=120)

    def taken() -> None:
        scene.slurm.crash()
        assert "1" == scene.slurm.submit(user="bob", name="hole")

    scene.slurm.meanwhile["scontrol hold"] = taken
    scene.turn(30)

    assert Stage.RETURNED is scene.burst().stage
    assert ("hole", False) == (scene.slurm.job("1").name, scene.slurm.job("1").held)
