"""Stories that the campaign of seeds has found, each in its smallest form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from burstd.domain.burst import Stage
from burstd.domain.targets import RemoteState, TargetName, WorkKey
from burstd.ports.errors import AccessDenied, Unreachable
from burstd.testing.clock import SetClock
from burstd.testing.slurm_jobs import key_text
from tests.flow.scene import POLICY, Scene

CLOUD = TargetName("cloud")
FLUENT = "#!/bin/sh\nfluent\n"


@pytest.fixture
def scene() -> Scene:
    """One job of two core-hours waits in a full queue; turns are short."""
    scene = Scene(seconds=3)
    scene.slurm.submit(name="beam", minutes=120)
    return scene


class Once:
    """A target whose one verb goes wrong, once."""

    def __init__(self, real: Any, verb: str, instead: Callable[..., Any]) -> None:
        self._real, self._verb, self._instead = real, verb, instead
        self.went_wrong = False

    def __getattr__(self, name: str) -> Any:
        if name == self._verb and not self.went_wrong:
            self.went_wrong = True
            return self._instead
        return getattr(self._real, name)


def once(scene: Scene, verb: str, instead: Callable[..., Any]) -> None:
    target = Once(scene.target, verb, instead)
    site = replace(scene.world.sites[CLOUD], target=target)
    scene.world = replace(scene.world, sites={CLOUD: site})


# --- clocks and waits


def test_a_clock_set_back_does_not_park_a_burst_for_an_hour(scene: Scene) -> None:
    scene.until(Stage.SUBMITTED)
    scene.slurm.up = False
    scene.turn(3)
    assert scene.burst().due_at is not None
    scene.world = replace(scene.world, clock=SetClock(scene.clock, -timedelta(hours=1)))
    scene.slurm.up = True
    scene.turn(10)

    assert Stage.RUNNING is scene.burst().stage


def test_a_scancel_reaches_the_twin_within_a_minute_of_the_links_return(scene: Scene) -> None:
    scene.until(Stage.RUNNING)
    scene.turn()
    scene.link.cut = True
    scene.slurm.cancel("1")
    scene.turn(400)
    assert RemoteState.RUNNING is scene.target.state_of(scene.burst().work_key)
    scene.link.cut = False
    scene.turn(20)

    assert RemoteState.ENDED is scene.target.state_of(scene.burst().work_key)


# --- the way home


def test_a_declined_wish_that_starts_between_look_and_hold_comes_home() -> None:
    scene = Scene()
    scene.slurm.submit(name="wish", partition="burst", script=FLUENT)
    scene.slurm.meanwhile["scontrol hold"] = scene.slurm.schedule
    scene.until(Stage.RETURNED)

    job = scene.slurm.job("1")
    assert ("PENDING", False, "cae") == (job.state, job.held, job.shown["Partition"])


def test_a_job_that_starts_before_our_hold_is_not_left_held(scene: Scene) -> None:
    """rc 0, and nothing to see: but a requeue after its node's failure would find it held."""

    def starts() -> None:
        scene.slurm.slots = 1
        scene.slurm.schedule()

    scene.slurm.meanwhile["scontrol hold"] = starts
    scene.until(Stage.RETURNED)
    assert not scene.slurm.job("1").held
    scene.slurm.lose("n1")

    assert ("PENDING", False) == (scene.slurm.job("1").state, scene.slurm.job("1").held)


@pytest.mark.parametrize("command", ["scontrol requeuehold", "scontrol update", "scontrol release"])
def test_a_user_who_cancels_on_the_way_home_is_heard(scene: Scene, command: str) -> None:
    scene.agents.missing["1"] = "missing input file"
    scene.until(Stage.STAGING_IN)
    scene.slurm.meanwhile[command] = lambda: scene.slurm.cancel("1")
    scene.slurm.slots = 1
    scene.turn(20)

    assert "CANCELLED" == scene.slurm.job("1").state
    assert [] == scene.slurm.runs
    assert Stage.RETURNED is scene.burst().stage


def test_a_hold_that_is_carried_out_late_leaves_no_job_held() -> None:
    scene = Scene(seconds=3)
    scene.slurm.submit(name="wish", partition="burst", script=FLUENT)

    def given_up() -> None:
        scene.slurm.schedule()
        raise Unreachable("scontrol gave no answer in 30 s")

    scene.slurm.meanwhile["scontrol hold"] = given_up
    scene.turn(5)
    for job in scene.slurm.jobs:  # slurmctld comes round to it
        scene.slurm.run(["scontrol", "hold", key_text(job)])
    scene.turn(40)

    assert Stage.RETURNED is scene.burst().stage
    assert [] == scene.held()


def test_a_user_cannot_release_a_job_that_is_half_home(scene: Scene) -> None:
    job = scene.slurm.job("1")
    job.shown |= {"OverSubscribe": "NO", "ExcNodeList": "n9"}
    before = dict(job.shown)
    scene.agents.missing["1"] = "missing input file"

    def releases() -> None:
        scene.slurm.unhold("1")
        scene.slurm.slots = 1
        scene.slurm.schedule()

    scene.slurm.meanwhile["scontrol update jobid=1 oversubscribe=no"] = releases
    scene.turn(20)

    shown = scene.slurm.job("1").shown
    assert before == {name: text for name, text in shown.items() if name != "Extra"}
    assert ["1"] == [run.key for run in scene.slurm.runs]


def test_a_job_that_its_user_has_renamed_comes_home(scene: Scene) -> None:
    scene.agents.missing["1"] = "missing input file"
    scene.until(Stage.STAGING_IN)
    scene.slurm.job("1").name = "beam, second try"
    scene.turn(10)

    assert Stage.RETURNED is scene.burst().stage
    job = scene.slurm.job("1")
    assert ("PENDING", False, "cae") == (job.state, job.held, job.shown["Partition"])


def test_a_renamed_job_whose_proxy_node_rebooted_is_still_the_job(scene: Scene) -> None:
    scene.until(Stage.RUNNING)
    scene.slurm.job("1").name = "beam, second try"
    scene.slurm.lose("px")
    scene.turn(3)
    scene.target.finish_all()
    scene.turn(12)

    assert Stage.SETTLED is scene.burst().stage
    assert "COMPLETED" == scene.slurm.job("1").state
    assert 1 == len(scene.target.executions)


def test_rights_that_ran_out_on_the_way_home_call_no_human(scene: Scene) -> None:
    scene.agents.missing["1"] = "missing input file"

    def denied(*_: object) -> None:
        raise AccessDenied("Permission denied (publickey)")

    once(scene, "clean", denied)
    scene.turn(20)

    assert Stage.RETURNED is scene.burst().stage


def test_a_return_that_a_crash_forgets_is_made_again_as_it_was() -> None:
    """Else the parked job would be taken for a wish, and its parked shape for its own."""
    scene = Scene(seconds=1)
    scene.slurm.submit(name="beam", minutes=120, NumNodes="2", NumTasks="8", NumCPUs="8",
                       ReqTRES="cpu=8,node=2")  # fmt: skip
    before = dict(scene.slurm.job("1").shown)
    scene.agents.missing["1"] = "missing input file"
    scene.until(Stage.RETURNING)
    while scene.slurm.job("1").shown["Partition"] != "cae" or scene.slurm.job("1").held:
        scene.turn()
    scene.turn(2)
    scene.slurm.crash()
    assert "burst" == scene.slurm.job("1").shown["Partition"]
    scene.turn(40)

    job = scene.slurm.job("1")
    assert before == {name: text for name, text in job.shown.items() if name != "Extra"}
    assert ("PENDING", False) == (job.state, job.held)
    assert [Stage.RETURNED] == [burst.stage for burst in scene.store.bursts()]


# --- jobs that are home by other hands


def test_a_user_who_takes_the_job_home_stops_its_twin(scene: Scene) -> None:
    scene.until(Stage.RUNNING)
    scene.turn()
    scene.slurm.begin_again(scene.slurm.job("1"))
    scene.slurm.job("1").shown["Partition"] = "cae"
    scene.turn(2)
    assert RemoteState.ENDED is scene.target.state_of(scene.burst().work_key)
    scene.turn(10)

    assert Stage.SETTLED is scene.bursts("1")[-1].stage


def test_a_claim_that_a_crash_forgets_does_not_hold_the_job_up() -> None:
    scene = Scene(seconds=1)
    scene.slurm.submit(name="beam", minutes=120)
    scene.clock.forward(seconds=60)
    scene.link.cut = True
    scene.until(Stage.STAGING_IN)
    scene.slurm.crash()
    assert "cae" == scene.slurm.job("1").shown["Partition"]
    scene.link.cut = False
    scene.turn(25)

    assert Stage.RETURNED is scene.burst().stage
    assert [] == scene.target.executions


def test_a_twin_whose_start_was_forgotten_is_not_started_for_a_job_that_is_ending() -> None:
    scene = Scene(seconds=1)
    scene.slurm.submit(name="beam", minutes=120)
    scene.until(Stage.SUBMITTED)
    scene.clock.forward(seconds=20)
    scene.tick()  # submitted long ago, permitted and started just now
    scene.target.crash()
    scene.agents.asleep = True
    assert RemoteState.HELD is scene.target.state_of(scene.burst().work_key)
    scene.slurm.cancel("1")
    scene.turn(5)

    assert [] == scene.target.executions


# --- at the target


def test_a_submission_that_arrives_late_leaves_nothing_behind(scene: Scene) -> None:
    def given_up(order: Any) -> Any:
        scene.late = order  # type: ignore[attr-defined]
        raise Unreachable("sbatch gave no answer in 60 s")

    once(scene, "submit", given_up)
    scene.until(Stage.SUBMITTING)
    scene.turn(20)
    scene.target.submit(scene.late)  # type: ignore[attr-defined]
    scene.until(Stage.RUNNING, most=100)
    scene.turn()
    scene.target.finish_all()
    scene.turn(12)

    assert Stage.SETTLED is scene.burst().stage
    assert [RemoteState.ENDED] == [work.job.state for work in scene.target.work.values()]


def test_a_second_twin_is_gone_before_its_burst_is_closed(scene: Scene) -> None:
    scene.until(Stage.RUNNING)
    scene.turn()
    (work,) = scene.target.work.values()
    scene.target.submit(work.order)
    scene.target.finish_all()
    scene.turn(12)

    assert Stage.SETTLED is scene.burst().stage
    assert {RemoteState.ENDED} == {work.job.state for work in scene.target.work.values()}


@pytest.mark.parametrize(
    "change", [{"TimeLimit": "09:00:00"}, {"NumCPUs": "16"}], ids=["time limit", "CPUs"]
)
def test_a_job_that_asks_for_more_than_was_reserved_stays(change: dict[str, str]) -> None:
    scene = Scene(POLICY)
    scene.slurm.submit(name="beam", minutes=120)
    scene.slurm.schedule()
    scene.slurm.meanwhile["scontrol show job"] = lambda: scene.slurm.job("1").shown.update(change)
    scene.turn(3)

    assert Stage.RETURNED is scene.burst().stage
    assert "more than was reserved" in scene.burst().cause
    assert [] == scene.slurm.changes


# --- a requeue by the job's user


def test_a_requeued_job_runs_anew_at_home_and_its_twin_is_paid_for(scene: Scene) -> None:
    scene.until(Stage.RUNNING)
    before = dict(scene.slurm.job("1").shown)
    scene.turn(5)
    scene.slurm.requeue("1")
    scene.until(Stage.SETTLED)

    job = scene.slurm.job("1")
    assert RemoteState.ENDED is scene.target.state_of(scene.burst().work_key)
    assert ("PENDING", False, "cae") == (job.state, job.held, job.shown["Partition"])
    assert before["NumNodes"] == job.shown["NumNodes"]
    assert scene.burst().cost
    scene.slurm.slots = 1
    scene.others()
    assert ["1"] == [run.key for run in scene.slurm.runs]


def test_a_job_requeued_to_wait_waits_at_home_for_its_user(scene: Scene) -> None:
    scene.until(Stage.RUNNING)
    scene.turn(5)
    scene.slurm.requeue("1", held=True)
    scene.until(Stage.SETTLED)

    job = scene.slurm.job("1")
    assert ("PENDING", True, "JobHeldUser", "cae") == (
        job.state,
        job.held,
        job.reason,
        job.shown["Partition"],
    )
    scene.slurm.slots = 1
    scene.slurm.unhold("1")
    scene.others()
    assert ["1"] == [run.key for run in scene.slurm.runs]


def test_a_requeue_comes_too_late_where_the_work_is_done(scene: Scene) -> None:
    scene.until(Stage.RUNNING)
    scene.turn()
    scene.target.finish_all()
    scene.slurm.requeue("1")
    scene.until(Stage.SETTLED)

    assert "COMPLETED" == scene.slurm.job("1").state
    assert [] == scene.slurm.runs


def test_a_requeued_job_is_not_forgotten_half_way_home(scene: Scene) -> None:
    scene.until(Stage.RUNNING)
    scene.turn(5)
    scene.slurm.requeue("1")
    scene.until(Stage.SETTLING)

    def given_up() -> None:
        raise Unreachable("scontrol gave no answer in 30 s")

    scene.slurm.meanwhile["scontrol update jobid=1 extra="] = given_up
    scene.until(Stage.SETTLED)
    assert [] == scene.held()


def test_a_job_cancelled_before_burstd_knows_that_it_runs_brings_its_results_home(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was killed behind the start."""
    start = scene.target.start

    def last(key: WorkKey) -> None:
        start(key)
        raise KeyboardInterrupt

    monkeypatch.setattr(scene.target, "start", last)
    burst = scene.until(Stage.SUBMITTED)
    with pytest.raises(KeyboardInterrupt):
        scene.turn(20)
    assert Stage.PERMITTING is scene.burst().stage
    scene.slurm.cancel("1")
    scene.agents.work()
    scene.turn(20)

    assert ["1"] == scene.agents.landed
    assert "CANCELLED" == scene.slurm.job("1").state
    assert [burst.work_key] == scene.target.cleaned
