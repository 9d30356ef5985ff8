"""``burst files``: what has left, as its agent told it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from burstd.cli.burst import app
from burstd.domain.burst import Stage
from burstd.testing.simulators import in_file
from tests.flow.conftest import Serve
from tests.flow.scene import Scene

FILES = [
    {
        "path": "/home/me/beam.inp",
        "size": 2_000_000,
        "blake3": "ab" * 32,
        "mtime_ns": 1,
        "mode": 420,
    },
    {"path": "/home/me/a\nb\udcff", "size": 1, "blake3": "cd" * 32, "mtime_ns": 1, "mode": 420},
]


@pytest.fixture
def scene(tmp_path: Path, serve: Serve) -> Scene:
    """A job on its way; nothing has left yet."""
    scene = Scene(database=in_file(tmp_path / "ledger.db"))
    scene.slurm.submit(name="beam", minutes=120)
    scene.agents.asleep = True
    scene.until(Stage.CLAIMING)
    serve(scene)
    return scene


def files(*words: str) -> str:
    done = CliRunner().invoke(app, ["files", "1", *words])
    assert 0 == done.exit_code, done.output
    return done.output


def test_what_has_left_is_told_with_its_digests(scene: Scene) -> None:
    burst = scene.burst()
    assert "nothing of alice's job 1 has left yet\n" == files()
    script = {"size": 40, "blake3": "ef" * 32}
    scene.store.report(
        burst.id, "staged_in", {"files": FILES, "bytes": 2_000_001, "script": script}
    )

    head, *lines = files().splitlines()
    assert f"2 files, 1.9 MiB, of alice's job 1 to cloud, burst {burst.id}" in head
    assert "       2000000  abababababababab  /home/me/beam.inp" == lines[0]
    assert "            40  efefefefefefefef  (the batch script)" == lines[-1]
    assert f"{'ab' * 32}  /home/me/beam.inp" == files("--sums").splitlines()[0]
    told = json.loads(files("--json"))
    assert (FILES, script, 2_000_001) == (told["files"], told["script"], told["bytes"])
    assert told["left_at"]


def test_a_name_speaks_for_no_other_file(scene: Scene) -> None:
    """One with a line of its own making; b3sum reads such names so."""
    name = "/home/me/a\n       2000000  abababababababab  /home/me/b\\c"
    file = {"path": name, "size": 1, "blake3": "cd" * 32}
    scene.store.report(scene.burst().id, "staged_in", {"files": [file]})
    assert 2 == len(files().splitlines())
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n")
    assert f"\\{'cd' * 32}  {escaped}\n" == files("--sums")


def test_nothing_of_a_refused_job_has_left(scene: Scene) -> None:
    scene.store.report(scene.burst().id, "refused", {"cause": "mesh.inp is of class secret"})
    assert "nothing of alice's job 1 has left: mesh.inp is of class secret\n" == files()


@pytest.mark.parametrize("why", ["", "out.log changes while it is read"])
def test_what_was_begun_to_be_sent_may_have_left(scene: Scene, why: str) -> None:
    """Its job was refused behind the first bytes, or cancelled, or its agent was killed."""
    burst = scene.burst()
    scene.store.report(burst.id, "leaving", {"files": {"/home/me/beam.inp": 2_000_000}})
    if why:
        scene.store.report(burst.id, "refused", {"cause": why})
    head, line = files().splitlines()
    told = f"some of 1 files, 1.9 MiB, of alice's job 1 to cloud, burst {burst.id}"
    assert f"{told}{': ' if why else ''}{why}, may have left" in head
    assert "       2000000  -                 /home/me/beam.inp" == line
    assert "" == files("--sums")


def test_what_an_earlier_try_has_begun_is_told_beside_what_is_there(scene: Scene) -> None:
    said = {"files": {file["path"]: file["size"] for file in FILES} | {"/home/me/old.inp": 5}}
    scene.store.report(scene.burst().id, "leaving", said)
    scene.store.report(scene.burst().id, "staged_in", {"files": FILES, "bytes": 2_000_001})
    *_, head, line = files().splitlines()
    assert "some of 1 files, 0.0 MiB, that are no inputs any more, may have left" in head
    assert line.endswith("/home/me/old.inp")


def test_nobody_is_told_of_a_job_that_is_not_there(scene: Scene) -> None:
    assert 4 == CliRunner().invoke(app, ["files", "77"]).exit_code


@pytest.mark.parametrize("files", [7, "x", [1, {"path": "/a"}, {"path": 1, "size": "x"}], None])
def test_words_of_an_agent_that_make_no_sense_are_no_files(scene: Scene, files: object) -> None:
    scene.store.report(scene.burst().id, "leaving", {"files": files})
    scene.store.report(scene.burst().id, "staged_in", {"files": files, "bytes": "x"})
    done = CliRunner().invoke(app, ["files", "1", "--json"])
    assert (0, []) == (done.exit_code, json.loads(done.output)["files"])
