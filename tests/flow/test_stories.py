"""Whole turns, told as stories: what a user, an accident or a policy does, and what follows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from burstd.core.audit import verify
from burstd.domain import events as ev
from burstd.domain.burst import Stage
from burstd.domain.plan import Reason
from burstd.domain.policy import Mode
from burstd.domain.targets import Money, Outcome, RemoteState
from burstd.shell.sight import Sight
from burstd.shell.steps import STEPS
from burstd.shell.tick import drive, tick
from burstd.testing.doomed import Doom
from burstd.testing.slurm import KILL_WAIT
from tests.flow.scene import POLICY, RESTING, Scene, reach


def test_a_burstd_that_is_to_be_killed_meets_every_move_of_a_life(scene: Scene) -> None:
    met: list[str] = []
    doom = Doom(None, met.append, lambda: None)
    scene.world = replace(scene.world, store=doom.wire("store", scene.world.store))
    scene.finish()

    moves = {f"{stage}.recorded.after" for stage in scene.story() if stage != Stage.PLANNED.value}
    assert moves <= set(met)


def test_a_waiting_job_runs_in_the_cloud_and_ends_on_prem_with_its_exit_code(scene: Scene) -> None:
    scene.until(Stage.RUNNING)
    scene.turn()
    scene.clock.forward(minutes=30)
    scene.target.finish_all(Outcome("exited", 7, elapsed=timedelta(minutes=30)))
    burst = scene.until(Stage.SETTLED)

    assert ("FAILED", 7) == (scene.slurm.job("1").state, scene.slurm.job("1").exit_code)
    assert (Money(Decimal("0.0250")), 0.5) == (burst.cost, burst.core_hours)
    assert ["1"] == scene.agents.landed
    assert [burst.work_key] == scene.target.cleaned
    assert "where=cloud core_hours=0.5000 cost=0.0250EUR" in scene.slurm.comments["1"]


def test_a_missing_input_sends_the_job_home_as_it_was_and_it_does_not_bounce(scene: Scene) -> None:
    before = dict(scene.slurm.job("1").shown)
    scene.agents.missing["1"] = "missing input file /home/alice/mesh.inc"
    burst = scene.until(Stage.RETURNED)
    scene.turn(5)

    assert "missing input file /home/alice/mesh.inc" == burst.cause
    job = scene.slurm.job("1")
    assert before == {k: v for k, v in job.shown.items() if k != "Extra"}
    assert ("PENDING", False, 1) == (job.state, job.held, job.restarts)
    assert 1 == len(scene.bursts("1"))
    assert [Reason.RETURNED_BEFORE] == [d.reason for d in scene.memory.plan.declined]  # type: ignore[union-attr]
    scene.slurm.slots = 1
    scene.turn()
    assert ["1"] == [run.key for run in scene.slurm.runs]
    assert [] == scene.target.executions


@pytest.mark.parametrize("stage", RESTING, ids=lambda s: s.value)
def test_a_user_who_cancels_gets_it_cancelled_at_every_stage(scene: Scene, stage: Stage) -> None:
    reach(scene, stage)
    scene.slurm.cancel("1")
    scene.link.cut = scene.agents.asleep = False
    for _ in range(20):
        scene.turn()

    assert "CANCELLED" == scene.slurm.job("1").state
    assert scene.burst().stage.final
    assert Stage.QUARANTINED is not scene.burst().stage
    assert RemoteState.ENDED is (scene.target.state_of(scene.burst().work_key) or RemoteState.ENDED)
    assert [] == scene.held()


def test_a_job_cancelled_in_the_very_moment_of_the_permit_never_starts(scene: Scene) -> None:
    scene.until(Stage.SUBMITTED)
    scene.clock.forward(seconds=20)
    scene.slurm.meanwhile["scontrol show job"] = lambda: scene.slurm.cancel("1")
    scene.turn(20)

    assert [] == scene.target.executions
    assert "CANCELLED" == scene.slurm.job("1").state


def test_a_cancelled_job_whose_agent_is_gone_is_settled_without_its_results(scene: Scene) -> None:
    scene.until(Stage.RUNNING)
    scene.turn()
    scene.agents.asleep = True
    scene.slurm.cancel("1")
    scene.clock.forward(seconds=KILL_WAIT.total_seconds())
    scene.turn(6)

    assert Stage.SETTLED is scene.burst().stage
    assert [] == scene.agents.landed
    assert "cancelled" == scene.burst().outcome.reason  # type: ignore[union-attr]


def test_a_job_that_starts_on_prem_between_look_and_hold_stays_on_prem(scene: Scene) -> None:
    def starts() -> None:
        scene.slurm.slots = 1
        scene.slurm.schedule()

    scene.slurm.meanwhile["scontrol hold"] = starts
    burst = scene.until(Stage.RETURNED)

    assert "it started on-prem before it could be claimed" == burst.cause
    assert ["1"] == [run.key for run in scene.slurm.runs]
    assert {"cae"} == {job.shown["Partition"] for job in scene.slurm.jobs}
    assert [] == scene.target.executions


def test_a_claim_that_the_site_refuses_is_undone_and_declined_in_slurms_words(scene: Scene) -> None:
    scene.slurm.accepts = False
    burst = scene.until(Stage.RETURNED)

    assert "Job rejected by the site's rules" in burst.cause
    assert [] == scene.held()


@pytest.mark.parametrize(
    "stage",
    [Stage.STAGING_IN, Stage.SUBMITTED, Stage.RUNNING, Stage.STAGING_OUT],
    ids=lambda s: s.value,
)
def test_a_far_end_that_is_away_only_delays(scene: Scene, stage: Stage) -> None:
    reach(scene, stage)
    scene.link.cut = True
    scene.target.away = True
    scene.agents.asleep = True
    before = list(scene.slurm.changes)
    scene.turn(30)

    assert stage is scene.burst().stage
    assert before == scene.slurm.changes
    scene.link.cut = scene.target.away = scene.agents.asleep = False
    scene.clock.forward(minutes=10)
    for _ in range(20):
        scene.turn()
        scene.target.finish_all()
    assert Stage.SETTLED is scene.burst().stage
    assert 1 == scene.executions("beam")


def test_what_the_far_end_does_not_know_is_not_over(scene: Scene) -> None:
    scene.until(Stage.RUNNING)
    scene.turn()
    scene.target.silent = True
    submitted, before = scene.target.calls.count("submit"), list(scene.slurm.changes)
    scene.turn(30)

    assert Stage.RUNNING is scene.burst().stage
    assert before == scene.slurm.changes
    assert submitted == scene.target.calls.count("submit")
    assert "clean" not in scene.target.calls
    assert "cancel" not in scene.target.calls


def test_a_queue_that_cannot_be_read_stops_decisions_and_nothing_else(scene: Scene) -> None:
    scene.until(Stage.RUNNING)
    scene.turn()
    scene.slurm.submit(name="rod", minutes=120)
    scene.slurm.up = False
    scene.target.finish_all()

    assert scene.tick() is None
    assert () == scene.bursts("2")
    assert Stage.STAGING_OUT is scene.burst().stage
    assert Stage.STAGING_OUT is scene.until(Stage.STAGING_OUT).stage


def test_a_stand_in_that_no_list_shows_is_looked_for_before_it_counts_as_gone(
    scene: Scene,
) -> None:
    scene.until(Stage.RUNNING)
    scene.slurm.job("1").state = "RESIZING"  # a state that the list does not ask for
    scene.turn(5)

    assert Stage.RUNNING is scene.burst().stage


# --- wishes


def test_a_wish_that_the_policy_declines_goes_home_and_runs_there() -> None:
    scene = Scene()
    scene.slurm.submit(name="wish", partition="burst", script="#!/bin/sh\nfluent\n")
    burst = scene.until(Stage.RETURNED)
    scene.slurm.slots = 1
    scene.turn(2)

    assert "no application profile matches its script" == burst.cause
    assert ("cae", "RUNNING") == (
        scene.slurm.job("1").shown["Partition"],
        scene.slurm.job("1").state,
    )
    assert [] == scene.target.executions


def test_a_wish_that_only_has_to_wait_keeps_its_place() -> None:
    scene = Scene(replace(POLICY, max_open_bursts=0))
    scene.slurm.submit(name="wish", partition="burst", minutes=120)
    scene.turn(3)

    assert () == scene.bursts("1")
    assert "burst" == scene.slurm.job("1").shown["Partition"]


# --- what the policy says


def test_observing_touches_nothing_and_still_says_what_it_would_do() -> None:
    scene = Scene(replace(POLICY, mode=Mode.OBSERVE))
    scene.slurm.submit(name="beam", minutes=120)
    scene.slurm.submit(name="wish", partition="burst", script="#!/bin/sh\nfluent\n")
    scene.turn(5)

    assert [] == scene.slurm.changes
    assert [] == scene.target.calls
    assert 0 == scene.link.raised
    assert () == scene.store.bursts()
    assert scene.store.verdict(scene.memory.plan.placements[0].identity.key).placed  # type: ignore[union-attr]


def test_a_budget_is_never_promised_twice() -> None:
    scene = Scene(replace(POLICY, budget=Money(Decimal("0.25"))))
    for name in ("a", "b", "c", "d"):
        scene.slurm.submit(name=name, minutes=120)  # 0.10 each at worst
    scene.turn(3)

    assert 2 == len(scene.store.open_bursts())
    assert Decimal("0.20") == scene.store.ledger().reserved
    declined = {d.identity.name: d.reason for d in scene.memory.plan.declined}  # type: ignore[union-attr]
    assert {"c": Reason.NO_BUDGET, "d": Reason.NO_BUDGET} == declined


def test_the_link_is_up_for_a_surge_and_down_after_it(scene: Scene) -> None:
    scene.finish()
    scene.turn()

    assert (1, 1, False) == (scene.link.raised, scene.link.lowered, scene.link.up)


def test_an_element_of_an_array_leaves_alone() -> None:
    scene = Scene(replace(POLICY, max_open_bursts=1))
    scene.slurm.submit(name="sweep", minutes=120, tasks=(1, 2, 3))
    scene.finish("1_1")

    assert "COMPLETED" == scene.slurm.job("1_1").state
    rest = [j for j in scene.slurm.jobs if j.task != 1]
    assert [("cae", 2), ("cae", 3)] == [(j.shown["Partition"], j.task) for j in rest]


# --- faults of our own


def test_an_illegal_move_stops_its_burst_and_no_other(scene: Scene) -> None:
    scene.slurm.submit(name="rod", minutes=120)
    scene.until(Stage.SUBMITTED)
    first = scene.burst("1")
    drive(first, scene.world, Sight(), {**STEPS, Stage.SUBMITTED: lambda *_: ev.Begun()})
    assert Stage.QUARANTINED is scene.burst("1").stage
    scene.finish("2")

    assert Stage.QUARANTINED is scene.burst("1").stage
    assert 1 == scene.executions("rod")


def test_a_fault_in_a_step_stops_its_burst_and_no_other(scene: Scene) -> None:
    scene.slurm.submit(name="rod", minutes=120)
    scene.until(Stage.SUBMITTED)

    def breaks(*_: object) -> None:
        raise ZeroDivisionError("a fault")

    drive(scene.burst("1"), scene.world, Sight(), {**STEPS, Stage.SUBMITTED: breaks})

    assert (Stage.QUARANTINED, "ZeroDivisionError('a fault')") == (
        scene.burst("1").stage,
        scene.burst("1").cause,
    )
    assert Stage.SUBMITTED is scene.burst("2").stage


def test_a_burst_that_another_writer_moved_is_left_to_it(scene: Scene) -> None:
    scene.until(Stage.SUBMITTED)
    stale = scene.burst()
    scene.until(Stage.RUNNING)
    drive(stale, scene.world, Sight(), {**STEPS, Stage.SUBMITTED: lambda *_: ev.Refused("late")})

    assert Stage.RUNNING is scene.burst().stage


def test_a_job_comes_home_only_when_its_twin_is_proven_over(scene: Scene) -> None:
    scene.until(Stage.SUBMITTED)
    burst = scene.burst()
    scene.target.stubborn = True
    drive(burst, scene.world, Sight(), {**STEPS, Stage.SUBMITTED: lambda *_: ev.Refused("no")})
    before = list(scene.slurm.changes)
    scene.turn(5)
    assert (Stage.RETURNING, before) == (scene.burst().stage, scene.slurm.changes)
    scene.target.stubborn = False
    scene.until(Stage.RETURNED)

    assert "PENDING" == scene.slurm.job("1").state
    assert [] == scene.target.executions


def test_the_audit_log_tells_every_effect_of_a_burst_before_its_fact(scene: Scene) -> None:
    scene.finish()
    burst = scene.burst().id
    told = [r.action for r in scene.store.audit() if r.subject == burst]

    effects = [action for action in told if action.startswith("effect.")]
    assert [
        "effect.hold", "effect.update", "effect.update", "effect.release", "effect.prepare",
        "effect.submit", "effect.start", "effect.clean", "effect.annotate",
    ] == effects  # fmt: skip
    assert told.index("burst.Kept") < told.index("effect.hold") < told.index("burst.Claimed")
    assert told.index("permit") < told.index("effect.start") < told.index("burst.Ended")
    assert len(scene.store.audit()) == verify(scene.store.audit()).seq


def test_an_effect_that_failed_is_told_as_failed(scene: Scene) -> None:
    scene.until(Stage.STAGING_IN)
    scene.target.rejects = True
    scene.until(Stage.RETURNED)
    failed = [r.detail for r in scene.store.audit() if r.action == "effect.failed"]

    assert [{"what": "submit", "cause": "the far scheduler will never run this"}] == failed


def test_a_wish_waits_in_the_burst_partition_for_a_cool_down_to_end() -> None:
    scene = Scene(replace(POLICY, cooldown=timedelta(minutes=10)))
    scene.slurm.submit(name="first", partition="burst", minutes=120)
    scene.until(Stage.RUNNING, "1")
    scene.slurm.submit(name="second", partition="burst", minutes=120)
    scene.turn(2)
    assert ["1"] == [str(burst.job) for burst in scene.store.bursts()]

    scene.clock.forward(seconds=600)
    scene.until(Stage.RUNNING, "2")


def test_a_cap_that_is_lowered_sends_home_who_has_not_begun() -> None:
    scene = Scene()
    scene.slurm.submit(name="runs", minutes=120)
    scene.until(Stage.RUNNING)
    scene.link.cut = True
    scene.slurm.submit(name="waits", minutes=120)
    scene.turn(3)
    assert not scene.burst("2").stage.at_rest
    rules = scene.world.rules
    rules.policy = replace(rules.policy, budget=Money(Decimal("0.05")))
    scene.turn(2)
    assert "no longer covers it" in scene.burst("2").cause
    scene.link.cut = False
    scene.until(Stage.RETURNED, key="2")
    scene.finish()
    scene.until(Stage.SETTLED)

    told = [(r.actor, r.action) for r in scene.store.audit() if r.action.endswith(".return")]
    assert [("burstd", "policy.return")] == told
    assert "cae" == scene.slurm.job("2").shown["Partition"]


def test_a_job_that_asks_for_more_than_there_is_since_it_was_decided_on_is_not_touched() -> None:
    """Its record was read some cycles ago; its user changes it just before it is claimed."""
    scene = Scene()
    scene.slurm.submit(name="beam", minutes=120)
    scene.slurm.schedule()
    tick(scene.world, scene.memory, lambda _drive, _bursts: None)  # it is planned, no more
    scene.slurm.job("1").shown["TresPerNode"] = "gres/nvme:1"
    before = dict(scene.slurm.job("1").shown)
    scene.turn(3)

    assert ["planned", "returned"] == scene.story()
    assert "other generic resources" in scene.burst().cause
    assert before == scene.slurm.job("1").shown
