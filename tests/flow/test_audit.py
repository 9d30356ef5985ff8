"""``burst audit`` against a daemon's real socket: the log as an operator gets it."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from burstd.api.desk import Desk
from burstd.api.server import ApiServer
from burstd.cli import client
from burstd.cli.burst import app
from tests.flow.scene import Scene

ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A burst from submit to settled, and the API of its daemon; we are an operator."""
    scene = Scene()
    scene.slurm.submit(name="beam", minutes=120)
    scene.finish()
    desk = Desk(scene.world, scene.memory, frozenset({ME}), scene.clock.now())
    server = ApiServer(desk, tmp_path / "s")
    monkeypatch.setattr(client, "SOCKET", str(tmp_path / "s"))
    server.start()
    yield scene
    server.stop()


def burst(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, words)
    return done.exit_code, done.output


def test_the_log_of_a_burst_is_whole_and_its_head_is_known_again(scene: Scene) -> None:
    code, said = burst("audit", "verify", "--json")
    found = json.loads(said)

    assert (0, True, len(scene.store.audit())) == (code, found["whole"], found["records"])
    assert 0 == burst("audit", "verify", "--against", found["head"])[0]
    wrong = found["head"].replace(found["head"][-1], "0" if found["head"][-1] != "0" else "1")
    assert 3 == burst("audit", "verify", "--against", wrong)[0]


def test_a_changed_row_of_the_ledger_is_found(scene: Scene) -> None:
    with scene.database.begin() as db:
        db.execute(text("update audit set detail = replace(detail, 'running', 'ended')"))
    code, said = burst("audit", "verify")

    assert 3 == code
    assert "was changed" in said


def test_an_export_is_checked_without_the_daemon(scene: Scene, tmp_path: Path) -> None:
    code, lines = burst("audit", "export")
    export = tmp_path / "audit.jsonl"
    export.write_text(lines)

    assert 0 == code == burst("audit", "verify", str(export))[0]
    export.write_text(lines.replace("burst.Done", "burst.Begun", 1))
    assert 3 == burst("audit", "verify", str(export))[0]
    export.write_text("{")
    assert (3, "burst: the audit log is broken: line 1 is not JSON\n") == burst(
        "audit", "verify", str(export)
    )
    assert 1 == burst("audit", "verify", str(tmp_path / "none"))[0]
    assert 2 == burst("audit", "verify", "--against", "7")[0]


def test_only_an_operator_reads_it(scene: Scene, tmp_path: Path) -> None:
    desk = Desk(scene.world, scene.memory, frozenset(), scene.clock.now())
    server = ApiServer(replace(desk), tmp_path / "t")
    server.start()
    try:
        client.SOCKET = str(tmp_path / "t")
        assert 6 == burst("audit", "verify")[0]
    finally:
        server.stop()
