"""``burst why`` answers for every job, whether burstd has ever touched it or not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from burstd.cli import client
from burstd.cli.burst import app
from burstd.domain.burst import Stage
from burstd.testing.simulators import in_file
from tests.flow.conftest import ME, Serve
from tests.flow.scene import Scene


@pytest.fixture
def scene(tmp_path: Path, serve: Serve) -> Scene:
    """Nothing has been decided yet; the API is up and we are an operator."""
    scene = Scene(database=in_file(tmp_path / "ledger.db"))
    serve(scene)
    return scene


def why(job: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["why", job, "--json"])
    assert 0 == done.exit_code, done.output
    found: dict[str, Any] = json.loads(done.output)
    return found


def against(found: dict[str, Any]) -> list[str]:
    return [step["rule"] for step in found["steps"] if not step["holds"]]


def test_a_job_that_no_cycle_has_seen_yet_is_explained(scene: Scene) -> None:
    scene.slurm.submit(name="beam", minutes=6)
    scene.slurm.schedule()
    found = why("1")

    assert ["pressure"] == against(found)
    assert [False] == [group["leaves"] for group in found["groups"]]
    assert () == scene.store.bursts()


def test_what_would_have_to_change_is_told_of_what_no_rule_of_its_own_says(scene: Scene) -> None:
    for name in ("beam", "cube"):
        scene.slurm.submit(name=name, minutes=120)
    scene.world.rules.policy = replace(scene.policy, max_new_per_tick=1)
    scene.slurm.schedule()
    scene.tick()
    found = why("2")
    lines = CliRunner().invoke(app, ["why", "2"]).output.splitlines()

    assert [] == against(found)
    told = lines.index(next(line for line in lines if line.startswith("now stays, 2: enough")))
    assert "-> wait for the next cycle, or raise policy.max_new_per_tick" == lines[told + 1].strip()


def test_each_task_of_an_array_and_the_array_itself_have_an_answer(scene: Scene) -> None:
    key = scene.slurm.submit(name="sweep", minutes=120, tasks=(1, 2, 5))
    scene.link.cut = True
    scene.tick()

    for asked in (key, f"{key}_1", f"{key}_5"):
        assert why(asked)["why"], asked
    assert 4 == CliRunner().invoke(app, ["why", f"{key}_3"]).exit_code


def test_of_an_array_it_is_told_where_its_tasks_are_and_why_the_rest_waits(scene: Scene) -> None:
    """Named whole it was explained by one task that had left, without a word on the others."""
    key = scene.slurm.submit(name="sweep", minutes=120, tasks=(1, 2, 5, 6))
    scene.world.rules.policy = replace(scene.policy, max_new_per_tick=2, max_open_bursts=2)
    scene.turn(3)
    found = why(key)

    assert [f"tasks 1-2 have bursts: {scene.burst(f'{key}_1').stage.value}"] == [
        line.partition("  ")[2] for line in found["why"]
    ]
    (group,) = found["groups"]
    assert ([f"{key}_5", f"{key}_6"], False) == (group["jobs"], group["leaves"])
    assert "max_open_bursts" in group["cure"]
    assert found["left_at"] is None
    assert "leaves: it goes to cloud" in why(f"{key}_1")["why"][0]


@pytest.mark.parametrize("text", ["1_2_3", "1_[2,5]", "1_", "x", "1.batch", " 1", "+1"])
def test_what_names_no_job_is_told_how_jobs_are_named(scene: Scene, text: str) -> None:
    """``1_2_3`` was task 23: int() reads it so."""
    scene.slurm.submit(name="sweep", minutes=120, tasks=(1, 23))
    done = CliRunner().invoke(app, ["why", text])

    assert 0 != done.exit_code
    assert "123_4 for a task of an array" in done.output


def test_what_is_away_or_was_is_explained_by_what_held_when_it_left(scene: Scene) -> None:
    key = scene.slurm.submit(name="beam", minutes=120)
    waiting = {step["rule"] for step in why_before(scene, key)["steps"]}
    scene.until(Stage.RUNNING)
    away = why(key)
    assert "is running" in away["why"][-1]
    assert (waiting, []) == ({step["rule"] for step in away["steps"]}, against(away))
    (pressure,) = (step for step in away["steps"] if step["rule"] == "pressure")
    assert "2.00 core-hours" == pressure["numbers"]["backlog"]

    scene.finish(key)
    over = why(key)
    assert "is settled" in over["why"][-1]
    assert away["steps"] == over["steps"]
    lines = CliRunner().invoke(app, ["why", key]).output.splitlines()
    assert f"{over['left_at']}  when it left:" in lines
    assert any(line.startswith("  ok  target cloud") for line in lines)


def why_before(scene: Scene, key: str) -> dict[str, Any]:
    """While it pends, before any cycle."""
    scene.slurm.schedule()
    return why(key)


def test_what_came_back_is_explained_by_what_holds_now(scene: Scene) -> None:
    key = scene.slurm.submit(name="beam", minutes=120)
    scene.until(Stage.SUBMITTED)
    assert 0 == CliRunner().invoke(app, ["return", key, "--no-wait"]).exit_code
    scene.until(Stage.RETURNED)
    scene.turn(1)
    found = why(key)
    assert (None, True) == (found["left_at"], bool(found["groups"]))


def test_what_runs_at_home_and_what_nobody_knows(scene: Scene) -> None:
    scene.slurm.submit(name="here", partition="cae", minutes=1)
    scene.slurm.slots = 1
    scene.slurm.schedule()
    assert ["state"] == against(why("1"))
    assert 4 == CliRunner().invoke(app, ["why", "77"]).exit_code


def test_what_never_left_is_explained_by_the_last_decision_on_it(
    tmp_path: Path, serve: Serve
) -> None:
    scene = Scene(database=in_file(tmp_path / "ledger.db"), decisions=tmp_path / "decisions")
    serve(scene)
    key = scene.slurm.submit(name="beam", minutes=6, partition="long")
    scene.turn(1)
    waiting = why(key)
    assert ("partition" in against(waiting), None) == (True, waiting["decided_at"])
    scene.turn(2)
    other = scene.slurm.submit(name="other", minutes=6)  # decisions go on
    scene.slurm.cancel(key)
    scene.turn(3)

    over = why(key)
    assert waiting["steps"] == over["steps"]
    assert over["why"][-1].startswith(over["decided_at"])
    lines = CliRunner().invoke(app, ["why", key]).output.splitlines()
    assert f"{over['decided_at']}  when this was decided:" in lines
    assert None is why(other)["decided_at"]


def test_the_lines_name_rule_numbers_setting_and_cure(scene: Scene) -> None:
    scene.slurm.submit(name="beam", minutes=6, partition="long")
    scene.tick()
    lines = CliRunner().invoke(app, ["why", "1"]).output.splitlines()

    at = next(n for n, line in enumerate(lines) if line.startswith("  NO  partition"))
    assert "(partition long)  [policy.partitions, default]" in lines[at]
    assert "-> submit it to one of policy.partitions" in lines[at + 1]
    assert any(line.startswith("  ok  user") for line in lines)


def test_a_users_words_do_not_speak_to_an_operators_terminal(scene: Scene) -> None:
    scene.slurm.submit(script="#!/bin/sh\n#BURST \x1b]0;gone\x07\nccx beam\n")
    scene.slurm.schedule()
    done = CliRunner().invoke(app, ["why", "1"])

    assert "?]0;gone?" in done.output
    assert "\x1b" not in done.output


@pytest.mark.parametrize("asked", ["TresPerNode", "TresPerJob", "TresPerTask", "TresPerSocket"])
def test_a_job_that_asks_for_gpus_stays_in_whatever_way_it_asks(scene: Scene, asked: str) -> None:
    key = scene.slurm.submit(name="beam", minutes=120)
    scene.slurm.job(key).shown[asked] = "gres/gpu:4"
    scene.turn(3)

    assert () == scene.store.bursts()
    found = why(key)
    assert "kind" in against(found)
    (kind,) = (step for step in found["steps"] if step["rule"] == "kind")
    assert kind["numbers"] in ({"gres": "gres/gpu:4"}, {"gpus": "4", "max_gpus": "0"})


def given_out_again(scene: Scene) -> None:
    """Alice's job 1 came back; then MaxJobId is reached, or a crash gives its number out again."""
    scene.slurm.submit(user="alice", name="beam", minutes=120)
    scene.agents.missing["1"] = "/projects/prototype-x/secret.inp is missing"
    scene.until(Stage.RETURNED)
    scene.slurm.jobs.clear()
    scene.slurm.accounting.clear()
    scene.agents.missing.clear()
    scene.slurm._next_id = 1
    scene.clock.forward(days=30)


def test_who_got_the_number_of_anothers_job_hears_of_the_own_one_alone(scene: Scene) -> None:
    given_out_again(scene)
    assert "1" == scene.slurm.submit(user="bob", name="bobs", minutes=6, partition="long")
    scene.turn(1)
    found = why("1")
    assert "secret" not in str(found)
    assert scene.burst().id not in str(found)
    assert "partition" in against(found)

    scene.slurm.jobs.clear()
    scene.turn(1)
    assert "secret" not in str(why("1")), "the last word on it is of bob's"


def test_and_that_job_may_leave(scene: Scene) -> None:
    given_out_again(scene)
    scene.slurm.submit(user="bob", name="bobs", minutes=120)
    assert "bob" == scene.finish("1").identity.user


@pytest.mark.parametrize("operator", [False, True])
def test_an_open_burst_of_its_numbers_former_owner_is_told_to_nobody_else(
    tmp_path: Path, serve: Serve, operator: bool
) -> None:
    """Slurm's database was reset while it was away."""
    scene = Scene(database=in_file(tmp_path / "ledger.db"))
    serve(scene, operator=operator)
    scene.slurm.submit(user="alice", name="beam", minutes=120)
    scene.until(Stage.RUNNING)
    scene.target.stubborn = True
    scene.slurm.jobs.clear()
    scene.slurm.accounting.clear()
    scene.slurm._next_id = 1
    assert "1" == scene.slurm.submit(user=ME, name="own", minutes=120)
    scene.turn(2)
    burst = scene.burst()
    assert ("alice", Stage.CANCELLING) == (burst.identity.user, burst.stage)

    rows = {row["user"]: row for row in client.ask("/v1/jobs")["jobs"]}
    assert ("own", "on-prem", "") == tuple(
        rows[ME][column] for column in ("name", "where", "stage")
    )
    assert operator == ("alice" in rows)
    if operator:
        assert ("beam", "cloud", "cancelling") == tuple(
            rows["alice"][column] for column in ("name", "where", "stage")
        )
    told = why("1")
    assert burst.id not in str(told)
    assert "cancelling" not in str(told)


def test_amounts_have_their_currency_and_no_task_of_an_array_is_hushed_up(scene: Scene) -> None:
    scene.world.rules.policy = replace(scene.policy, max_new_per_tick=1, currency="SEK")
    key = scene.slurm.submit(name="sweep", minutes=120, tasks=tuple(range(1, 10)))
    scene.slurm.schedule()
    scene.tick()

    def said(*words: str) -> str:
        done = CliRunner().invoke(app, words)
        assert 0 == done.exit_code, done.output
        return done.output

    assert "leaves: it goes to cloud for at most 0.1000 SEK" in said("why", f"{key}_1")
    assert "currency      SEK" in said("show", f"{key}_1")
    scene.clock.forward(seconds=31)
    _, leaves, stays = said("plan").splitlines()
    assert f"{key}_2  leaves  to cloud, at most 0.1000 SEK" == leaves.strip()
    listed = ",".join(f"{key}_{task}" for task in (3, 4, 5, 6))
    assert stays.startswith(f"{listed} and 3 more  stays")
