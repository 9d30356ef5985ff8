"""burst-wait, compiled and run against a real Unix socket."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[2] / "plugins/slurm"

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


@pytest.fixture(scope="module")
def waiter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("waiter") / "burst-wait"
    words = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(program)]
    subprocess.run([*words, str(SOURCES / "burst_wait.c")], check=True)
    return program


@contextmanager
def answering(path: Path, answer: bytes) -> Iterator[list[bytes]]:
    """Takes one question and answers so; yields what was asked."""
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()

        def serve() -> None:
            connection, _ = sock.accept()
            with connection:
                asked.append(connection.recv(1000))
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield asked
        thread.join()


def waits(waiter: Path, path: Path, seconds: int) -> float:
    began = time.monotonic()
    words = [str(waiter), str(path), "7", "3", str(seconds), "--", "/bin/true"]
    assert 0 == subprocess.run(words, check=False, timeout=30).returncode
    return time.monotonic() - began


def test_an_answer_ends_the_wait(waiter: Path, tmp_path: Path) -> None:
    with answering(tmp_path / "s", b"HTTP/1.1 204 No Content\r\n\r\n") as asked:
        assert 1 > waits(waiter, tmp_path / "s", 60)
    assert asked[0].startswith(b"GET /v1/wait/7?version=3&seconds=60 HTTP/1.1\r\n")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 503 Service Unavailable\r\n\r\n", b""])
def test_an_answer_that_says_no_is_no_reason_to_hurry(
    waiter: Path, tmp_path: Path, answer: bytes
) -> None:
    """Else hundreds of agents start an interpreter each, over and over, while burstd is in need."""
    with answering(tmp_path / "s", answer):
        assert 1.5 < waits(waiter, tmp_path / "s", 60) < 10


def test_nobody_there_is_waited_for_too(waiter: Path, tmp_path: Path) -> None:
    assert 0.9 < waits(waiter, tmp_path / "none", 1) < 10


def test_term_wakes_the_program_and_tells_it(waiter: Path, tmp_path: Path) -> None:
    words = [str(waiter), str(tmp_path / "none"), "7", "3", "20", "--"]
    program = ["/bin/sh", "-c", "echo term=$BURST_AGENT_TERM"]
    process = subprocess.Popen([*words, *program], stdout=subprocess.PIPE, text=True)
    time.sleep(0.2)
    process.terminate()
    assert "term=1\n" == process.communicate(timeout=5)[0]


def test_a_term_that_falls_into_the_change_is_kept_for_the_program(
    waiter: Path, tmp_path: Path
) -> None:
    """It would end the stand-in without a word: the agent's handler is not in place yet."""
    words = [str(waiter), str(tmp_path / "none"), "7", "3", "1", "--"]
    program = [sys.executable, "-c", "import signal, time; print('up', flush=True); time.sleep(1);"
               "signal.signal(signal.SIGTERM, lambda *_: print('kept'));"
               "signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])"]  # fmt: skip
    process = subprocess.Popen([*words, *program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "up\n" == process.stdout.readline()
    process.terminate()
    assert "kept\n" == process.communicate(timeout=10)[0]


def test_a_term_that_came_before_the_waiter_wakes_it(waiter: Path, tmp_path: Path) -> None:
    words = [str(waiter), str(tmp_path / "none"), "7", "3", "20", "--"]
    program = ["/bin/sh", "-c", "echo term=$BURST_AGENT_TERM"]
    become = (
        "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]);"
        "os.kill(os.getpid(), signal.SIGTERM); os.execv(sys.argv[1], sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", become, *words, *program],
        capture_output=True, text=True, timeout=10, check=False,
    )  # fmt: skip
    assert "term=1\n" == done.stdout


def test_the_spank_plugin_takes_what_would_load_code_out_of_the_agents_environment() -> None:
    """It can't be run here without Slurm's headers: its list is compared."""
    text = (SOURCES / "burst_spank.c").read_text()
    names = ("LD_", "PYTHON", "BASH_ENV=", "GCONV_PATH=", "OPENSSL_", "BURST_AGENT_")
    assert [] == [name for name in names if f'"{name}"' not in text]
