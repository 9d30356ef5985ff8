"""An operator's commands against a daemon's real socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
from burstd.domain.targets import CHECKPOINTED
from burstd.testing.simulators import in_file
from tests.flow.conftest import ME, Serve
from tests.flow.scene import Scene


@pytest.fixture
def scene(tmp_path: Path, serve: Serve) -> Scene:
    """A burst from submit to settled, and the API of its daemon; we are an operator."""
    scene = Scene(database=in_file(tmp_path / "ledger.db"))
    scene.slurm.submit(name="beam", minutes=120)
    scene.finish()
    serve(scene)
    return scene


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


def test_only_an_operator_reads_it_freezes_and_thaws(scene: Scene, serve: Serve) -> None:
    serve(scene, operator=False)
    assert [6, 6, 6] == [burst(*w)[0] for w in (("audit", "verify"), ("freeze",), ("thaw",))]
    assert "" == scene.store.ledger().frozen


def test_return_says_what_became_of_the_job(scene: Scene) -> None:
    scene.slurm.submit(name="late", minutes=120)
    scene.until(Stage.STAGING_IN, "2")

    code, said = burst("return", "2", "--no-wait", "--why", "room")
    assert (0, "job 2 is on its way home") == (code, said[:24])
    with ticking(scene):
        assert (0, "job 2 is back in its own partition") == _last(burst("return", "2"))
    assert (3, "burst: burst ") == (burst("return", "1")[0], burst("return", "1")[1][:13])
    assert 4 == burst("return", "77")[0]


def test_return_of_what_runs_elsewhere_is_refused_and_cancel_ends_it(scene: Scene) -> None:
    scene.slurm.submit(name="late", minutes=120)
    scene.until(Stage.RUNNING, "2")
    code, said = burst("return", "2")
    assert (3, True) == (code, "burst cancel ends it there" in said)

    assert (0, True) == _starts(burst("cancel", "2"), "job 2 is being cancelled")
    scene.turn(20)
    assert "CANCELLED" == scene.slurm.job("2").state
    assert 3 == burst("cancel", "2")[0]


def test_what_can_save_its_state_is_stopped_where_it_runs_if_that_is_said(scene: Scene) -> None:
    script = "#!/bin/sh\n#BURST checkpoint=USR1\nccx late\n"
    for number in ("2", "3"):
        scene.slurm.submit(name="late", minutes=120, script=script)
        scene.until(Stage.RUNNING, number)
    scene.turn()
    code, said = burst("return", "2")
    assert (3, True) == (code, "burst return --checkpoint stops it there" in said)

    assert 0 == burst("return", "--checkpoint", "2", "--no-wait")[0]
    assert 0 == burst("return", "--checkpoint", "3", "--no-wait")[0]
    scene.turn(2)
    assert 2 == len(scene.target.signals)
    assert [False, False] == [_checkpointed(number) for number in ("2", "3")]
    for number, exit_code in (("2", CHECKPOINTED), ("3", 0)):
        scene.target.finish(scene.burst(number).work_key, "exited", exit_code)
    with ticking(scene):
        home = burst("return", "--checkpoint", "2")
        assert (0, "job 2 is back in its own partition") == _last(home)
        code, said = _last(burst("return", "--checkpoint", "3"))
    assert (3, True) == (code, said.startswith("burst: job 3 is settled"))
    assert [True, False] == [_checkpointed(number) for number in ("2", "3")]
    assert "\ncheckpointed  True\n" in burst("show", "2")[1]


def test_a_stop_that_only_the_runners_record_tells_of_is_one_too(scene: Scene) -> None:
    script = "#!/bin/sh\n#BURST checkpoint=USR1\nccx late\n"
    scene.slurm.submit(name="late", minutes=120, script=script)
    scene.until(Stage.RUNNING, "2")
    scene.turn()
    assert 0 == burst("return", "--checkpoint", "2", "--no-wait")[0]
    scene.turn(2)
    scene.target.finish(scene.burst("2").work_key, "exited", CHECKPOINTED)
    scene.target.crash()
    with ticking(scene):
        home = burst("return", "--checkpoint", "2")

    assert (0, "job 2 is back in its own partition") == _last(home)
    outcome = scene.burst("2").outcome
    assert (True, None) == (_checkpointed("2"), outcome and outcome.exit_code)


def _checkpointed(job: str) -> bool:
    """As ``burst show`` tells it."""
    return bool(json.loads(burst("show", job, "--json")[1])["burst"]["checkpointed"])


def test_return_all_waits_until_everything_is_home_and_stays_frozen(scene: Scene) -> None:
    for name in ("late", "later"):
        scene.slurm.submit(name=name, minutes=120)
    scene.agents.asleep = True  # or the clockwork may be faster than the command
    scene.until(Stage.CLAIMING, "3")
    with ticking(scene):
        code, said = burst("return-all", "--why", "storm", "--json")

    assert (0, []) == (code, json.loads(said)["returning"])
    assert {"cae"} == {scene.slurm.job(key).shown["Partition"] for key in ("2", "3")}
    assert "storm" in burst("status")[1]
    assert "wishes go home" in burst("status")[1]


def test_quarantine_is_listed_released_and_abandoned(scene: Scene) -> None:
    for name in ("late", "later"):
        scene.slurm.submit(name=name, minutes=120)
    scene.until(Stage.STAGING_IN, "3")
    assert "none\n" == burst("quarantine", "list")[1]
    assert 0 == burst("quarantine", "add", "2", "--why", "odd")[0]
    assert 0 == burst("quarantine", "add", "3")[0]
    scene.turn(5)
    assert (Stage.QUARANTINED, "odd") == (scene.burst("2").stage, scene.burst("2").cause[-3:])
    code, said = burst("quarantine", "list", "--json")
    assert ["2", "3"] == [b["job"] for b in json.loads(said)["quarantined"]]
    assert "staging_in" in burst("quarantine", "list")[1]
    assert "2 for a human" in burst("status")[1]

    assert (0, True) == _starts(burst("quarantine", "release", "2"), "burst ")
    assert (3, True) == _starts(burst("quarantine", "release", "2"), "burst: burst ")
    code, said = burst("quarantine", "abandon", scene.burst("3").id)
    assert (0, True, False) == (code, "scancel 3" in said, "--name" in said)
    scene.turn(2)
    assert (Stage.SUBMITTED, Stage.ABANDONED) == (scene.burst("2").stage, scene.burst("3").stage)
    told = [(r.actor, r.action) for r in scene.store.audit() if r.actor == ME]
    assert [
        (ME, f"burst.{verb}") for verb in ("Quarantined", "Quarantined", "Released", "Abandoned")
    ] == told


def test_a_user_gives_back_own_jobs_only_and_judges_nothing(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.slurm.submit(name="late", minutes=120)
    scene.until(Stage.STAGING_IN, "2")
    scene.slurm.submit(name="mine", minutes=120, user=ME)
    scene.target.users = {ME: "cae01", "alice": "cae01"}
    scene.until(Stage.STAGING_IN, "3")
    desk = Desk(scene.world, scene.memory, frozenset(), scene.clock.now())
    server = ApiServer(desk, tmp_path / "t")
    server.start()
    try:
        monkeypatch.setattr(client, "SOCKET", str(tmp_path / "t"))
        commands = (
            ("return", "2"), ("cancel", "2"), ("return-all",), ("quarantine", "add", "2"),
            ("quarantine", "abandon", "3"), ("return", "3", "--no-wait"),
        )  # fmt: skip
        assert [4, 4, 6, 6, 6, 0] == [burst(*words)[0] for words in commands]
    finally:
        server.stop()


@contextmanager
def ticking(scene: Scene) -> Iterator[None]:
    """The daemon's clockwork goes on while a command waits."""
    over = threading.Event()

    def turns() -> None:
        while not over.is_set():
            scene.turn()

    thread = threading.Thread(target=turns)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _last(answer: tuple[int, str]) -> tuple[int, str]:
    return answer[0], answer[1].splitlines()[-1]
