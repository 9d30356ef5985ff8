"""What people ask of a burst under way: to give it back, to cancel it, to judge it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from burstd.core.lifecycle import advance
from burstd.domain import events as ev
from burstd.domain.burst import ZERO, Burst, Stage
from burstd.domain.events import Event
from burstd.domain.jobs import JobKey
from burstd.domain.plan import Reason
from burstd.domain.requests import Request, RequestKind
from burstd.ports.errors import Rejected, Unreachable
from burstd.shell.tick import move, tick
from tests.flow.scene import RESTING, Scene, reach

RETURN = Request(RequestKind.RETURN, "root", "there is room again")
CANCEL = Request(RequestKind.CANCEL, "root")
BEFORE_THE_PERMIT = RESTING[: RESTING.index(Stage.RUNNING)]


def run_at_home(scene: Scene, turns: int = 15) -> None:
    """There is room on-prem: what pends there runs and ends."""
    scene.slurm.slots = 1
    for _ in range(turns):
        scene.turn()
        for run in scene.slurm.runs:
            if scene.slurm.job(run.key).node == "n1":
                scene.slurm.finish(run.key)


# --- give back


@pytest.mark.parametrize("stage", BEFORE_THE_PERMIT, ids=lambda s: s.value)
def test_a_job_asked_back_before_its_permit_runs_at_home_once_and_leaves_no_twin(
    scene: Scene, stage: Stage
) -> None:
    reach(scene, stage)
    assert scene.store.request(scene.burst().id, RETURN)
    scene.link.cut = scene.agents.asleep = False
    scene.until(Stage.RETURNED)
    assert "cae" == scene.slurm.job("1").shown["Partition"]
    run_at_home(scene)

    assert (1, []) == (scene.executions("beam"), scene.target.executions)
    assert "COMPLETED" == scene.slurm.job("1").state
    assert 1 == len(scene.bursts("1"))
    assert RETURN.why in " ".join(e.detail for e in scene.store.journal(scene.burst().id))


def test_a_job_asked_back_before_anything_was_done_was_never_touched(scene: Scene) -> None:
    scene.others()
    tick(scene.world, scene.memory, lambda _drive, _bursts: None)  # killed once it was planned
    assert Stage.PLANNED is scene.burst().stage
    assert scene.store.request(scene.burst().id, RETURN)
    scene.turn(5)

    assert ["planned", "returned"] == scene.story()
    assert [] == scene.slurm.changes


def test_a_request_between_the_last_look_and_the_permit_still_counts(scene: Scene) -> None:
    """The permit and the request are judged in the ledger, one after the other."""
    scene.until(Stage.SUBMITTED)
    scene.clock.forward(seconds=20)
    burst = scene.burst()
    looks = {"count": 0}

    def asked_meanwhile() -> None:
        looks["count"] += 1
        assert scene.store.request(burst.id, RETURN)

    # The last thing that the step reads before it takes the permit is the stand-in's record.
    move(burst, ev.Done(), scene.world)
    scene.slurm.meanwhile["scontrol show job"] = asked_meanwhile
    scene.tick()

    assert 1 == looks["count"]
    assert [] == scene.target.executions
    assert Stage.RETURNED is scene.until(Stage.RETURNED).stage


@pytest.mark.parametrize("stage", [Stage.RUNNING, Stage.STAGING_OUT], ids=lambda s: s.value)
def test_what_has_started_elsewhere_is_not_given_back(scene: Scene, stage: Stage) -> None:
    reach(scene, stage)
    assert not scene.store.request(scene.burst().id, RETURN)
    scene.agents.asleep = False

    assert Stage.SETTLED is scene.until(Stage.SETTLED, most=60 if finish(scene) else 0).stage
    assert 1 == scene.executions("beam")


def test_while_the_target_is_away_a_submitted_job_stays_until_its_twin_is_proven_absent(
    scene: Scene,
) -> None:
    scene.until(Stage.SUBMITTED)
    scene.link.cut = True
    assert scene.store.request(scene.burst().id, RETURN)
    scene.turn(20)
    assert (Stage.RETURNING, "burst") == (
        scene.burst().stage, scene.slurm.job("1").shown["Partition"],
    )  # fmt: skip
    scene.link.cut = False
    run_at_home(scene, 80)

    assert (Stage.RETURNED, 1) == (scene.burst().stage, scene.executions("beam"))
    assert [] == scene.target.executions


# --- cancel


def test_a_burst_stays_open_until_the_job_that_it_shall_end_could_be_ended(scene: Scene) -> None:
    """Slurm answers all questions, and takes no scancel for a while."""
    scene.until(Stage.SUBMITTED)
    assert scene.store.request(scene.burst().id, RETURN)
    scene.until(Stage.RETURNING)
    assert scene.store.request(scene.burst().id, CANCEL)
    real, busy = scene.slurm.run, [True]

    def run(argv: Sequence[str]) -> str:
        if argv[0] == "scancel" and busy[0]:
            raise Unreachable("Resource temporarily unavailable")
        return real(argv)

    scene.slurm.run = run  # type: ignore[method-assign]
    scene.turn(20)
    assert Stage.RETURNING is scene.burst().stage
    busy[0] = False
    run_at_home(scene)

    assert ("CANCELLED", 0) == (scene.slurm.job("1").state, scene.executions("beam"))
    assert Stage.RETURNED is scene.burst().stage


@pytest.mark.parametrize("stage", RESTING, ids=lambda s: s.value)
def test_a_burst_cancelled_at_any_stage_ends_job_and_twin(scene: Scene, stage: Stage) -> None:
    reach(scene, stage)
    assert scene.store.request(scene.burst().id, CANCEL)
    scene.link.cut = scene.agents.asleep = False
    for _ in range(20):
        scene.turn()

    assert scene.burst().stage.final, scene.story()
    assert "CANCELLED" == scene.slurm.job("1").state
    assert all(work.job.outcome is not None for work in scene.target.work.values())


def test_a_cancel_waits_for_a_controller_that_is_away(scene: Scene) -> None:
    scene.until(Stage.RUNNING)
    scene.slurm.up = False
    assert scene.store.request(scene.burst().id, CANCEL)
    scene.turn(3)
    scene.slurm.up = True
    scene.turn(20)

    assert "CANCELLED" == scene.slurm.job("1").state
    assert scene.burst().stage.final


def test_a_cancel_ends_no_stranger_that_has_the_jobs_id(scene: Scene) -> None:
    scene.until(Stage.SUBMITTED)
    job = scene.slurm.job("1")
    job.user, job.name, job.submitted_at = "bob", "other", scene.clock.now()
    scene.agents.asleep = True
    assert scene.store.request(scene.burst().id, CANCEL)
    scene.turn(5)

    assert "CANCELLED" != scene.slurm.job("1").state
    assert ("scancel", "1") not in scene.slurm.commands


# --- everything back


def test_return_all_gives_everything_back_wishes_too_and_what_runs_away_goes_on() -> None:
    scene = Scene()
    scene.slurm.submit(name="away", minutes=120)
    scene.until(Stage.RUNNING)
    for name in ("beam", "plate"):
        scene.slurm.submit(name=name, minutes=120)
    scene.until(Stage.STAGING_IN, "3")
    scene.store.freeze("root", "the line is down", close=True)
    scene.slurm.submit(name="wish", partition="burst")
    for burst in scene.store.open_bursts():
        scene.store.request(burst.id, RETURN)
    scene.turn(2)
    scene.target.finish_all()
    run_at_home(scene, 40)

    assert {"away": 1, "beam": 1, "plate": 1, "wish": 1} == {
        name: scene.executions(name) for name in ("away", "beam", "plate", "wish")
    }
    assert ["away"] == [work.order.key and "away" for work in scene.target.work.values()]
    assert () == scene.store.open_bursts()
    assert {"COMPLETED"} == {job.state for job in scene.slurm.jobs}


# --- what a human must judge


def broken_at(scene: Scene, stage: Stage) -> Burst:
    """A fault of burstd's own at this stage."""
    reach(scene, stage)
    event: Event = ev.Broken("a fault")
    burst = scene.burst()
    held = scene.store.append(burst, event, advance(burst, event))
    scene.link.cut = scene.agents.asleep = False
    scene.turn(3)
    assert Stage.QUARANTINED is scene.burst().stage
    return held


@pytest.mark.parametrize("stage", RESTING, ids=lambda s: s.value)
def test_a_released_burst_goes_on_to_its_end(scene: Scene, stage: Stage) -> None:
    held = broken_at(scene, stage)
    move(held, ev.Released("root", "mended"), scene.world)
    for _ in range(30):
        scene.turn()
        scene.target.finish_all()

    assert (Stage.SETTLED, 1) == (scene.burst().stage, scene.executions("beam"))
    assert "COMPLETED" == scene.slurm.job("1").state


@pytest.mark.parametrize("stage", RESTING, ids=lambda s: s.value)
def test_an_abandoned_burst_is_never_touched_again(scene: Scene, stage: Stage) -> None:
    held = broken_at(scene, stage)
    cost = held.reserved if held.submit_intended else ZERO
    move(held, ev.Abandoned("root", "no use", cost), scene.world)
    before, work = scene.slurm.changes, dict(scene.target.work)
    scene.slurm.slots = 1
    scene.turn(10)

    assert before == scene.slurm.changes
    assert work.keys() == scene.target.work.keys()
    assert () == scene.store.open_bursts()
    assert (cost, frozenset({JobKey("onprem", 1)})) == (
        scene.store.ledger().spent, scene.store.ledger().abandoned,
    )  # fmt: skip
    verdict = scene.store.verdict(JobKey("onprem", 1))
    assert verdict is not None
    assert Reason.ABANDONED.value in verdict.text or stage is Stage.STAGING_OUT


def test_a_refusal_that_called_a_human_can_be_tried_again_when_it_is_mended(scene: Scene) -> None:
    scene.until(Stage.RUNNING)
    scene.turn()
    scene.target.finish_all()
    scene.until(Stage.SETTLING)

    def no_rights(*_: object) -> None:
        raise Rejected("the account is locked")

    clean, scene.target.clean = scene.target.clean, no_rights  # type: ignore[method-assign,assignment]
    scene.until(Stage.QUARANTINED, most=60)
    scene.target.clean = clean  # type: ignore[method-assign]
    move(scene.burst(), ev.Released("root", "unlocked"), scene.world)

    assert Stage.SETTLED is scene.until(Stage.SETTLED).stage


def finish(scene: Scene) -> bool:
    scene.turn()
    scene.target.finish_all()
    return True
