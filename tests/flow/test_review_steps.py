"""Stories found by review: crashes between two updates, strange ids, faults that spread."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from burstd.domain import events as ev
from burstd.domain.burst import Stage
from burstd.domain.policy import Mode
from burstd.domain.targets import Money, Outcome, RemoteState, TargetName
from burstd.ports.errors import AccessDenied, Rejected
from burstd.shell.sight import Sight
from burstd.shell.steps import STEPS
from burstd.shell.tick import drive
from burstd.testing.slurm_jobs import SimulatedJob
from tests.flow.scene import POLICY, Killed, Scene


@pytest.fixture
def scene() -> Scene:
    """One job of two core-hours waits in a full queue."""
    scene = Scene()
    scene.slurm.submit(name="beam", minutes=120)
    return scene


SHAPE = {
    "NumNodes": "2", "NumTasks": "8", "NtasksPerN:B:S:C": "4:0:*:*", "OverSubscribe": "NO",
    "ExcNodeList": "n9", "MinMemoryNode": "0",
    "ReqTRES": "cpu=8,node=2",
}  # fmt: skip


def die(scene: Scene, before: str) -> None:
    def killed() -> None:
        raise Killed

    scene.slurm.meanwhile[before] = killed


def parallel(scene: Scene) -> SimulatedJob:
    job = scene.slurm.job("1")
    job.shown |= SHAPE
    return job


@pytest.mark.parametrize(
    "update", ["numtasks=", "oversubscribe=", "minmemorynode=", "excnodelist=", "extra="]
)
def test_a_kill_between_two_updates_of_a_claim_leaves_none_out(scene: Scene, update: str) -> None:
    parallel(scene)
    die(scene, f"scontrol update jobid=1 {update}")
    with pytest.raises(Killed):
        scene.turn(3)
    scene.start()
    scene.until(Stage.STAGING_IN)
    shown = scene.slurm.job("1").shown
    assert ("1", "4", "YES", "1", "(null)") == tuple(
        shown[name]
        for name in ("NumNodes", "NumTasks", "OverSubscribe", "MinMemoryNode", "ExcNodeList")
    )


@pytest.mark.parametrize(
    "update", ["numtasks=8", "oversubscribe=no", "minmemorynode=0", "excnodelist=n9"]
)
def test_a_kill_between_two_updates_of_a_return_leaves_none_out(scene: Scene, update: str) -> None:
    """A job that comes home without its list of excluded nodes would start on one of them."""
    before = dict(parallel(scene).shown)
    scene.agents.missing["1"] = "missing input file"
    die(scene, f"scontrol update jobid=1 {update}")
    with pytest.raises(Killed):
        scene.turn(20)
    scene.start()
    scene.until(Stage.RETURNED)
    job = scene.slurm.job("1")
    assert before == {name: text for name, text in job.shown.items() if name != "Extra"}
    assert not job.held


# --- who a job is


def test_a_renamed_job_runs_on_in_the_cloud_and_ends_as_ever(scene: Scene) -> None:
    scene.until(Stage.RUNNING)
    scene.slurm.job("1").name = "beam, second try"
    scene.turn(3)
    assert Stage.RUNNING is scene.burst().stage
    scene.target.finish_all()
    scene.until(Stage.SETTLED)
    assert "COMPLETED" == scene.slurm.job("1").state


@pytest.mark.parametrize("stage", [Stage.CLAIMING, Stage.STAGING_IN, Stage.RUNNING])
def test_a_burst_whose_id_was_given_to_a_stranger_ends_and_leaves_him_alone(
    scene: Scene, stage: Stage
) -> None:
    scene.agents.asleep = stage is Stage.CLAIMING
    scene.link.cut = stage is Stage.STAGING_IN
    scene.until(stage)
    scene.slurm.jobs.clear()  # a crash forgot it; its id is given out again
    scene.slurm._next_id = 1
    scene.clock.forward(seconds=20)
    assert "1" == scene.slurm.submit(user="bob", name="hole", minutes=1, partition="other")
    before = dict(scene.slurm.job("1").shown)
    scene.link.cut = False
    scene.turn(12)

    assert scene.burst().stage.final, scene.story()
    assert Stage.QUARANTINED is not scene.burst().stage
    assert before == scene.slurm.job("1").shown
    assert "bob" == scene.slurm.job("1").user
    assert RemoteState.RUNNING not in {w.job.state for w in scene.target.work.values()}


def test_a_claim_that_a_crash_took_away_before_the_permit_is_given_up(scene: Scene) -> None:
    """The job waits in its own partition again: the burst must not stand in its way for days."""
    scene.until(Stage.SUBMITTED)
    job = scene.slurm.job("1")
    job.state, job.node, job.shown["Partition"] = "PENDING", "", "cae"
    scene.slurm.boots += 1
    burst = scene.until(Stage.RETURNED)
    assert "claim" in burst.cause
    assert [] == scene.target.executions


# --- the ledger


def test_a_wish_that_went_home_and_then_bursts_counts_as_open() -> None:
    scene = Scene(replace(POLICY, users=frozenset({"alice"})))
    scene.slurm.submit(name="wish", partition="burst", minutes=120)
    scene.world.rules.policy = replace(POLICY, users=frozenset({"bob"}))
    scene.until(Stage.RETURNED)
    scene.world.rules.policy = POLICY
    scene.until(Stage.RUNNING)
    assert {scene.burst().job} == set(scene.store.ledger().open)


def test_a_quarantined_job_is_left_alone_in_the_next_month_too(scene: Scene) -> None:
    scene.until(Stage.RUNNING)

    def broken(*_: object) -> ev.Event:
        return ev.Broken("a fault")

    drive(scene.burst(), scene.world, Sight(), {Stage.RUNNING: broken})
    assert Stage.QUARANTINED is scene.burst().stage
    money = scene.store.ledger().reserved
    scene.clock.forward(days=40)
    scene.turn(3)

    ledger = scene.store.ledger()
    assert scene.burst().job in ledger.open
    assert money == ledger.reserved > 0
    assert 1 == len(scene.bursts("1"))
    assert 1 == scene.executions("beam")


def test_what_february_spends_on_a_burst_of_january_is_counted_once(scene: Scene) -> None:
    scene.clock.forward(days=16)  # 31 January
    scene.until(Stage.RUNNING)
    scene.clock.forward(days=1)
    assert scene.store.ledger().reserved > 0
    scene.target.finish_all(Outcome("exited", 0, elapsed=timedelta(hours=1)))
    scene.until(Stage.SETTLED)
    assert (Money(Decimal(0)), Money(Decimal(0))) == (
        scene.store.ledger().reserved,
        scene.store.ledger().spent,
    )


# --- faults that must not spread


def test_an_agents_words_of_any_bytes_do_not_stop_the_tick(scene: Scene) -> None:
    scene.slurm.submit(name="plate", minutes=120)
    scene.agents.missing["1"] = "missing input file /home/alice/L\udcfcfter.inp"
    scene.until(Stage.RETURNED)
    scene.until(Stage.RUNNING, "2")
    assert "missing input file /home/alice/L?fter.inp" == scene.burst("1").cause


def test_a_refusal_without_a_cause_or_with_a_novel_is_a_refusal(scene: Scene) -> None:
    scene.until(Stage.STAGING_IN)
    scene.store.report(scene.burst().id, "refused", {"cause": "x" * 10**6})
    burst = scene.until(Stage.RETURNED)
    assert len(burst.cause) < 2000


def test_without_rights_to_read_scripts_open_bursts_go_on(scene: Scene) -> None:
    scene.until(Stage.RUNNING)
    scene.slurm.submit(name="plate", minutes=120)

    def denied() -> None:
        raise AccessDenied("scontrol: Access/permission denied")

    for _ in range(30):
        scene.slurm.meanwhile["scontrol write"] = denied
        scene.target.finish_all()
        scene.turn()
    assert Stage.SETTLED is scene.burst("1").stage


@pytest.mark.parametrize("stage", [Stage.RUNNING, Stage.CANCELLING, Stage.SETTLING])
def test_lost_rights_park_a_burst_that_may_have_a_twin(scene: Scene, stage: Stage) -> None:
    """Credentials that have run out say nothing of the job: it waits, no human has to unpick it."""
    scene.until(Stage.RUNNING)

    def denied(*_: object) -> Any:
        raise AccessDenied("Permission denied (publickey)")

    now = scene.burst()
    scene.store.append(now, ev.Begun(), replace(now, stage=stage, version=now.version + 1))
    drive(scene.burst(), scene.world, Sight(), {**STEPS, stage: denied})
    assert stage is scene.burst().stage
    assert "AccessDenied" in scene.burst().cause


def test_a_refusal_of_the_claim_is_still_a_refusal(scene: Scene) -> None:
    def denied(*_: object) -> Any:
        raise AccessDenied("Access/permission denied")

    scene.agents.asleep = True
    scene.until(Stage.CLAIMING)
    drive(scene.burst(), scene.world, Sight(), {**STEPS, Stage.CLAIMING: denied})
    assert Stage.RETURNED is scene.burst().stage or Stage.RETURNING is scene.burst().stage


def test_a_clean_up_that_fails_does_not_hold_up_a_job_that_is_home(scene: Scene) -> None:
    scene.agents.missing["1"] = "missing input file"

    class Stubborn:
        def __getattr__(self, name: str) -> Any:
            return getattr(scene.target, name)

        def clean(self, *_: object) -> None:
            raise Rejected("rm: Directory not empty")

    cloud = TargetName("cloud")
    site = replace(scene.world.sites[cloud], target=Stubborn())
    scene.world = replace(scene.world, sites={cloud: site})
    scene.turn(20)
    assert ("PENDING", False) == (scene.slurm.job("1").state, scene.slurm.job("1").held)


def test_observing_does_not_keep_links_up_for_a_surge_of_the_past(scene: Scene) -> None:
    scene.until(Stage.RUNNING)
    scene.slurm.submit(name="plate", minutes=600)
    scene.finish("1")
    for burst in scene.store.open_bursts():
        scene.slurm.cancel(str(burst.job))
    scene.world.rules.policy = replace(POLICY, mode=Mode.OBSERVE)
    scene.turn(30)
    assert () == scene.store.open_bursts()
    assert not scene.link.view().up
