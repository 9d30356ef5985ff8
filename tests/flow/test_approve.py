"""Mode approve: what would leave waits for an operator's yes, its money promised, untouched."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from burstd.adapters.store.trips import AGAIN_AFTER
from burstd.cli.burst import app
from burstd.domain.burst import Stage
from burstd.domain.classes import DataRules
from burstd.domain.policy import Mode
from burstd.testing.simulators import in_file
from tests.flow.conftest import ME, Serve
from tests.flow.scene import POLICY, Scene


@pytest.fixture
def scene(tmp_path: Path, serve: Serve) -> Scene:
    """Two jobs are proposed; we are an operator."""
    policy = replace(POLICY, mode=Mode.APPROVE)
    scene = Scene(policy, database=in_file(tmp_path / "ledger.db"))
    for name in ("beam", "plate"):
        scene.slurm.submit(name=name, minutes=120)
    scene.turn(5)
    serve(scene)
    return scene


def approve(*words: str) -> dict[str, list[dict[str, str]]]:
    done = CliRunner().invoke(app, ["approve", *words, "--json"])
    assert 0 == done.exit_code, done.output
    found: dict[str, list[dict[str, str]]] = json.loads(done.output)
    return found


def test_nothing_is_touched_and_the_money_is_promised(scene: Scene) -> None:
    assert {Stage.PLANNED} == {burst.stage for burst in scene.store.bursts()}
    assert {"cae"} == {job.shown["Partition"] for job in scene.slurm.jobs}
    assert ([], False) == (scene.held(), scene.link.view().up)
    assert sum(burst.reserved for burst in scene.store.bursts()) == scene.store.ledger().reserved
    assert ["1", "2"] == sorted(row["job"] for row in approve("--list")["proposals"])


def test_what_is_approved_leaves_and_the_other_waits(scene: Scene) -> None:
    assert ["1"] == [row["job"] for row in approve("1")["approved"]]
    scene.finish("1")
    assert (Stage.SETTLED, Stage.PLANNED) == (scene.burst("1").stage, scene.burst("2").stage)
    said = [record for record in scene.store.audit() if record.action == "operator.approve"]
    assert [ME] == [record.actor for record in said]

    approve()
    scene.finish("2")
    assert [] == approve("--list")["proposals"]
    assert 3 == CliRunner().invoke(app, ["approve", "1"]).exit_code


def test_no_is_said_by_return_and_a_job_that_starts_at_home_is_no_proposal(scene: Scene) -> None:
    assert 0 == CliRunner().invoke(app, ["return", "1", "--no-wait"]).exit_code
    scene.slurm.slots = 2
    scene.turn(3)
    assert {Stage.RETURNED} == {burst.stage for burst in scene.store.bursts()}
    assert 0 == scene.store.ledger().reserved
    assert [] == approve()["approved"]


def test_a_policy_that_says_auto_needs_no_yes(scene: Scene) -> None:
    scene.world.rules.policy = POLICY
    scene.finish("1")
    assert 1 == scene.executions("beam")


@pytest.mark.parametrize("frozen", [False, True], ids=["", "frozen"])
@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.AUTO])
def test_what_nobody_has_approved_stays_where_burstd_may_touch_nothing(
    scene: Scene, mode: Mode, frozen: bool
) -> None:
    if frozen:
        scene.store.freeze("root", "maintenance")
    scene.world.rules.policy = replace(POLICY, mode=mode)
    scene.turn(5)
    leaves = mode is Mode.AUTO and not frozen
    assert leaves == any(burst.stage is not Stage.PLANNED for burst in scene.store.bursts())
    assert leaves == ("burst" in {job.shown["Partition"] for job in scene.slurm.jobs})


def test_what_is_approved_under_a_freeze_leaves_and_observing_stops_it_all_the_same(
    scene: Scene,
) -> None:
    scene.store.freeze("root", "maintenance")
    approve("1")
    scene.world.rules.policy = replace(POLICY, mode=Mode.OBSERVE)
    scene.turn(3)
    assert {Stage.PLANNED} == {burst.stage for burst in scene.store.bursts()}
    scene.world.rules.policy = replace(POLICY, mode=Mode.APPROVE)
    scene.finish("1")
    assert (Stage.SETTLED, Stage.PLANNED) == (scene.burst("1").stage, scene.burst("2").stage)


RULES: dict[str, dict[str, Any]] = {
    "class": {"data": DataRules(unlabelled=None)},
    "target": {"targets": ()},
    "user": {"users": frozenset({"carol"})},
    "size": {"longest": timedelta(minutes=1)},
    "partition": {"partitions": frozenset({"other"})},
}


@pytest.mark.parametrize("name", RULES)
def test_a_yes_says_nothing_against_rules_that_came_later(scene: Scene, name: str) -> None:
    """Deny wins, whenever it was said."""
    scene.world.rules.policy = replace(POLICY, mode=Mode.APPROVE, **RULES[name])
    approve()
    scene.turn(3)
    assert {Stage.RETURNED} == {burst.stage for burst in scene.store.bursts()}
    assert {"cae"} == {job.shown["Partition"] for job in scene.slurm.jobs}
    assert ["it may not leave any more"] * 2 == [
        burst.cause.partition(":")[0] for burst in scene.store.bursts()
    ]


WORDS = ["never", "target=near", "max-cost=0.01", "class=unknown", "licences=abaqus:5"]


@pytest.mark.parametrize("word", WORDS)
def test_a_yes_says_nothing_against_what_its_user_has_said_since(scene: Scene, word: str) -> None:
    """``scontrol update comment=burst:target=near`` while the proposal waits."""
    for job in scene.slurm.jobs:
        job.comment = f"burst:{word}"
    approve()
    scene.turn(3)

    assert {Stage.RETURNED} == {burst.stage for burst in scene.store.bursts()}
    assert {"it may not leave any more"} == {
        burst.cause.partition(":")[0] for burst in scene.store.bursts()
    }


def test_what_is_proposed_waits_for_a_window_too(scene: Scene) -> None:
    today = scene.clock.now().date()
    policy = replace(POLICY, mode=Mode.APPROVE, blackouts=((today, today),))
    scene.world.rules.policy = policy
    approve("1")
    scene.turn(3)
    assert {Stage.PLANNED} == {burst.stage for burst in scene.store.bursts()}
    scene.world.rules.policy = replace(policy, blackouts=())
    scene.finish("1")


def test_only_an_operator_says_yes(scene: Scene, serve: Serve) -> None:
    serve(scene, operator=False)
    for words in (["approve"], ["approve", "1"]):
        assert 6 == CliRunner().invoke(app, words).exit_code
    assert [] == approve("--list")["proposals"]


def test_tasks_that_wait_for_a_yes_are_shown_with_what_the_queue_says_of_them(
    tmp_path: Path, serve: Serve
) -> None:
    policy = replace(POLICY, mode=Mode.APPROVE, max_new_per_tick=2)
    scene = Scene(policy, database=in_file(tmp_path / "array.db"))
    key = scene.slurm.submit(name="sweep", minutes=120, tasks=(1, 2, 3, 4, 7))
    scene.turn(2)
    serve(scene)
    rows = json.loads(CliRunner().invoke(app, ["jobs", "--json"]).output)["jobs"]

    planned = {(f"{key}_{task}", "PENDING", "cae", "planned") for task in (1, 2)}
    told = {(row["job"], row["state"], row["partition"], row["stage"]) for row in rows}
    assert planned | {(f"{key}_[3-4,7]", "PENDING", "cae", "")} == told


@pytest.mark.parametrize(
    ("said", "again"), [(["return", "1"], ["2"]), (["return-all"], ["1", "2"])]
)
def test_a_no_is_for_good_and_a_no_to_all_for_as_long_as_it_holds(
    scene: Scene, said: list[str], again: list[str]
) -> None:
    assert 0 == CliRunner().invoke(app, [*said, "--no-wait"]).exit_code
    scene.turn(3)
    CliRunner().invoke(app, ["thaw"])
    scene.clock.forward(seconds=AGAIN_AFTER.total_seconds())
    scene.turn(2)
    assert again == sorted(row["job"] for row in approve("--list")["proposals"])
