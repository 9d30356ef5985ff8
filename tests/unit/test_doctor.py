"""The parts of ``burst doctor`` on real files, real commands and real texts; no lab."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

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
from burstd.domain.slurm import controller_time
from burstd_slurm import examine as far
from burstd_slurm.settings import SlurmTargetSettings
from tests.unit.test_findings import real

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


# --- the far Slurm

SETTINGS = SlurmTargetSettings(
    host="login", known_hosts=Path("/etc/x"), root=PurePosixPath("/scratch/burst"),
    partition="burst", users={"alice": "cae01", "bob": "cae02"}, max_time=timedelta(days=1),
)  # fmt: skip
NOW = 1795546135  #: the sdiag of 24.11 in tests/data


def far_texts(version: str = "24.11") -> dict[str, far.Answer]:
    now = str(controller_time(real(version, "sdiag")))
    return {
        "before": far.Answer(0, now),
        "after": far.Answer(0, now),
        "diagnostics": far.Answer(0, real(version, "sdiag")),
        "commands": far.Answer(0, f"slurm-wlm {version}.1"),
        "config": far.Answer(0, real(version, "config")),
        "rights": far.Answer(0, "Operator"),
        "partition": far.Answer(0, real(version, "partition")),
        "nodes": far.Answer(0, "2|64|250000|(null)\n4|32|500000|gpu:a100:4(S:0-1),tmp:1"),
        "root": far.Answer(0, "755 burst"),
        "runs": far.Answer(0, "1777 burst"),
        "disk": far.Answer(0, _DF),
        "user:cae01": far.Answer(0, "2001"),
        "user:cae02": far.Answer(0, "2002"),
    }


_DF = """\
Filesystem     1024-blocks     Used Available Capacity Mounted on
/dev/vda         264212084 32418388  73972524      31% /scratch"""


def judged(told: dict[str, far.Answer], settings: SlurmTargetSettings = SETTINGS) -> list[Finding]:
    return list(far.judge(AREA, settings, told))


@pytest.mark.parametrize("version", ["22.05", "24.11"])
def test_a_far_slurm_that_suits_is_well(version: str) -> None:
    assert {Grade.OK} == set(grades(judged(far_texts(version))).values())


@pytest.mark.parametrize(
    ("name", "code", "said", "check", "grade"),
    [
        ("config", 1, "Unable to contact slurm controller", "slurmctld", Grade.FAILED),
        ("rights", 0, "None", "rights", Grade.FAILED),
        ("rights", 1, "slurmdbd: Connection refused", "rights", Grade.UNKNOWN),
        ("partition", 1, "Partition burst not found", "partition burst", Grade.FAILED),
        ("partition", 124, "", "partition burst", Grade.UNKNOWN),
        ("root", 1, "stat: No such file or directory", "directory root", Grade.FAILED),
        ("root", 0, "755 root", "directory root", Grade.FAILED),
        ("root", 0, "700 burst", "directory root", Grade.FAILED),
        ("runs", 0, "755 burst", "directory runs", Grade.FAILED),
        ("runs", 0, "777 burst", "directory runs", Grade.FAILED),
        ("disk", 1, "df: no file systems", "disk space", Grade.UNKNOWN),
        ("disk", 0, _DF.replace("73972524", "60000"), "disk space", Grade.FAILED),
        ("diagnostics", 1, "", "clock of slurmctld", Grade.UNKNOWN),
        ("before", 0, f"{NOW - 1000}", "clock of slurmctld", Grade.OK),  # a slow answer
        ("user:cae02", 1, "id: no such user", "users", Grade.FAILED),
    ],
)
def test_what_is_wrong_there_is_named(
    name: str, code: int, said: str, check: str, grade: Grade
) -> None:
    told = far_texts() | {name: far.Answer(code, said)}
    assert grade is one(judged(told), check).grade


def test_a_far_controller_with_another_clock_than_its_login_node() -> None:
    told = far_texts() | dict.fromkeys(("before", "after"), far.Answer(0, f"{NOW - 3600}"))
    assert "3600 s ahead of" in one(judged(told), "clock of slurmctld").seen


def test_a_partition_that_is_shorter_than_what_is_sent_warns() -> None:
    shown = real("24.11", "partition").replace("MaxTime=UNLIMITED", "MaxTime=1-00:00:00")
    told = far_texts() | {"partition": far.Answer(0, shown)}
    assert Grade.WARNING is one(judged(told), "limits of burst").grade
    shorter = SETTINGS.model_copy(update={"max_time": timedelta(hours=23)})
    assert Grade.OK is one(judged(told, shorter), "limits of burst").grade


@pytest.mark.parametrize(
    ("settings", "trouble"),
    [
        ({"node_cores": 64, "node_memory": 500_000, "max_gpus": 16, "gpu_types": ("a100",)}, ""),
        ({"node_cores": 128}, "settings.node_cores is 128, there are 64"),
        ({"node_memory": 512_000}, "settings.node_memory is 512000, there are 500000"),
        ({"max_gpus": 17}, "settings.max_gpus is 17, there are 16"),
        ({"max_gpus": 1, "gpu_types": ("a100", "h100")}, "no node has GPUs of type h100"),
    ],
)
def test_what_is_promised_of_nodes_and_is_not_there_warns(
    settings: dict[str, object], trouble: str
) -> None:
    found = one(judged(far_texts(), SETTINGS.model_copy(update=settings)), "nodes of burst")
    assert (Grade.WARNING if trouble else Grade.OK) is found.grade
    assert trouble in found.seen
    if not trouble:
        assert "6, the largest has 64 CPUs and 500000 MiB; 16 GPUs" == found.seen


@pytest.mark.parametrize("said", ["", "2|64", "sinfo: error: Unable to contact"])
def test_nodes_that_nobody_tells_of_are_not_known(said: str) -> None:
    told = far_texts() | {"nodes": far.Answer(0, said)}
    assert Grade.UNKNOWN is one(judged(told), "nodes of burst").grade


def test_the_questions_are_a_script_that_any_shell_runs(tmp_path: Path) -> None:
    """Slurm is not here: its questions fail, each on its own; the others are answered."""
    (tmp_path / "runs").mkdir(mode=0o700)
    argv = ["sh", "-c", far.QUESTIONS, "sh", str(tmp_path), "hpc", "burst", "root", "no"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    told = far.answers(done.stdout)
    assert {"root", "runs", "disk", "user:root"} == {
        name for name, answer in told.items() if answer.code == 0
    }
    assert told["runs"].text.startswith("700 ")
    assert {"commands", "config", "user:no"} >= {n for n, a in told.items() if a.code}


def test_an_answer_that_was_cut_off_is_none() -> None:
    assert {} == far.answers("")
    assert Grade.FAILED is one(judged({}), "slurmctld").grade


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
