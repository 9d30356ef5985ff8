"""Somebody sets burstd's wall clock, or the machine restarts: no barrier opens early for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from burstd.domain.burst import Stage
from burstd.testing.clock import SetClock
from tests.flow.scene import Scene

HOUR = timedelta(hours=1)


def seen_by(scene: Scene, clock: SetClock) -> None:
    scene.world = replace(scene.world, clock=clock)


@pytest.mark.parametrize("ahead", [HOUR, -HOUR], ids=["forward", "back"])
def test_a_jump_between_claim_and_permit_opens_no_barrier(ahead: timedelta) -> None:
    scene = Scene(seconds=1)
    scene.slurm.submit(name="beam", minutes=120)
    scene.until(Stage.SUBMITTED)
    seen_by(scene, SetClock(scene.clock, ahead))
    scene.turn(3)

    assert Stage.SUBMITTED is scene.burst().stage
    scene.turn(12)
    assert Stage.RUNNING is scene.burst().stage
    scene.finish()
    assert 1 == scene.executions("beam")


def test_a_jump_at_the_end_neither_hastens_nor_delays_the_settlement() -> None:
    for ahead in (HOUR, -HOUR):
        scene = Scene(seconds=1)
        scene.slurm.submit(name="beam", minutes=120)
        scene.until(Stage.RUNNING)
        seen_by(scene, SetClock(scene.clock, ahead))
        scene.target.finish_all()
        scene.until(Stage.SETTLING)
        scene.turn(3)
        assert Stage.SETTLING is scene.burst().stage
        assert Stage.SETTLED is scene.until(Stage.SETTLED, most=15).stage


def test_another_machine_waits_the_whole_time_anew() -> None:
    scene = Scene(seconds=1)
    scene.slurm.submit(name="beam", minutes=120)
    scene.until(Stage.SUBMITTED)
    scene.turn(7)
    seen_by(scene, SetClock(scene.clock, machine="boot-2"))
    scene.turn(9)

    assert Stage.SUBMITTED is scene.burst().stage
    scene.turn(6)
    assert Stage.RUNNING is scene.burst().stage
