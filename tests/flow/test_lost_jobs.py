"""Slurm itself loses a job: a crash forgets what it had acknowledged, accounting included."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from burstd.domain.burst import Stage
from burstd.domain.jobs import JobState
from burstd.testing.simulators import simulated_queue
from burstd.testing.slurm_jobs import key_text
from tests.flow.scene import POLICY, RESTING, Scene, reach

PATIENCE = timedelta(seconds=60)


def lost_at(stage: Stage) -> Scene:
    """The job was here, and neither controller nor accounting knows of it any more."""
    scene = Scene(policy=replace(POLICY, lost_after=PATIENCE))
    scene.slurm.submit(name="beam", minutes=120)
    reach(scene, stage)
    scene.link.cut = scene.agents.asleep = False
    forget(scene)
    return scene


def forget(scene: Scene) -> None:
    job = scene.slurm.job("1")
    scene.slurm.jobs.remove(job)
    for key in [key for key in scene.slurm.accounting if key[0] == key_text(job)]:
        del scene.slurm.accounting[key]


@pytest.mark.parametrize("stage", RESTING, ids=lambda s: s.value)
def test_a_lost_job_is_given_up_after_a_while_and_its_twin_stopped(stage: Stage) -> None:
    scene = lost_at(stage)
    for _ in range(60):
        scene.turn()

    assert scene.burst().stage.final, scene.story()
    assert all(work.job.outcome is not None for work in scene.target.work.values())
    assert scene.executions("beam") <= 1


def test_a_lost_job_that_comes_back_in_time_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """An administrator restores the controller's state."""
    scene = Scene(policy=replace(POLICY, lost_after=PATIENCE))
    scene.slurm.submit(name="beam", minutes=120)
    scene.until(Stage.RUNNING)
    job = scene.slurm.job("1")
    forget(scene)
    scene.turn(8)
    assert Stage.RUNNING is scene.burst().stage
    scene.slurm.jobs.append(job)
    assert Stage.SETTLED is scene.finish().stage


def test_while_accounting_lags_behind_nothing_is_lost() -> None:
    scene = lost_at(Stage.RUNNING)
    scene.slurm.unsent = 3
    for _ in range(40):
        scene.turn()
    assert Stage.RUNNING is scene.burst().stage


def test_what_accounting_says_of_a_job_that_is_not_there_is_no_state() -> None:
    """A runaway job: its record stays PENDING or RUNNING for ever."""
    scene = Scene()
    scene.slurm.submit(name="beam")
    queue = simulated_queue(scene.slurm)
    who = queue.observe().jobs[0].identity
    job = scene.slurm.job("1")
    scene.slurm.accounting[("1", job.submitted_at)] = replace(job)
    scene.slurm.jobs.remove(job)

    assert JobState.LOST is queue.look(who).state
