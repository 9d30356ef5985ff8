"""The far Slurm as ``burst doctor`` judges it, and what is promised of its nodes."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path, PurePosixPath

import pytest

from burstd.domain.findings import Finding, Grade
from burstd.domain.slurm import controller_time
from burstd_slurm import examine as far
from burstd_slurm.settings import SlurmTargetSettings
from tests.unit.test_doctor import AREA, grades, one
from tests.unit.test_findings import real

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
    assert {"root", "runs", "disk", "groups", "user:root", "groups:root"} == {
        name for name, answer in told.items() if answer.code == 0
    }
    assert told["runs"].text.startswith("700 ")
    assert {"commands", "config", "user:no", "groups:no"} >= {n for n, a in told.items() if a.code}


def test_an_answer_that_was_cut_off_is_none() -> None:
    assert {} == far.answers("")
    assert Grade.FAILED is one(judged({}), "slurmctld").grade


def test_who_is_not_in_the_stores_group_is_named() -> None:
    settings = SETTINGS.model_copy(update={"store_group": "mesh"})
    told = far_texts() | {
        "groups": far.Answer(0, "burst mesh"),
        "groups:cae01": far.Answer(0, "cae01 mesh"),
        "groups:cae02": far.Answer(0, "cae02 meshes"),
    }
    found = one(judged(told, settings), "store group")
    assert (Grade.FAILED, "not in group mesh: cae02") == (found.grade, found.seen)
    told["groups:cae02"] = far.Answer(0, "mesh cae02")
    assert Grade.OK is one(judged(told, settings), "store group").grade
    assert "store group" not in {found.check for found in judged(told)}
