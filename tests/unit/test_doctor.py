"""The parts of ``burst doctor`` on real files, real commands and real texts; no lab."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from burstd.adapters.slurm import spank
from burstd.adapters.store.examine import StoreExamination, schema, unreadable
from burstd.adapters.store.migrate import migrate
from burstd.adapters.wireguard.examine import session
from burstd.app import check
from burstd.cli.doctor import text
from burstd.cli.examination import Doctor, Part, findings
from burstd.config.read import read
from burstd.domain.findings import Area, Finding, Grade
from burstd.domain.links import LinkName, LinkView

AREA = Area("here")


def grades(found: list[Finding]) -> dict[str, Grade]:
    return {finding.check: finding.grade for finding in found}


def one(found: list[Finding], check: str) -> Finding:
    (finding,) = (f for f in found if f.check == check)
    return finding


# --- the state directory and the ledger


@pytest.fixture
def state(tmp_path: Path) -> Path:
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    with create_engine(f"sqlite:///{directory}/ledger.db").begin() as db:
        migrate(db)
    return directory


def examined(directory: Path) -> list[Finding]:
    return list(StoreExamination(directory, "")())


def test_a_fresh_ledger_is_well_and_examining_it_leaves_no_trace(state: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in state.iterdir()}
    found = examined(state)
    assert {"directory", "disk space", "file system", "ledger", "schema"} == set(grades(found))
    assert Grade.FAILED not in grades(found).values()
    assert "quick_check ok" in one(found, "ledger").seen
    assert before == {path.name: path.stat().st_mtime_ns for path in state.iterdir()}


def test_a_ledger_with_a_write_ahead_log_is_examined_without_a_trace_too(state: Path) -> None:
    db = sqlite3.connect(state / "ledger.db")
    db.execute("pragma journal_mode=wal")
    db.execute("insert into facts values ('frozen', 'somebody')")
    db.commit()
    during = examined(state)  # somebody has it open
    db.close()
    assert ["ledger.db"] == [path.name for path in state.iterdir()]
    after = examined(state)
    assert ["ledger.db"] == [path.name for path in state.iterdir()]
    assert (Grade.OK, Grade.OK) == (one(during, "ledger").grade, one(after, "ledger").grade)


def test_a_ledger_that_a_crash_left_half_written_is_burstds_to_repair(state: Path) -> None:
    db = sqlite3.connect(state / "ledger.db", isolation_level=None)
    db.execute("pragma cache_size=1")
    db.execute("begin immediate")
    for number in range(200):
        db.execute("insert into facts values (?, ?)", (str(number), "x" * 3000))
    crashed = state / "crashed"
    crashed.mkdir(mode=0o700)
    for name in ("ledger.db", "ledger.db-journal"):
        (crashed / name).write_bytes((state / name).read_bytes())
    db.execute("rollback")
    db.close()
    assert Grade.FAILED not in grades(examined(crashed)).values()
    found = one(examined(crashed), "ledger")
    assert (Grade.UNKNOWN, True) == (found.grade, "repairs at its next start" in found.fix)
    assert (crashed / "ledger.db-journal").exists()


def test_a_damaged_ledger_fails_with_what_is_damaged(state: Path) -> None:
    ledger = state / "ledger.db"
    content = bytearray(ledger.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)  # all pages but the first
    ledger.write_bytes(content)
    found = one(examined(state), "ledger")
    assert Grade.FAILED is found.grade
    assert "restore the last backup" in found.fix


def test_what_is_no_ledger_at_all_fails(state: Path) -> None:
    (state / "ledger.db").write_bytes(b"no database" * 1000)
    assert Grade.FAILED is one(examined(state), "ledger").grade


def test_the_ledger_of_an_older_burstd_will_be_upgraded(state: Path) -> None:
    (state / "ledger.db").unlink()
    with sqlite3.connect(state / "ledger.db") as db:
        db.executescript((Path(__file__).parent.parent / "data" / "ledger-v1.sql").read_text())
    db.close()
    found = one(examined(state), "schema")
    assert (Grade.WARNING, True) == (found.grade, "upgrades it at its next start" in found.fix)


def test_the_ledger_of_a_later_burstd_fails() -> None:
    assert Grade.FAILED is schema(AREA, "99", ("2", "1")).grade


def test_before_the_first_start_there_is_no_ledger_and_that_is_well(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert Grade.OK is one(examined(tmp_path), "ledger").grade
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("complaint", "grade"),
    [
        ("interrupted", Grade.UNKNOWN),
        ("database is locked", Grade.UNKNOWN),
        ("unable to open database file", Grade.UNKNOWN),
        ("attempt to write a readonly database", Grade.UNKNOWN),
        ("database disk image is malformed", Grade.FAILED),
        ("file is not a database", Grade.FAILED),
    ],
)
def test_only_damage_is_a_failure(complaint: str, grade: Grade) -> None:
    assert grade is unreadable(AREA, complaint).grade


def test_a_directory_that_others_may_enter_fails(state: Path) -> None:
    state.chmod(0o755)
    found = one(examined(state), "directory")
    assert (Grade.FAILED, f"chmod 700 {state}") == (found.grade, found.fix)


def test_a_directory_that_is_not_there_fails_and_is_all_that_is_told(tmp_path: Path) -> None:
    assert {"directory": Grade.FAILED} == grades(examined(tmp_path / "none"))


def test_a_network_file_system_fails(state: Path, tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"9 22 0:9 / {state} rw - nfs4 server:/export rw\n")
    found = one(list(StoreExamination(state, "", mounts)()), "file system")
    assert (Grade.FAILED, True) == (found.grade, "lies on nfs4" in found.seen)


def test_a_database_server_that_does_not_answer_fails(state: Path) -> None:
    examination = StoreExamination(state, "postgresql://burstd@127.0.0.1:1/burstd")
    assert Grade.FAILED is one(list(examination()), "schema").grade


# --- the plugin on this machine


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    for name in ("burst_spank.so", "agent"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "agent").chmod(0o755)
    conf = tmp_path / "plugstack.conf"
    conf.write_text(f"required {tmp_path}/burst_spank.so agent={tmp_path}/agent\n")
    return conf


def test_a_plugin_that_is_there_is_well(stack: Path) -> None:
    assert Grade.OK is spank.examine(AREA, stack).grade


def test_a_line_in_an_included_file_is_read(stack: Path) -> None:
    (stack.parent / "conf.d").mkdir()
    stack.rename(stack.parent / "conf.d" / "burst.conf")
    stack.write_text("include conf.d/*.conf\n")
    assert Grade.OK is spank.examine(AREA, stack).grade


@pytest.mark.parametrize("missing", ["plugstack.conf", "burst_spank.so", "agent"])
def test_what_is_missing_fails(stack: Path, missing: str) -> None:
    (stack.parent / missing).unlink()
    found = spank.examine(AREA, stack)
    assert (Grade.FAILED, True) == (found.grade, missing in found.seen)


def test_an_agent_that_is_not_executable_fails(stack: Path) -> None:
    (stack.parent / "agent").chmod(0o644)
    assert "chmod 755" in spank.examine(AREA, stack).fix


def test_an_optional_plugin_warns(stack: Path) -> None:
    stack.write_text(stack.read_text().replace("required", "optional"))
    assert Grade.WARNING is spank.examine(AREA, stack).grade


# --- links


@pytest.mark.parametrize(
    ("up", "keyed", "grade"),
    [(True, True, Grade.OK), (False, False, Grade.UNKNOWN), (False, True, Grade.FAILED)],
)
def test_a_link_that_nobody_needs_is_no_failure(up: bool, keyed: bool, grade: Grade) -> None:
    seen = LinkView(LinkName("cloud"), up, keyed, datetime(2026, 1, 1, tzinfo=UTC))
    assert grade is session(AREA, "cloud", seen).grade


# --- together


def test_a_part_that_hangs_is_left_behind_and_the_others_are_told() -> None:
    over = threading.Event()

    def hangs() -> Iterator[Finding]:
        yield AREA.ok("first", "there")
        over.wait()

    def works() -> Iterator[Finding]:
        yield Area("there").ok("second", "there, too")

    parts = [Part("here", hangs, 0.2), Part("there", works, 30.0)]
    found = list(findings(parts))
    over.set()
    assert ["first", "deadline", "second"] == [finding.check for finding in found]
    assert Grade.UNKNOWN is found[1].grade


def test_a_part_that_breaks_is_told_like_any_other() -> None:
    def breaks() -> Iterator[Finding]:
        yield AREA.ok("first", "there")
        raise ValueError("a defect")

    (_, found) = findings([Part("here", breaks, 30.0)])
    assert (Grade.UNKNOWN, "ValueError: a defect") == (found.grade, found.seen)


def test_what_is_well_takes_one_line_and_the_rest_says_what_to_do() -> None:
    assert ["  ok       a: b"] == text(AREA.ok("a", "b"))
    assert ["  FAILED   a: b", "           fix: c"] == text(AREA.failed("a", "b", "c"))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_may_examine_a_directory_of_another_account(state: Path) -> None:
    os.chown(state, 12345, 12345)
    assert "belongs to 12345" in one(examined(state), "directory").seen
    assert Grade.OK is one(examined(state), "directory").grade


# --- licences


def test_each_licence_is_asked_for_as_the_configuration_says(tmp_path: Path) -> None:
    (tmp_path / "apps").mkdir()
    (tmp_path / "ca").touch()
    (tmp_path / "config.toml").write_text(
        f'[paths]\napplications = "{tmp_path}/apps"\nssh_authority = "{tmp_path}/ca"\n'
        '[licences.abaqus]\ncommand = ["false"]\n'
        '[licences.pod]\nsource = "static"\ntotal = 9\nkeep = 1\n'
    )
    settings = check(read(tmp_path / "config.toml"), tmp_path / "config.toml")
    parts = {part.name: part for part in Doctor(settings, tmp_path, opening=False).parts()}
    found = list(parts["licences"].examine())

    assert {"abaqus": Grade.FAILED, "pod": Grade.OK} == grades(found)
    assert "false ended with 1: without a word" == one(found, "abaqus").seen
    assert "0 of 9 in use, 1 kept for others" == one(found, "pod").seen
