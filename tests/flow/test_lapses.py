"""Controllers that crash and forget: on-prem or far, at any stage, nothing runs twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from burstd.core.lifecycle import advance
from burstd.domain import events as ev
from burstd.domain.burst import Burst, Stage
from burstd.domain.targets import Money, RemoteId, RemoteJob, RemoteState, WorkKey
from tests.flow.scene import RESTING, Scene, reach


def test_an_on_prem_restart_after_the_claim_starts_the_barrier_again(scene: Scene) -> None:
    scene.until(Stage.SUBMITTED)
    scene.clock.forward(seconds=6)  # the claim is saved, and younger than the barrier
    scene.slurm.crash()
    scene.tick()
    assert Stage.SUBMITTED is scene.burst().stage
    assert [] == scene.target.executions
    scene.finish()
    assert 1 == scene.executions("beam")


@pytest.mark.parametrize("age", [0, 3, 5, 9, 10])
@pytest.mark.parametrize("stage", RESTING, ids=lambda s: s.value)
def test_an_on_prem_crash_at_any_moment_never_makes_two_runs(stage: Stage, age: int) -> None:
    scene = Scene(seconds=1)
    scene.slurm.submit(name="beam", minutes=120)
    reach(scene, stage)
    scene.link.cut = scene.agents.asleep = False
    scene.clock.forward(seconds=age)
    scene.slurm.crash()
    scene.slurm.slots = 1  # whatever comes back without its hold starts at once
    for _ in range(25):
        scene.turn()
        assert scene.living("beam") <= 1
        scene.target.finish_all()
    assert scene.executions("beam") <= 1


@pytest.mark.parametrize("age", [0, 2, 5, 8, 10, 12])
def test_a_far_crash_that_forgets_the_submission_makes_no_second_twin(age: int) -> None:
    scene = Scene(seconds=1)
    scene.slurm.submit(name="beam", minutes=120)
    scene.until(Stage.SUBMITTED)
    scene.clock.forward(seconds=age)
    scene.target.crash()
    scene.turn(3)
    scene.finish()

    assert 1 == scene.executions("beam")


def test_a_far_crash_that_forgets_the_permit_is_given_it_again(scene: Scene) -> None:
    scene.until(Stage.SUBMITTED)
    scene.clock.forward(seconds=20)
    scene.tick()  # submitted long ago, permitted and started just now
    assert Stage.RUNNING is scene.burst().stage
    scene.target.crash()
    assert RemoteState.HELD is scene.target.state_of(scene.burst().work_key)
    scene.turn(2)
    scene.finish()

    assert 1 == scene.executions("beam")


def test_a_stranger_who_got_the_id_of_a_lost_submission_is_left_alone() -> None:
    scene = Scene(seconds=1)
    scene.slurm.submit(name="beam", minutes=120)
    ours = scene.until(Stage.SUBMITTED)
    (work,) = scene.target.work.values()
    scene.target.crash()
    stranger = replace(work.order, key=WorkKey("b-stranger"))
    assert ours.remote_id == scene.target.submit(stranger)
    scene.slurm.cancel("1")
    scene.turn(20)

    assert RemoteState.HELD is scene.target.state_of(stranger.key)
    assert scene.burst().stage.final


def test_an_end_that_the_controller_forgets_is_repeated_not_the_work(scene: Scene) -> None:
    scene.until(Stage.RUNNING)
    scene.turn()
    scene.target.finish_all()
    scene.seconds = 1
    scene.until(Stage.SETTLING)
    assert "COMPLETED" == scene.slurm.job("1").state
    scene.tick()
    scene.slurm.crash()
    assert (["beam"], "PENDING") == (scene.slurm.reruns, scene.slurm.job("1").state)
    scene.turn(20)

    assert Stage.SETTLED is scene.burst().stage
    assert "COMPLETED" == scene.slurm.job("1").state
    assert 1 == scene.executions("beam")


def test_what_was_started_is_never_begun_at_home(scene: Scene) -> None:
    """burstd dies between the start and its note of it, and the on-prem controller with it."""
    burst = scene.until(Stage.SUBMITTED)
    scene.clock.forward(seconds=20)
    burst = scene.store.append(burst, ev.Done(), advance(burst, ev.Done()))
    scene.store.permit(burst.id, 1)
    scene.target.start(burst.work_key)
    scene.target.schedule()
    scene.slurm.crash()
    scene.start()
    scene.slurm.slots = 1
    scene.finish()

    assert 1 == scene.executions("beam")
    assert [] == scene.slurm.runs


def test_what_the_far_end_says_and_nobody_can_read_is_counted_and_moves_nothing(
    scene: Scene,
) -> None:
    scene.until(Stage.RUNNING)
    key, real = scene.burst().work_key, scene.target.poll

    def garbled(keys: Sequence[WorkKey]) -> Mapping[WorkKey, RemoteJob]:
        said = RemoteJob(RemoteId(""), key, RemoteState.UNKNOWN, remark="state 'EXPEDITING'")
        return dict.fromkeys(keys, said)

    scene.target.poll = garbled  # type: ignore[method-assign]
    scene.turn(20)
    assert Stage.RUNNING is scene.burst().stage
    assert {key: "state 'EXPEDITING'"} == scene.memory.unreadable
    assert 20 == scene.memory.unreadable_total[scene.burst().target]

    scene.target.poll = real  # type: ignore[method-assign]
    scene.target.finish_all()
    scene.until(Stage.SETTLED)
    assert {} == scene.memory.unreadable


def test_a_start_that_a_far_crash_forgot_is_not_repeated_and_its_own_end_counts(
    scene: Scene,
) -> None:
    burst = started_and_forgotten(scene)
    scene.tick()
    assert (1, Stage.RUNNING) == (scene.living("beam"), scene.burst().stage)
    scene.target.finish(burst.work_key, "exited", 7)
    scene.until(Stage.SETTLED)

    assert 1 == scene.executions("beam")
    assert ("FAILED", 7) == (scene.slurm.job("1").state, scene.slurm.job("1").exit_code)
    assert RemoteState.ENDED is scene.target.state_of(burst.work_key)


def test_a_run_that_its_own_controller_aborts_after_a_crash_is_lost_not_run_again(
    scene: Scene,
) -> None:
    started_and_forgotten(scene)
    burst = scene.until(Stage.SETTLED)

    assert 1 == scene.executions("beam")
    assert ("FAILED", 1) == (scene.slurm.job("1").state, scene.slurm.job("1").exit_code)
    assert burst.outcome is not None
    assert "forgotten that it had started" in burst.outcome.detail
    assert Money(Decimal(0)) < (burst.cost or 0) <= burst.reserved


def test_one_that_got_a_term_and_lives_on_was_not_requeued(scene: Scene) -> None:
    """scancel -b -s TERM; later its twin is cancelled at the far end: its results come home."""
    burst = scene.until(Stage.RUNNING)
    scene.store.report(burst.id, "recalled", {"restarts": 0})
    scene.turn(2)
    scene.target.end_by_hand(burst.work_key)
    scene.until(Stage.SETTLED)
    assert ["1"] == scene.agents.landed
    assert 1 == len(scene.store.bursts())


def waits_there(scene: Scene) -> Burst:
    """Its twin may run, and no node of the target is free."""
    scene.target.busy = True
    burst = scene.until(Stage.RUNNING)
    scene.turn(3)
    assert RemoteState.QUEUED is scene.target.state_of(burst.work_key)
    return burst


def test_a_twin_that_is_cancelled_there_before_it_began_sends_its_job_home(scene: Scene) -> None:
    burst = waits_there(scene)
    scene.target.end_by_hand(burst.work_key)
    burst = scene.until(Stage.RETURNED)

    assert "its twin was cancelled at cloud before it began" == burst.cause
    assert ("PENDING", False, "cae") == where(scene)
    scene.slurm.slots = 1
    scene.turn(20)
    assert ([], ["beam"]) == (scene.target.executions, [run.name for run in scene.slurm.runs])
    assert 1 == len(scene.bursts("1"))


def test_one_that_is_cancelled_there_while_it_is_held_sends_its_job_home(scene: Scene) -> None:
    burst = scene.until(Stage.SUBMITTED)
    scene.target.end_by_hand(burst.work_key)
    scene.until(Stage.RETURNED)

    assert (("PENDING", False, "cae"), []) == (where(scene), scene.target.executions)


def test_one_that_had_a_node_may_have_begun_and_never_goes_home(scene: Scene) -> None:
    """Cancelled within its first second: the far scheduler counts none."""
    burst = waits_there(scene)
    scene.target.end_by_hand(burst.work_key)
    (work,) = scene.target.work.values()
    scene.target.work[work.job.id] = replace(work, job=replace(work.job, place="c1"))
    scene.until(Stage.SETTLED)

    assert "FAILED" == scene.slurm.job("1").state


def test_one_whose_run_directory_is_not_there_may_have_begun_and_never_goes_home(
    scene: Scene,
) -> None:
    """A file system that is not mounted looks so."""
    burst = waits_there(scene)
    scene.target.runs.clear()
    scene.target.end_by_hand(burst.work_key)
    scene.until(Stage.SETTLED)

    assert "FAILED" == scene.slurm.job("1").state


def test_a_forgotten_start_that_is_cancelled_there_is_awaited_and_paid_for(scene: Scene) -> None:
    scene.seconds = 3
    burst = started_and_forgotten(scene)
    scene.target.end_by_hand(burst.work_key)
    scene.turn(2)
    assert ([burst.work_key], Stage.RUNNING) == ([*scene.target.orphans], scene.burst().stage)
    burst = scene.until(Stage.SETTLED)

    assert 1 == scene.executions("beam")
    assert "FAILED" == scene.slurm.job("1").state
    assert Money(Decimal(0)) < (burst.cost or 0) <= burst.reserved


def where(scene: Scene) -> tuple[str, bool, str]:
    """Its state, whether it is held, and its partition."""
    job = scene.slurm.job("1")
    return job.state, job.held, job.shown["Partition"]


def test_a_job_requeued_over_a_forgotten_start_runs_anew_once_that_is_over(scene: Scene) -> None:
    started_and_forgotten(scene)
    scene.slurm.requeue("1")
    while scene.target.orphans:
        scene.turn()
        assert scene.living("beam") <= 1
    scene.slurm.slots = 1
    scene.turn(20)

    assert 2 == scene.executions("beam")
    assert ["beam"] == [run.name for run in scene.slurm.runs]


def test_a_start_that_is_forgotten_on_both_sides_is_never_begun_at_home(scene: Scene) -> None:
    """burstd dies between the start and its note of it, and both controllers with it."""
    burst = scene.until(Stage.SUBMITTED)
    scene.clock.forward(seconds=20)
    burst = scene.store.append(burst, ev.Done(), advance(burst, ev.Done()))
    scene.store.permit(burst.id, 1)
    scene.target.start(burst.work_key)
    scene.target.schedule()
    scene.target.crash()
    scene.slurm.crash()
    scene.start()
    scene.slurm.slots = 1
    scene.turn(40)

    assert (1, []) == (scene.executions("beam"), scene.slurm.runs)
    assert ("FAILED", 1) == (scene.slurm.job("1").state, scene.slurm.job("1").exit_code)


def started_and_forgotten(scene: Scene) -> Burst:
    """The far controller has saved that the twin is held, started it, and was killed."""
    scene.until(Stage.SUBMITTED)
    scene.clock.forward(seconds=20)
    scene.tick()
    scene.target.schedule()
    scene.target.crash()
    burst = scene.burst()
    assert (Stage.RUNNING, 1) == (burst.stage, scene.living("beam"))
    assert RemoteState.HELD is scene.target.state_of(burst.work_key)
    return burst
