"""Jobs that can't be taken after all, and were never touched: they may leave later."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from burstd.cli.burst import app
from burstd.domain.burst import Stage
from burstd.domain.plan import Reason
from burstd.domain.policy import Mode
from burstd.domain.requests import Request, RequestKind
from burstd.shell.tick import tick
from burstd.testing.simulators import in_file
from tests.flow.conftest import ME, Serve
from tests.flow.scene import POLICY, Scene


def planned(scene: Scene) -> None:
    """It is decided that its job leaves, and burstd has not touched it."""
    scene.others()
    tick(scene.world, scene.memory, lambda _drive, _bursts: None)
    assert Stage.PLANNED is scene.burst().stage


def reasons(scene: Scene) -> list[Reason]:
    """Why it stays, by the last plan."""
    assert scene.memory.plan is not None
    return [decline.reason for decline in scene.memory.plan.declined]


def test_a_job_that_its_user_held_in_that_moment_leaves_once_it_is_let_go(scene: Scene) -> None:
    planned(scene)
    scene.slurm.hold("1")
    scene.turn()
    assert (["planned", "returned"], []) == (scene.story(), scene.slurm.changes)
    assert "is held" in scene.burst().cause
    scene.slurm.unhold("1")
    scene.turn(5)
    assert ([Reason.REFUSED_LATELY], 1) == (reasons(scene), len(scene.bursts("1")))

    scene.clock.forward(minutes=10)
    scene.finish()
    assert ("COMPLETED", 2) == (scene.slurm.job("1").state, len(scene.bursts("1")))


def test_what_never_goes_away_is_tried_ever_more_rarely(scene: Scene) -> None:
    scene.slurm.job("1").shown["GresEnforceBind"] = "Yes"  # no list of the queue shows it
    scene.others()
    tries = []
    for _ in range(60):
        scene.tick()
        tries.append(len(scene.bursts("1")))
        scene.clock.forward(minutes=1)

    assert [1, 1, 2, 2, 3] == [tries[minute] for minute in (0, 9, 11, 29, 32)]
    assert ([], 3) == (scene.slurm.changes, tries[-1])


@pytest.mark.parametrize("stays", [True, False])
def test_what_somebody_wants_here_stays_what_a_budget_does_not_cover_waits(
    scene: Scene, stays: bool
) -> None:
    planned(scene)
    by = "root" if stays else "burstd"
    assert scene.store.request(scene.burst().id, Request(RequestKind.RETURN, by, "a rehearsal"))
    scene.turn()
    scene.clock.forward(minutes=11)
    scene.turn()

    assert (1 if stays else 2) == len(scene.bursts("1"))
    assert ([Reason.RETURNED_BEFORE] if stays else []) == reasons(scene)


def test_a_job_that_had_left_stays_for_good(scene: Scene) -> None:
    scene.agents.missing["1"] = "missing input file"
    scene.until(Stage.RETURNED)
    scene.clock.forward(days=2)
    scene.turn(3)

    assert ([Reason.RETURNED_BEFORE], 1) == (reasons(scene), len(scene.bursts("1")))


def test_its_user_hears_why_and_that_it_is_tried_again(tmp_path: Path, serve: Serve) -> None:
    scene = Scene(database=in_file(tmp_path / "ledger.db"))
    scene.slurm.submit(user=ME, name="beam", minutes=120)
    serve(scene)
    planned(scene)
    scene.slurm.hold("1")
    scene.turn()
    scene.slurm.unhold("1")
    scene.turn(2)
    told = CliRunner().invoke(app, ["why", "1"]).output

    for words in ("is held", "could not be taken a while ago, and is tried again"):
        assert words in told


def test_a_proposal_that_was_withdrawn_is_made_again(scene: Scene) -> None:
    scene.world.rules.policy = replace(POLICY, mode=Mode.APPROVE)
    scene.turn(2)
    scene.slurm.job("1").state = "RUNNING"
    scene.turn()
    assert Stage.RETURNED is scene.burst().stage
    scene.slurm.job("1").state = "PENDING"
    scene.clock.forward(minutes=10)
    scene.turn()

    assert ([Stage.PLANNED, Stage.RETURNED]) == [b.stage for b in scene.bursts("1")]
