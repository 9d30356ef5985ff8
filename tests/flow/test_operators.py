"""An operator's commands against a daemon's real socket: audit, freeze, thaw."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from burstd.api.desk import Desk
from burstd.api.server import ApiServer
from burstd.cli import client
from burstd.cli.burst import app
from burstd.domain.burst import Stage
from burstd.domain.jobs import JobKey
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


def test_freeze_stops_new_bursts_at_once_and_thaw_lets_them_begin(scene: Scene) -> None:
    assert (0, True) == _starts(burst("freeze", "--why", "new & 100 % cloud"), "frozen by " + ME)
    scene.slurm.submit(name="late", minutes=120)
    scene.turn(5)

    assert () == scene.store.open_bursts()
    verdict = scene.store.verdict(JobKey("onprem", 2))
    assert verdict is not None
    assert "frozen" in verdict.text
    assert "new & 100 % cloud" in burst("status")[1]
    assert 0 == burst("thaw")[0]
    assert Stage.RUNNING is scene.until(Stage.RUNNING, "2").stage


def test_what_is_under_way_goes_on_when_frozen() -> None:
    scene = Scene()
    scene.slurm.submit(name="beam", minutes=120)
    scene.until(Stage.STAGING_IN)
    scene.store.freeze("root", "")

    assert Stage.SETTLED is scene.finish().stage


def _starts(answer: tuple[int, str], words: str) -> tuple[int, bool]:
    return answer[0], answer[1].startswith(words)


def test_only_an_operator_reads_it_freezes_and_thaws(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(scene.world, scene.memory, frozenset(), scene.clock.now())
    server = ApiServer(desk, tmp_path / "t")
    server.start()
    try:
        monkeypatch.setattr(client, "SOCKET", str(tmp_path / "t"))
        assert [6, 6, 6] == [burst(*w)[0] for w in (("audit", "verify"), ("freeze",), ("thaw",))]
        assert "" == scene.store.ledger().frozen
    finally:
        server.stop()
