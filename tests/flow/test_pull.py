"""``burst pull``: asked by a user, brought by the agent."""

from __future__ import annotations

import json
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
    """A job that runs at the target."""
    scene = Scene(database=in_file(tmp_path / "ledger.db"))
    scene.target.users = {ME: "cae01"}
    scene.slurm.submit(user=ME, name="beam", minutes=120)
    scene.until(Stage.RUNNING)
    scene.agents.asleep = True
    serve(scene)
    return scene


def pull(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["pull", "1", *words])
    assert code == done.exit_code, done.output
    return done.output


def wish(scene: Scene) -> Any:
    """What the agent hears."""
    return client.ask(f"/v1/standins/{scene.burst().id}")["pull"]


def test_the_agent_hears_of_it_once_and_its_word_is_told(scene: Scene) -> None:
    assert None is wish(scene)
    assert "they are on their way\n" == pull("--no-wait", "a b/*.vtk", "x&y=1")
    asked = wish(scene)
    assert ["a b/*.vtk", "x&y=1"] == asked["globs"]

    files = [{"path": "/w/a b/1.vtk", "bytes": 7, "whole": True},
             {"path": "/w/x\x1b", "bytes": 8, "whole": False}]  # fmt: skip
    body = {"id": asked["id"], "files": files, "notes": ["one was left there"]}
    scene.store.report(scene.burst().id, "pulled", body)
    assert None is wish(scene)
    told = client.ask("/v1/jobs/1/pull")
    assert (True, files, body["notes"]) == (told["done"], told["files"], told["notes"])
    (record,) = [r for r in scene.store.audit() if r.action == "pull"]
    assert ["a b/*.vtk", "x&y=1"] == record.detail["globs"]

    assert not json.loads(pull("--no-wait", "--json", "b"))["done"]
    assert asked["id"] != wish(scene)["id"]


def test_what_came_is_shown_plainly(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(_seconds: float) -> None:
        files = [{"path": "/w/x\x1b", "bytes": 8, "whole": False}]
        body = {"id": wish(scene)["id"], "files": files, "notes": ["a note"]}
        scene.store.report(scene.burst().id, "pulled", body)

    monkeypatch.setattr("burstd.cli.pull.time.sleep", answer)
    first, second = pull("x*").splitlines()
    assert "/w/x?  (it was written to meanwhile" in first
    assert "a note" == second


def test_nothing_is_a_negative_answer(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(_seconds: float) -> None:
        scene.store.report(scene.burst().id, "pulled", {"id": wish(scene)["id"], "files": "none"})

    monkeypatch.setattr("burstd.cli.pull.time.sleep", answer)
    assert "nothing of job 1 was brought by that name" in pull("x*", code=3)


@pytest.mark.parametrize("glob", ["../secret", "a/../../b", "", "a//b", "./a"])
def test_what_is_no_glob_below_the_directory_is_refused(scene: Scene, glob: str) -> None:
    assert "no glob below" in pull(glob, code=1)
    assert None is wish(scene)


def test_only_what_runs_there_can_be_asked_for(scene: Scene) -> None:
    scene.target.finish_all()
    scene.agents.asleep = False
    scene.until(Stage.SETTLED)
    assert "while a job runs at a target" in pull("x", code=3)
    assert "knows no job" in CliRunner().invoke(app, ["pull", "77", "x"]).output
