"""burstd is killed at every call of every port, before and after its effect, and comes back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from burstd.domain.burst import Stage
from tests.flow.scene import Scene

TURNS = 60
JOBS = ("beam", "wish", "hole")


class Killed(BaseException):
    """Stands in for SIGKILL: no handler of ours may see it."""


class Tripwire:
    """A port whose nth call, counted over all ports, is burstd's last: before or after its
    effect. Every call of a Slurm program counts, so a claim is killed between any two of them."""

    def __init__(self, die_at: int, *, after: bool) -> None:
        self.calls, self.die_at, self.after = 0, die_at, after

    def around(self, port: Any) -> Any:
        return _Wired(port, self)

    def call(self, real: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        dying = self.calls == self.die_at
        if dying and not self.after:
            raise Killed
        result = real(*args, **kwargs)
        if dying:
            raise Killed
        return result


class _Wired:
    def __init__(self, port: Any, tripwire: Tripwire) -> None:
        self._port, self._tripwire = port, tripwire

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._port, name)
        if not callable(real):
            return real
        return lambda *args, **kwargs: self._tripwire.call(real, *args, **kwargs)


def play(tripwire: Tripwire, accident: Callable[[Scene], None] | None = None) -> Scene:
    """A burst, a wish that the policy declines and a job whose input is missing.

    Nodes become free in the middle, so that what comes home also ends. Asserts at every instant
    that no job lives twice.
    """
    scene = Scene(wire=tripwire.around, seconds=10)
    scene.slurm.submit(name="beam", minutes=120)
    scene.slurm.submit(name="wish", partition="burst", script="#!/bin/sh\nfluent\n")
    scene.agents.missing[scene.slurm.submit(name="hole", minutes=120)] = "missing input file"
    alive = True
    for turn in range(TURNS):
        try:
            if not alive:
                scene.start()
                alive = True
            scene.tick()
        except Killed:
            alive = False
            if accident is not None:
                accident(scene)
        scene.others()
        assert all(scene.living(name) <= 1 for name in JOBS)
        if turn > 5:
            scene.slurm.slots = 1
            scene.target.finish_all()
            for run in scene.slurm.runs:
                if scene.slurm.job(run.key).node == "n1":
                    scene.slurm.finish(run.key)
        if turn > 7 and alive and not scene.store.open_bursts():
            break
    return scene


def assert_all_ended_well(scene: Scene, n: int) -> None:
    where = f"killed at call {n}"
    ran = {name: scene.executions(name) for name in JOBS}
    assert dict.fromkeys(ran, 1) == ran, where
    twins = Counter(work.order.key for work in scene.target.work.values())
    assert {1} >= set(twins.values()), where
    assert () == scene.store.open_bursts(), where
    assert [] == scene.held(), where
    assert {"COMPLETED"} == {job.state for job in scene.slurm.jobs}, where
    assert Stage.QUARANTINED not in {b.stage for b in scene.store.bursts()}, where


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_one_kill_anywhere_runs_no_job_twice_and_loses_none(after: bool) -> None:
    n = 1
    while True:
        tripwire = Tripwire(n, after=after)
        scene = play(tripwire)
        assert_all_ended_well(scene, n)
        if tripwire.calls < n:
            break
        n += 1
    assert n > 150  # the story is long enough to be worth killing


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_power_cut_that_takes_the_controller_too_runs_no_job_twice(after: bool) -> None:
    n = 1
    while True:
        tripwire = Tripwire(n, after=after)
        scene = play(tripwire, lambda s: s.slurm.crash())
        for name in JOBS:  # Slurm itself runs a local job again whose end it forgot
            again = scene.slurm.reruns.count(name) if name != "beam" else 0
            assert scene.executions(name) <= 1 + again, f"{name}, killed at call {n}"
        if tripwire.calls < n:
            break
        n += 3  # each third call: the first test has them all
