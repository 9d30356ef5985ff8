"""How far files have come, as the agent says so: burst jobs, show and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from burstd.agent.api import Api
from burstd.cli import client
from burstd.cli.burst import app
from burstd.domain.burst import Stage
from burstd.testing.simulators import in_file
from tests.flow.conftest import ME, Serve
from tests.flow.scene import Scene, reach

GB = 10**9


@pytest.fixture
def scene(tmp_path: Path, serve: Serve) -> Scene:
    """A job whose inputs are on their way."""
    scene = Scene(database=in_file(tmp_path / "ledger.db"))
    scene.target.users = {ME: "cae01"}
    scene.slurm.submit(user=ME, name="beam", minutes=120)
    scene.until(Stage.STAGING_IN)
    scene.agents.asleep = True
    serve(scene)
    return scene


def tell(scene: Scene, **body: Any) -> None:
    """As its agent does, over the socket."""
    Api(client.SOCKET, 20).post(
        f"/v1/standins/{scene.burst().id}/reports", {"kind": "moving", "body": body}
    )


def burst(*words: str) -> str:
    done = CliRunner().invoke(app, words, terminal_width=200)
    assert 0 == done.exit_code, done.output
    return done.output


def test_how_far_it_has_come_is_told_where_users_look(scene: Scene) -> None:
    assert "staging_in\n" in burst("jobs")
    tell(scene, way="in", bytes=12 * GB, of=32 * GB, waiting=0)
    assert "staging_in 37%\n" in burst("jobs")
    assert "12.0 of 32.0 GB are sent, or there already\n" in burst("why", "1")
    assert "bytes=12000000000, of=32000000000, waiting_files=0\n" in burst("show", "1")
    (row,) = json.loads(burst("jobs", "--json"))["jobs"]
    assert ("staging_in", 37) == (row["stage"], row["percent"])


def test_who_waits_for_another_job_says_so(scene: Scene) -> None:
    tell(scene, way="in", bytes=GB // 2, of=GB // 2, waiting=11)
    assert (
        "500.0 of 500.0 MB are sent, or there already; 11 files wait for what another job is just "
        "sending\n" in burst("why", "1")
    )
    assert "staging_in 99%\n" in burst("jobs")


def test_results_come_home(scene: Scene) -> None:
    scene.agents.asleep = False
    reach(scene, Stage.STAGING_OUT)
    tell(scene, way="out", bytes=5 * GB, of=20 * GB, waiting=0)
    assert "5.0 of 20.0 GB have come home\n" in burst("why", "1")
    assert "staging_out 25%\n" in burst("jobs")


def test_what_was_said_of_another_stage_is_not_repeated(scene: Scene) -> None:
    tell(scene, way="out", bytes=1, of=2, waiting=0)
    assert None is json.loads(burst("show", "1", "--json"))["burst"]["moved"]
    tell(scene, way="in", bytes=1, of=2, waiting=0)
    assert "staging_in 50%\n" in burst("jobs")
    scene.agents.asleep = False
    scene.until(Stage.RUNNING)
    assert "%" not in burst("jobs")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"bytes": -1, "of": 2, "waiting": -7}, {"bytes": 0, "of": 2, "waiting_files": 0}),
        ({"bytes": 9, "of": 2, "waiting": "x"}, {"bytes": 2, "of": 2, "waiting_files": 0}),
        ({"bytes": 1, "of": 0}, None),
        ({"bytes": "many", "of": [3]}, None),
        ({}, None),
    ],
)
def test_an_agent_may_say_anything(
    scene: Scene, body: dict[str, Any], told: dict[str, int] | None
) -> None:
    tell(scene, way="in", **body)
    assert told == json.loads(burst("show", "1", "--json"))["burst"]["moved"]
    burst("jobs"), burst("why", "1")
