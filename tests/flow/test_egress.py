"""Where results cost on their way home: reserved, settled by their size, never more unasked."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from burstd.agent.agent import Agent
from burstd.agent.api import Api
from burstd.agent.memory import Memory
from burstd.agent.meter import Metered
from burstd.api.desk import Desk
from burstd.api.server import ApiServer
from burstd.cli import client
from burstd.cli.burst import app
from burstd.domain.budgets import Budget
from burstd.domain.burst import Burst, Stage
from burstd.domain.data import OutputFile
from burstd.domain.targets import Money, Outcome
from burstd.ports.depot import Ended, Growing
from burstd.ports.errors import Transient
from burstd.testing.simulators import in_file
from burstd.testing.slurm import KILL_WAIT
from tests.flow.conftest import ME, Serve
from tests.flow.scene import POLICY, Scene
from tests.unit.test_review_agent import stand_in

GB = 10**9


@pytest.fixture
def scene(tmp_path: Path, serve: Serve) -> Scene:
    """A job that leaves for where a GB costs 2 EUR; at most 3 GB are paid for."""
    policy = replace(POLICY, most_output=3 * GB)
    scene = Scene(policy, database=in_file(tmp_path / "ledger.db"))
    scene.target.egress = Money(Decimal(2))
    scene.target.users = {ME: "cae01"}
    scene.slurm.submit(user=ME, name="beam", minutes=120)
    serve(scene)
    return scene


def landed(scene: Scene, size: object) -> None:
    """Its agent says how large the results were."""
    scene.until(Stage.RUNNING)
    scene.turn()
    scene.agents.asleep = True
    scene.target.finish_all()
    burst = scene.until(Stage.STAGING_OUT)
    body = {"files": 1, "bytes": size, "notes": []}
    scene.store.report(burst.id, "staged_out", body)
    scene.agents.asleep = False


def test_the_bound_is_reserved_and_what_came_is_paid(scene: Scene) -> None:
    reserved = scene.until(Stage.RUNNING).reserved
    assert Decimal("6.1") == reserved  # two core-hours at 0.05, three GB at 2
    landed(scene, GB // 2)
    burst = scene.until(Stage.SETTLED)

    assert GB // 2 == burst.output
    assert burst.cost is not None
    assert Decimal(1) <= burst.cost < Decimal("1.2")
    (end,) = scene.store.ledger().ends
    assert GB // 2 == end.output


@pytest.mark.parametrize("size", ["many", None, -1, 2**80, 1.5])
def test_odd_sizes_cost_what_was_put_by_and_break_nothing(scene: Scene, size: object) -> None:
    landed(scene, size)

    assert 3 * GB == scene.until(Stage.SETTLED).output


def test_no_results_cost_nothing(scene: Scene) -> None:
    landed(scene, 0)

    assert 0 == scene.until(Stage.SETTLED).output


def test_an_agents_word_spends_no_more_than_was_reserved(scene: Scene) -> None:
    landed(scene, 500_000 * GB)
    burst = scene.until(Stage.SETTLED)

    assert burst.cost is not None
    assert burst.cost <= burst.reserved
    assert 3 * GB == burst.output


def test_what_costs_nothing_is_not_bounded(scene: Scene) -> None:
    scene.target.egress = Money(Decimal(0))
    burst = scene.until(Stage.RUNNING)

    assert (None, Decimal("0.1")) == (burst.most_output, burst.reserved)


def told(scene: Scene) -> dict[str, Any]:
    return client.ask(f"/v1/standins/{scene.burst().id}")


class Depot:
    """Holds results of 4 GB."""

    def growing(self) -> Growing:
        return Growing(files={})

    def outputs(self, _secret: str) -> Ended:
        return Ended([OutputFile("/w/a", "file", 4 * GB, "", 0, 0o644)], exit_code=0)


def test_larger_results_wait_for_an_operator(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.until(Stage.RUNNING)
    scene.turn()
    scene.agents.asleep = True
    scene.target.finish_all()
    scene.until(Stage.STAGING_OUT)
    assert 3 * GB == told(scene)["most_bytes"]

    early = CliRunner().invoke(app, ["approve", "1"])
    assert (3, True) == (early.exit_code, "staging_out" in early.output)  # nobody knows its size

    agent = Agent(stand_in(tmp_path), Api(client.SOCKET), Memory(tmp_path), None, None)  # type: ignore[arg-type]
    staged = {"secret": "s", "files": [], "marks": {}, "roots": [str(tmp_path)]}
    answers = {"staged_in": staged, "staged_out": None}
    monkeypatch.setattr(agent, "_reported", lambda _words, kind: answers[kind])
    with pytest.raises(Transient, match=r"4\.0 GB, more than the 3\.0 GB that are paid for"):
        agent._stage_out(told(scene), Metered(Depot(), agent.memory, 3 * GB))  # type: ignore[arg-type]
    assert {"bytes": 4 * GB} == scene.store.reports(scene.burst().id)["oversized"].body

    done = CliRunner().invoke(app, ["approve", "1", "--json"])
    assert ["1"] == [row["job"] for row in json.loads(done.output)["approved"]]
    assert 4 * GB == told(scene)["most_bytes"]
    assert 0 == Metered(Depot(), agent.memory, 4 * GB).unpaid(  # type: ignore[arg-type]
        Growing(files={}), Depot().outputs("s").results
    )


def oversized(scene: Scene, size: object = 4 * GB) -> Burst:
    """Its agent has found more than is paid for, and waits."""
    scene.until(Stage.RUNNING)
    scene.turn()
    scene.agents.asleep = True
    scene.target.finish_all()
    burst = scene.until(Stage.STAGING_OUT)
    scene.store.report(burst.id, "oversized", {"bytes": size})
    return burst


def approve(*words: str) -> Result:
    return CliRunner().invoke(app, ["approve", *words])


def test_what_was_approved_is_put_by_and_paid_and_told(scene: Scene) -> None:
    oversized(scene)
    listed = json.loads(approve("--list", "--json").output)
    (row,) = listed["results"]
    assert ("1", 4 * GB, 3 * GB) == (row["job"], row["bytes"], row["most_bytes"])
    assert [] == listed["proposals"]
    shown = approve("--list").output
    assert "4.000 GB from cloud, 1.9500 EUR more" in shown  # its last hour was not used

    said = approve("1", "--why", "the last run").output
    assert "may come home: 4.000 GB from cloud" in said
    burst = scene.burst()
    assert (4 * GB, Decimal("8.05")) == (burst.most_output, burst.reserved)
    assert Decimal("8.05") == scene.store.ledger().reserved
    (record,) = [r for r in scene.store.audit() if r.actor == ME]
    assert f"{ME} approved that 4.000 GB come home: the last run" == record.detail["cause"]
    assert [] == json.loads(approve("--list", "--json").output)["results"]

    scene.store.report(burst.id, "staged_out", {"files": 1, "bytes": 4 * GB, "notes": []})
    scene.agents.asleep = False
    burst = scene.until(Stage.SETTLED)
    assert 4 * GB == burst.output
    assert burst.cost is not None
    assert Decimal(8) < burst.cost <= burst.reserved


def test_what_has_grown_since_it_was_approved_waits_again(scene: Scene) -> None:
    burst = oversized(scene)
    assert 0 == approve("1").exit_code
    again = approve("1")
    assert (3, True) == (again.exit_code, "nothing of it waits" in again.output)

    scene.store.report(burst.id, "oversized", {"bytes": 6 * GB})
    assert 4 * GB == told(scene)["most_bytes"]
    (row,) = json.loads(approve("--list", "--json").output)["results"]
    assert (6 * GB, 4 * GB) == (row["bytes"], row["most_bytes"])
    scene.store.report(burst.id, "staged_out", {"files": 1, "bytes": 6 * GB, "notes": []})
    scene.agents.asleep = False
    assert 4 * GB == scene.until(Stage.SETTLED).output


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ({"budget": Money(Decimal(7))}, ("policy.budget (7 EUR/month)", "raise policy.budget,")),
        (
            {"budgets": (Budget("phys", Money(Decimal(7)), accounts=frozenset({"phys"})),)},
            ("phys (7 EUR/month)", "raise policy.budgets.phys.amount,"),
        ),
        (
            {"budgets": (Budget("mine", Money(Decimal(7)), users=frozenset({ME})),)},
            ("mine (7 EUR/month)", "raise policy.budgets.mine.amount,"),
        ),
    ],
    ids=["site", "account", "user"],
)
def test_no_approval_passes_a_budget(
    scene: Scene, rules: dict[str, Any], told: tuple[str, str]
) -> None:
    before = oversized(scene)
    scene.world.rules.policy = replace(scene.world.policy, **rules)
    refused = approve("1")

    assert 3 == refused.exit_code
    for words in (*told, "4.000 GB of results of job 1 cost 1.9500 EUR more", "0.9000 EUR left"):
        assert words in refused.output
    assert before == scene.burst()
    (row,) = json.loads(approve("--list", "--json").output)["results"]
    assert row["lacks"] in refused.output

    scene.world.rules.policy = replace(scene.world.policy, budget=Money(Decimal(9)), budgets=())
    assert 0 == approve("1").exit_code


def test_what_its_own_run_has_left_over_pays_for_more_results(scene: Scene) -> None:
    scene.until(Stage.RUNNING)
    scene.turn()
    scene.agents.asleep = True
    scene.target.finish_all(Outcome("exited", 0, elapsed=timedelta(seconds=1)))
    burst = scene.until(Stage.STAGING_OUT)
    scene.store.report(burst.id, "oversized", {"bytes": 3 * GB + GB // 100})
    scene.world.rules.policy = replace(scene.world.policy, budget=burst.reserved)

    assert 0 == approve("1").exit_code
    assert burst.reserved == scene.burst().reserved


@pytest.mark.parametrize("size", ["many", None, -1, 2**80, 4.5e9, 3 * GB])
def test_of_odd_sizes_nothing_can_be_approved(scene: Scene, size: object) -> None:
    before = oversized(scene, size)

    assert 3 == approve("1").exit_code
    assert [] == json.loads(approve("--list", "--json").output)["results"]
    assert before == scene.burst()


def test_only_operators_approve_results(scene: Scene, serve: Serve) -> None:
    before = oversized(scene)
    serve(scene, operator=False)
    assert ["1"] == [r["job"] for r in json.loads(approve("--list", "--json").output)["results"]]

    assert 6 == approve("1").exit_code
    assert before == scene.burst()


def test_where_nothing_is_to_be_paid_nothing_can_be_approved(scene: Scene) -> None:
    scene.target.egress = Money(Decimal(0))
    scene.until(Stage.RUNNING)
    scene.turn()
    scene.agents.asleep = True
    scene.target.finish_all()
    scene.until(Stage.STAGING_OUT)

    assert 3 == CliRunner().invoke(app, ["approve", "1"]).exit_code
    assert {} == scene.store.requests()


@pytest.mark.parametrize(("told", "booked"), [(None, 0), (GB, GB), (9 * GB, 3 * GB)])
def test_what_had_come_when_the_stand_in_was_killed_is_paid(
    scene: Scene, told: int | None, booked: int
) -> None:
    burst = scene.until(Stage.RUNNING)
    scene.turn()
    if told is not None:
        scene.store.report(burst.id, "came", {"bytes": told})
    scene.agents.asleep = True
    scene.slurm.cancel("1")
    scene.clock.forward(seconds=KILL_WAIT.total_seconds())
    assert booked == scene.until(Stage.SETTLED).output


def test_how_much_has_come_is_told_where_it_costs_and_wakes_nobody(
    scene: Scene, tmp_path: Path, serve: Serve
) -> None:
    burst = scene.until(Stage.RUNNING)
    desk = Desk(scene.world, scene.memory, frozenset(), scene.clock.now())
    server = ApiServer(desk, tmp_path / "nudged")
    server.start()
    try:
        api, route = Api(str(tmp_path / "nudged")), f"/v1/standins/{burst.id}/reports"
        api.post(route, {"kind": "came", "body": {"bytes": 1}})
        assert not desk.nudge.is_set()
        api.post(route, {"kind": "over", "body": {}})
        assert desk.nudge.is_set()
        assert api.get(f"/v1/standins/{burst.id}")["costs"] is True
    finally:
        server.stop()
