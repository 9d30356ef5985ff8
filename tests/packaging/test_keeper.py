"""burst-keep, compiled and run: a stand-in ends when its agent says so, and not before."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[2] / "plugins/slurm"

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")

#: An agent of a few lines: counts its lives in the memory that it is given.
AGENT = """
import os, signal, sys, time
memory, end = os.environ["BURST_AGENT_DIR"], int(os.environ["BURST_AGENT_END"])
life = len(os.listdir(memory)) + 1
open(f"{memory}/{life}", "w").close()
print(life, os.environ.get("BURST_AGENT_TERM", "-"), flush=True)
def say(code, number=0):
    os.write(end, bytes((code, number)))
    sys.exit(0)
"""


@pytest.fixture(scope="module", autouse=True)
def memories() -> Iterator[None]:
    """What a stand-in leaves in /tmp where its agent does not remove it, as none here does."""
    job = str(10**12 + os.getpid())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_JOB_ID", job)
        yield
    for left in Path("/tmp").glob(f"burst-agent-{job}-*"):
        shutil.rmtree(left)


def compiled(folder: Path, *options: str) -> Path:
    program = folder / "burst-keep"
    words = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(program), *options]
    subprocess.run([*words, str(SOURCES / "burst_keep.c")], check=True)
    return program


@pytest.fixture(scope="module")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds between two short lives are for a service; here it is one."""
    return compiled(tmp_path_factory.mktemp("keeper"), "-DSHORTEST_LIFE=1")


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As it is installed: its pause outlasts whatever a busy machine does to a test's."""
    return compiled(tmp_path_factory.mktemp("patient"))


def agent(keeper: Path, body: str) -> list[str]:
    return [str(keeper), sys.executable, "-c", f"{AGENT}{body}"]


def run(keeper: Path, body: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        agent(keeper, body), capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize(
    ("code", "number", "ends"), [(0, 0, 0), (42, 0, 42), (0, 9, -9), (0, 11, -11)]
)
def test_it_ends_as_its_agent_said(keeper: Path, code: int, number: int, ends: int) -> None:
    assert (ends, ["1 -"]) == run(keeper, f"say({code}, {number})")


@pytest.mark.parametrize(
    "death", ["os.kill(os.getpid(), 9)", "sys.exit(1)", "sys.exit(0)", "raise OSError"]
)
def test_an_agent_that_ends_without_a_word_begins_again_with_its_memory(
    keeper: Path, death: str
) -> None:
    assert (7, ["1 -", "2 -", "3 -"]) == run(
        keeper,
        f"say(7) if life == 3 else {death}"
        if "raise" not in death
        else f"if life < 3: {death}\nsay(7)",
    )


def test_a_program_that_cannot_be_started_is_tried_again(keeper: Path, tmp_path: Path) -> None:
    late = tmp_path / "late"
    process = subprocess.Popen([str(keeper), str(late)], stderr=subprocess.PIPE, text=True)
    time.sleep(0.5)
    late.write_text("#!/bin/sh\nprintf '\\005\\000' >&$BURST_AGENT_END\n")
    late.chmod(0o755)
    said = process.communicate(timeout=20)[1]
    assert (5, True) == (process.returncode, "No such file or directory; waiting" in said)


def test_the_next_agent_waits_until_a_whole_life_is_over(keeper: Path) -> None:
    """Also where the clock's second turns in that life: they are not counted by their numbers."""
    time.sleep((0.9 - time.monotonic()) % 1)
    began = time.monotonic()
    body = "print(time.monotonic(), flush=True); time.sleep(0.15); say(0) if life == 2 else 1 / 0"
    lines = run(keeper, body)[1]
    assert ["1 -", "2 -"] == lines[::2]
    assert began + 1 <= float(lines[3])


def test_a_term_while_no_agent_lives_is_told_to_the_next(patient: Path) -> None:
    body = "say(3) if life == 2 else os.kill(os.getpid(), 9)"
    process = subprocess.Popen(agent(patient, body), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "1 -\n" == process.stdout.readline()
    while any(map(alive, children(process.pid))):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)  # it is dead, and the next one is not born yet
    assert "2 1\n" == process.communicate(timeout=20)[0]
    assert 3 == process.returncode


def test_behind_a_term_too_agents_that_die_at_once_begin_anew_seldom(patient: Path) -> None:
    body = "print(flush=True); os.kill(os.getpid(), 9)"
    process = subprocess.Popen(agent(patient, body), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    time.sleep(2)
    process.kill()
    lives = process.communicate(timeout=20)[0].count(" 1\n")
    assert 1 <= lives <= 5


def test_a_term_ends_neither_the_keeper_nor_an_agent_that_handles_it(keeper: Path) -> None:
    body = "signal.signal(15, lambda *_: say(9)); print('up', flush=True); time.sleep(20)"
    process = subprocess.Popen(
        agent(keeper, body), stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert ["1 -\n", "up\n"] == [process.stdout.readline() for _ in range(2)]
    os.killpg(process.pid, signal.SIGTERM)  # Slurm's reaches every process of the job
    process.communicate(timeout=20)
    assert 9 == process.returncode


def test_when_its_parent_dies_it_dies_and_its_agent_too(keeper: Path, tmp_path: Path) -> None:
    """The parent is slurmstepd; a stand-in of which Slurm knows nothing would be a second one."""
    step = (
        "import subprocess, sys; child = subprocess.Popen(sys.argv[1:]); "
        "print(child.pid, flush=True); child.wait()"
    )
    body = "print('pid', os.getpid(), flush=True); time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", step, *agent(keeper, body)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    pids = [int(process.stdout.readline())]
    process.stdout.readline()
    pids.append(int(process.stdout.readline().split()[1]))
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while any(map(alive, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] != "Z"
    except FileNotFoundError:
        return False
