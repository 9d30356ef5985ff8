"""Licences over whole turns: booked with a burst, through restarts, until it is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from threading import Barrier

import pytest

from burstd.adapters.slurm.licences import SlurmLicences
from burstd.domain.burst import Stage
from burstd.domain.findings import Grade
from burstd.domain.licences import Pool
from burstd.domain.plan import Reason
from burstd.domain.policy import Mode
from burstd.domain.requests import Request, RequestKind
from burstd.shell.licences import findings, look_at
from burstd.testing.licences import SimulatedLicences
from burstd.testing.simulators import SimulatedCommands
from tests.flow.scene import POLICY, Scene

SCRIPT = "#!/bin/sh\n#BURST licences=abaqus:20\nccx beam\n"


@pytest.fixture
def server() -> SimulatedLicences:
    return SimulatedLicences({"abaqus": 50})


@pytest.fixture
def scene(server: SimulatedLicences) -> Scene:
    """Three jobs that check out 20 each, of 50."""
    scene = Scene(licences=(server,))
    for n in (1, 2, 3):
        scene.slurm.submit(name=f"job{n}", script=SCRIPT)
    scene.slurm.schedule()
    return scene


def refusals(scene: Scene) -> dict[str, tuple[Reason, str]]:
    plan = scene.memory.plan
    assert plan is not None
    return {
        str(d.identity.key): (d.reason, d.numbers.get("free", d.numbers.get("cause", "")))
        for d in plan.declined
    }


def test_what_a_burst_has_booked_outlives_a_restart_and_ends_with_it(
    scene: Scene, server: SimulatedLicences
) -> None:
    scene.tick()
    assert {"3": (Reason.LICENCES, "10")} == refusals(scene)

    scene.start()
    scene.tick()
    assert {"3": (Reason.LICENCES, "10")} == refusals(scene)
    assert {"abaqus": 40} == scene.store.ledger().booked
    server.used["abaqus"] = 40  # they run, and are counted twice rather than not at all
    scene.tick()
    assert {"3": (Reason.LICENCES, "0")} == refusals(scene)

    server.used["abaqus"] = 0
    scene.finish("1")
    assert Stage.CLAIMING is scene.until(Stage.CLAIMING, "3").stage


@pytest.mark.parametrize("asked", [20, 21])
def test_a_proposal_whose_user_wants_more_since_is_none(
    server: SimulatedLicences, asked: int
) -> None:
    """What was booked with it is all that it may check out: the rest may be others'."""
    scene = Scene(replace(POLICY, mode=Mode.APPROVE), licences=(server,))
    scene.slurm.submit(name="beam", minutes=120, script=SCRIPT)
    scene.turn(5)
    assert {"abaqus": 20} == scene.burst("1").licences
    scene.slurm.jobs[0].comment = f"burst:licences=abaqus:{asked}"
    scene.store.request(scene.burst("1").id, Request(RequestKind.APPROVE, "root"))
    if asked > 20:
        assert "licences" in scene.until(Stage.RETURNED, "1").cause
    else:
        scene.until(Stage.RUNNING, "1")


def test_while_the_licence_server_is_away_who_needs_it_waits_and_others_leave(
    scene: Scene, server: SimulatedLicences
) -> None:
    server.up = False
    scene.slurm.submit(name="free")
    scene.slurm.schedule()
    scene.tick()

    away = Reason.LICENCES_UNSEEN, "the licence server is away"
    assert {"1": away, "2": away, "3": away} == refusals(scene)
    assert 1 == len(scene.bursts("4"))


def test_a_wish_waits_for_a_licence_server_to_come_back(
    scene: Scene, server: SimulatedLicences
) -> None:
    server.up = False
    scene.slurm.submit(name="wish", partition="burst", script=SCRIPT)
    scene.turn(3)
    assert () == scene.bursts("4")

    server.up = True
    scene.turn()
    assert "cloud" == scene.burst("4").target


def test_a_job_with_licences_of_slurms_own_leaves_and_nothing_else_is_counted(
    server: SimulatedLicences,
) -> None:
    server.totals = {"abaqus": 0}
    scene = Scene(licences=(server,))
    for n in (1, 2, 3):
        scene.slurm.submit(name=f"job{n}", Licenses="ansys:5")
    scene.slurm.schedule()
    scene.finish("1")

    assert "ansys:5" == scene.slurm.job("1").shown["Licenses"]
    assert {} == scene.burst("1").licences


def test_a_job_whose_licence_slurm_does_not_tell_of_stays() -> None:
    scene = Scene()
    source = SlurmLicences(
        SimulatedCommands(controller=scene.slurm), {"abaqus": "abaqus@flex"}, {"abaqus": 2}
    )
    scene.licences = (source,)
    scene.start()
    scene.slurm.submit(name="job1", minutes=120, Licenses="abaqus@flex:5")
    scene.slurm.schedule()
    scene.tick()
    assert {"1": (Reason.LICENCES_UNSEEN, "its source does not tell of it")} == refusals(scene)

    scene.slurm.licences = {"abaqus@flex": 6}
    scene.tick()
    assert {"1": (Reason.LICENCES, "")} == refusals(scene)  # two are kept for others
    scene.slurm.licences = {"abaqus@flex": 7}
    scene.until(Stage.RUNNING)
    assert 5 == source.pools()["abaqus"].used


def test_all_sources_are_asked_at_once() -> None:
    """Each waits until both are being asked."""
    both = Barrier(2, timeout=10)

    class Slow(SimulatedLicences):
        def pools(self) -> Mapping[str, Pool]:
            both.wait()
            return super().pools()

    assert {"a": Pool("a", 1, 0), "b": Pool("b", 2, 0)} == look_at([Slow({"a": 1}), Slow({"b": 2})])


def test_the_doctor_says_what_is_free_and_what_to_do_where_it_is_not_known(
    server: SimulatedLicences,
) -> None:
    server.totals["cae"], server.used["abaqus"] = 4, 12
    server.silent = {"cae"}
    told = list(findings(look_at([server])))

    assert [("abaqus", Grade.OK, "12 of 50 in use"),
            ("cae", Grade.FAILED, "its source does not tell of it")] == [
        (f.check, f.grade, f.seen) for f in told
    ]  # fmt: skip
    assert told[1].fix.startswith("run by hand what licences.cae says")
