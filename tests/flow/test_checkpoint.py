"""A job that runs elsewhere is told to save its state and stop there, and goes on at home."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from burstd.domain.burst import Stage
from burstd.domain.plan import Reason
from burstd.domain.policy import BurstPolicy, HardMark
from burstd.domain.requests import Request, RequestKind
from burstd.domain.targets import CHECKPOINTED, Money
from burstd.testing.slurm_jobs import OVER
from tests.flow.scene import POLICY, Scene

SCRIPT = "#!/bin/sh\n#BURST checkpoint=USR1\nccx beam\n"
CHECKPOINT = Request(RequestKind.CHECKPOINT, "root", "the money is gone")


def running(policy: BurstPolicy = POLICY, script: str = SCRIPT) -> Scene:
    """A job that runs at the target."""
    scene = Scene(policy)
    scene.slurm.submit(name="beam", minutes=120, script=script)
    scene.until(Stage.RUNNING)
    scene.turn(2)
    return scene


def stops(scene: Scene, code: int = CHECKPOINTED) -> None:
    """Its payload has heard, and ends."""
    scene.turn(2)
    assert {scene.burst().work_key: "USR1"} == scene.target.signals
    assert Stage.RUNNING is scene.burst().stage
    scene.target.finish(scene.burst().work_key, "exited", code)


def stopped(code: int = CHECKPOINTED) -> Scene:
    """A job that ran at the target, was asked to stop there, and ended."""
    scene = running()
    assert scene.store.request(scene.burst().id, CHECKPOINT)
    stops(scene, code)
    return scene


def goes_on(scene: Scene) -> str:
    """There is room at home, and it comes to its end there; Slurm's word for that."""
    scene.slurm.slots = 1
    for _ in range(60):
        job = scene.slurm.job("1")
        if job.state in OVER:
            return job.state
        scene.turn()
        assert scene.living("beam") <= 1
        if job.node == "n1":
            scene.slurm.finish("1")
    raise AssertionError(f"it is {job.state} on {job.node}")


def test_it_saves_its_state_comes_home_with_its_results_and_goes_on_there() -> None:
    scene = stopped()
    scene.until(Stage.SETTLED)
    job = scene.slurm.job("1")
    assert ("PENDING", "cae", False) == (job.state, job.shown["Partition"], job.held)
    assert ["1"] == scene.agents.landed
    assert "COMPLETED" == goes_on(scene)

    burst = scene.burst()
    assert (1, 2) == (len(scene.bursts("1")), scene.executions("beam"))
    assert burst.cost is not None and Money(Decimal(0)) < burst.cost < burst.reserved
    assert str(CHECKPOINT) in [entry.detail for entry in scene.store.journal(burst.id)]


def test_it_is_told_once_and_again_where_nobody_heard() -> None:
    scene = running()
    assert scene.store.request(scene.burst().id, CHECKPOINT)
    scene.target.deaf = True
    scene.turn(3)
    assert not scene.burst().stopping
    scene.target.deaf = False
    scene.clock.forward(seconds=60)
    scene.turn(2)
    assert scene.burst().stopping
    asked = scene.target.calls.count("signal")
    scene.turn(5)
    assert asked == scene.target.calls.count("signal")


@pytest.mark.parametrize(("code", "state"), [(0, "COMPLETED"), (3, "FAILED")])
def test_one_that_ends_otherwise_has_ended(code: int, state: str) -> None:
    scene = stopped(code)
    scene.until(Stage.SETTLED)

    assert (state, 1) == (goes_on(scene), scene.executions("beam"))
    assert code == scene.slurm.job("1").exit_code


def test_that_exit_code_of_a_job_that_nobody_stopped_is_a_failure_like_any_other() -> None:
    scene = running()
    scene.target.finish(scene.burst().work_key, "exited", CHECKPOINTED)
    scene.until(Stage.SETTLED)

    job = scene.slurm.job("1")
    assert ("FAILED", CHECKPOINTED) == (job.state, job.exit_code)


def test_an_end_that_only_the_runner_knows_of_counts_too() -> None:
    """The far slurmctld was killed, and has forgotten the end."""
    scene = stopped()
    scene.target.crash()
    scene.until(Stage.SETTLED, most=80)

    assert ("COMPLETED", 2) == (goes_on(scene), scene.executions("beam"))


def test_who_ends_the_job_meanwhile_has_ended_it() -> None:
    scene = stopped()
    scene.until(Stage.STAGING_OUT)
    scene.slurm.cancel("1")
    scene.until(Stage.SETTLED)

    assert ("CANCELLED", 1) == (goes_on(scene), scene.executions("beam"))


def test_a_crash_that_forgets_the_return_makes_no_second_run_there() -> None:
    scene = stopped()
    scene.until(Stage.SETTLING)
    scene.turn()
    scene.slurm.crash()
    scene.until(Stage.SETTLED, most=80)

    assert ("COMPLETED", 2) == (goes_on(scene), scene.executions("beam"))
    assert 1 == len(scene.target.executions)


def test_what_does_not_say_how_is_not_stopped() -> None:
    scene = running(script="#!/bin/sh\nccx beam\n")
    assert not scene.store.request(scene.burst().id, CHECKPOINT)


def test_a_lowered_budget_stops_it_where_the_policy_says_so() -> None:
    scene = running(replace(POLICY, hard=HardMark.CHECKPOINT_AND_RETURN))
    scene.world.rules.policy = replace(scene.world.policy, budget=Money(Decimal("0.01")))
    stops(scene)
    scene.until(Stage.SETTLED)

    assert ("COMPLETED", 2) == (goes_on(scene), scene.executions("beam"))
    told = [(r.actor, r.action) for r in scene.store.audit() if r.action == "policy.checkpoint"]
    assert [("burstd", "policy.checkpoint")] == told


def test_a_lowered_budget_lets_it_run_on_where_the_policy_says_nothing() -> None:
    scene = running()
    scene.world.rules.policy = replace(scene.world.policy, budget=Money(Decimal("0.01")))
    scene.turn(5)
    assert {} == scene.target.signals


def test_nobody_goes_to_and_fro() -> None:
    scene = stopped()
    scene.until(Stage.SETTLED)
    scene.turn()
    (decline,) = scene.memory.plan.declined if scene.memory.plan else ()
    assert Reason.RETURNED_BEFORE is decline.reason
    assert 1 == len(scene.bursts("1"))
