"""What dashboards see of a scene."""

from __future__ import annotations

from dataclasses import replace

from burstd.api.desk import Desk
from burstd.api.figures import figures
from burstd.domain.jobs import CoreHours
from burstd.domain.policy import Pressure, Watermarks
from tests.flow.scene import Scene


def test_decisions_marks_and_money_are_shown_as_they_are(scene: Scene) -> None:
    crash = Pressure("crash", Watermarks(CoreHours(9), CoreHours(5)), accounts=frozenset({"c"}))
    rules = scene.world.rules
    rules.policy = replace(rules.policy, pressures=(crash,))
    scene.slurm.submit(name="never", minutes=120, script="#!/bin/sh\n#BURST mode=never\nccx b\n")
    scene.slurm.schedule()
    scene.tick()
    found = figures(Desk(scene.world, scene.memory, frozenset(), scene.clock.now()))

    assert {"leaves": 1, "user_forbids": 1} == dict(found.decided)
    assert [("queue", True), ("crash", False)] == [(m.policy, m.surging) for m in found.marks]
    cap, left = found.budgets["month"]
    assert 0 < left < cap
    assert [("no", 1), ("yes", 1)] == sorted(
        (eligible, waiting.jobs) for (*_, eligible), waiting in found.pending.items()
    )


def test_gpus_that_wait_are_counted_and_their_marks_are_hours_of_their_own(scene: Scene) -> None:
    gpus = Pressure("gpus", Watermarks(CoreHours(9), CoreHours(5)), gpus=True)
    rules = scene.world.rules
    rules.policy = replace(rules.policy, pressures=(gpus,))
    key = scene.slurm.submit(name="beam", minutes=120)
    scene.slurm.job(key).shown["TresPerJob"] = "gres/gpu:4"
    scene.slurm.schedule()
    scene.tick()
    found = figures(Desk(scene.world, scene.memory, frozenset(), scene.clock.now()))
    (waiting,) = (found.pending[key] for key in found.pending if key[-1] == "no")

    assert (7200.0, 4 * 7200.0, 1) == (waiting.core_seconds, waiting.gpu_seconds, waiting.jobs)
    assert [False, True] == [mark.gpus for mark in found.marks]
