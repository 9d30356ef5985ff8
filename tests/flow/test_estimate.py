"""``burst estimate`` judges a job that is not submitted, and touches nothing."""

from __future__ import annotations

import json
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from burstd.api import estimates
from burstd.cli import client
from burstd.cli.burst import app
from burstd.domain.classes import DataClass, DataRules, Label
from burstd.ports.errors import Unreachable
from burstd.testing.simulators import in_file
from tests.flow.conftest import Serve
from tests.flow.scene import Scene

SBATCH = """#!/bin/sh
case "$*" in *refused*) echo "sbatch: error: allocation failure: no" >&2; exit 1;; esac
echo "sbatch: Job 9 to start at $START using $CPUS processors on nodes c[1-2] in partition cae" >&2
"""
SCONTROL = """#!/bin/sh
echo "PartitionName=cae DefaultTime=NONE MaxTime=1-00:00:00 State=UP"
"""
SACCTMGR = "#!/bin/sh\necho phys\n"


@pytest.fixture
def scene(tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A queue below its marks; sbatch, scontrol and sacctmgr answer as Slurm's do."""
    scene = Scene(database=in_file(tmp_path / "ledger.db"))
    serve(scene)
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name, text in (("sbatch", SBATCH), ("scontrol", SCONTROL), ("sacctmgr", SACCTMGR)):
        (bin_ / name).write_text(text)
        (bin_ / name).chmod(stat.S_IRWXU)
    work = tmp_path / "work"
    work.mkdir()
    (work / "beam.inp").write_text("*STEP\n")
    (work / "run.sh").write_text("#!/bin/sh\n#SBATCH --time=2:00:00\nccx beam\n")
    monkeypatch.chdir(work)
    monkeypatch.setenv("PATH", f"{bin_}:/usr/bin:/bin")
    monkeypatch.setenv("START", str(int(scene.clock.now().timestamp()) + 7200))
    monkeypatch.setenv("CPUS", "8")
    return scene


def estimate(*words: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(app, ["estimate", "--json", *words])
    found: dict[str, Any] = json.loads(done.output) if done.output.startswith("{") else {}
    return done.exit_code, found


def test_one_that_would_leave_is_told_where_to_when_at_what_cost_and_with_which_files(
    scene: Scene,
) -> None:
    code, found = estimate("run.sh")

    assert 0 == code
    assert (1, 1, "calculix") == (found["leaves"], found["of"], found["application"])
    (offer,) = found["offers"]
    assert "cloud" == offer["target"]
    assert 7200 + 300 == offer["over_in_s"]
    assert {"by": "slurm", "starts_in_s": [7200.0] * 3, "over_in_s": 14400.0} == found["here"]
    assert [[str(Path.cwd() / "beam.inp"), 6]] == found["files"]["files"]
    assert () == scene.store.bursts()
    assert 0 == len(scene.slurm.jobs)


def test_one_that_would_stay_ends_with_3_and_says_why(scene: Scene) -> None:
    (Path.cwd() / "run.sh").write_text("#!/bin/sh\n#BURST mode=never\nccx beam\n")
    code, found = estimate("run.sh")

    assert (3, 0) == (code, found["leaves"])
    assert "wish" in [step["rule"] for step in found["steps"] if not step["holds"]]


def test_without_a_limit_the_partitions_counts(scene: Scene) -> None:
    (Path.cwd() / "run.sh").write_text("#!/bin/sh\nccx beam\n")

    assert 86400 + 300 == estimate("run.sh")[1]["offers"][0]["over_in_s"]


def test_an_array_is_judged_whole_and_its_costs_are_those_of_a_task(scene: Scene) -> None:
    assert 3 == estimate("--array=1-3", "run.sh")[1]["of"]
    lines = CliRunner().invoke(app, ["estimate", "--array=1-3", "run.sh"]).output.splitlines()
    (offer,) = (line for line in lines if line.startswith("cloud:"))
    assert offer.endswith(", each of 3 tasks")


def test_people_read_lines_and_mistakes_are_told(scene: Scene) -> None:
    done = CliRunner().invoke(app, ["estimate", "--files", "run.sh"])
    assert 0 == done.exit_code
    for words in ("starts in 2 h 00 min", "cloud:", "over in 2 h 05 min", "1 would leave"):
        assert words in done.output
    assert str(Path.cwd() / "beam.inp") in done.output

    missing = CliRunner().invoke(app, ["estimate", "--time=1", "nothing.sh"])
    assert (2, True) == (missing.exit_code, "nothing.sh: No such file" in missing.output)
    refused = CliRunner().invoke(app, ["estimate", "run.sh", "refused"])
    assert (1, True) == (refused.exit_code, "allocation failure: no" in refused.output)


def test_slurm_is_asked_no_more_often_than_its_users_ask(scene: Scene) -> None:
    scene.turn()
    asked = len(scene.slurm.commands)
    for _ in range(3):
        assert 0 == estimate("run.sh")[0]
    assert asked == len(scene.slurm.commands)

    scene.clock.forward(seconds=31)
    estimate("run.sh")
    assert asked < len(scene.slurm.commands)


def test_names_of_files_do_not_speak_to_the_terminal(scene: Scene) -> None:
    (Path.cwd() / "beam.inp").write_bytes(b"*INCLUDE, INPUT=m\x1b[2J.msh\n")
    Path(os.fsdecode(bytes(Path.cwd()) + b"/m\x1b[2J.msh")).write_text("")
    done = CliRunner().invoke(app, ["estimate", "--files", "run.sh"])

    assert 0 == done.exit_code, done.output
    assert "m?[2J.msh" in done.output


def test_inputs_that_are_missing_keep_it_here(scene: Scene) -> None:
    (Path.cwd() / "beam.inp").write_text("*INCLUDE, INPUT=gone.msh\n")
    code, found = estimate("run.sh")

    assert 3 == code
    assert "gone.msh" in found["files"]["refused"]


def test_what_its_nodes_must_have_counts_and_a_whole_node_costs_a_whole_node(
    scene: Scene,
) -> None:
    """As it will once it is submitted: by --exclusive, --mem and hetjob."""
    node = replace(scene.target.capabilities, node_cores=64, node_memory=256 * 1024)
    scene.target.capabilities = node
    (shared,), (whole,) = (estimate(*w, "run.sh")[1]["offers"] for w in ((), ("--exclusive",)))
    assert 16 * Decimal(shared["worst_case"]) == Decimal(whole["worst_case"])

    code, found = estimate("--mem=512G", "run.sh")
    assert (3, []) == (code, found["offers"])
    assert 0 == estimate("--mem=128G", "run.sh")[0]
    (Path.cwd() / "run.sh").write_text("#!/bin/sh\n#SBATCH -t60\n#SBATCH hetjob\nccx beam\n")
    several = CliRunner().invoke(app, ["estimate", "run.sh"])
    assert (3, True) == (several.exit_code, "heterogeneous jobs are not bursted" in several.output)


def test_inputs_whose_data_may_not_go_there_keep_it_here(scene: Scene) -> None:
    """As they would once it is submitted: its agent looks at each of them."""
    vault = Path.cwd().parent / "vault"
    vault.mkdir()
    (vault / "part.inp").write_text("*NODE\n")
    (Path.cwd() / "beam.inp").write_text("*INCLUDE, INPUT=../vault/part.inp\n")
    assert 2 == len(estimate("run.sh")[1]["files"]["files"])

    labels = (Label("secret", paths=(f"{vault}/*",)),)
    rules = DataRules((DataClass("secret", frozenset()),), labels, DataClass("open"))
    scene.world.rules.policy = replace(scene.policy, data=rules)
    code, found = estimate("run.sh")

    assert 3 == code
    said = f"the input {vault}/part.inp is of class secret, whose data may not go to cloud"
    assert said == found["files"]["refused"]
    lines = CliRunner().invoke(app, ["estimate", "run.sh"]).output.splitlines()
    assert f"files:     it would stay: {said}" in lines


@pytest.mark.parametrize(
    "odd",
    [
        {"time_limit_s": float("inf")},
        {"time_limit_s": float("nan")},
        {"time_limit_s": 1e300},
        {"time_limit_s": 1e-9},
        {"time_limit_s": 8.6e13},
        {"starts_at": 1e300},
        {"starts_at": float("nan")},
        {"starts_at": -1e15},
        {"cpus": 10**400},
        {"cpus": 10**30},
        {"nodes": 10**400},
        {"tasks": 10**9},
        {"name": "\ud800"},
        {"licences": "cae:9999999999999999999999"},
        {"comment": "burst:max-cost=1e999999999"},
        {"comment": "burst:deadline=0001-01-01T00:00+23:59"},
    ],
)
def test_odd_numbers_are_refused_or_answered(scene: Scene, odd: dict[str, Any]) -> None:
    scene.slurm.submit(user="bob", name="busy", minutes=120)
    scene.slurm.slots = 1
    scene.slurm.schedule()
    body = {"script": "ccx b", "name": "b", "partition": "cae", "cpus": 1, "time_limit_s": 60.0}
    try:
        client.ask("/v1/estimate", "POST", {**body, **odd})
    except client.Answerless as error:
        assert "status 500" != str(error)


def test_one_is_answered_at_a_time(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else any user's loop takes every thread that agents are answered by."""
    at_once, most = 0, 0

    def slow(*_: object) -> None:
        nonlocal at_once, most
        at_once, most = at_once + 1, max(most, at_once + 1)
        time.sleep(0.05)
        at_once -= 1
        raise Unreachable("the queue cannot be read now")

    monkeypatch.setattr(estimates, "decide", slow)
    body = {"script": "ccx b", "name": "b", "partition": "cae", "cpus": 1, "time_limit_s": 60.0}

    def asks(_: int) -> None:
        with pytest.raises(client.Answerless, match="cannot be read now"):
            client.ask("/v1/estimate", "POST", body)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(asks, range(8)))
    assert 1 == most


def test_long_words_and_directories_that_are_not_there_are_told_plainly(scene: Scene) -> None:
    assert 0 == estimate("--comment", "x" * 300, "run.sh")[0]
    done = CliRunner().invoke(app, ["estimate", "--chdir=/nowhere/at/all", "run.sh"])

    assert (3, True) == (done.exit_code, "it would stay: /nowhere/at/all" in done.output)


def test_of_a_throttled_array_no_more_would_leave(scene: Scene) -> None:
    _, found = estimate("--array=1-5%2", "run.sh")
    assert (2, 5) == (found["leaves"], found["of"])
