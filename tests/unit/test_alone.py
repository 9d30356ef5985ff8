"""One burstd on one state, also after one that was killed in the middle of something."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from burstd.cli import service

HOLDS = """
import os, sys, time
from pathlib import Path
from burstd.cli.service import _alone
assert _alone(Path(sys.argv[1])) is not None
if os.fork() == 0:  # as a child between fork and exec
    time.sleep(60)
    os._exit(0)
print("held", flush=True)
time.sleep(60)
"""
LISTS = """
from burstd.adapters.slurm.commands import Slurm
Slurm().run(["true"])
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    """A process with a child, which holds the state directory."""
    argv = [sys.executable, "-c", HOLDS, str(tmp_path)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    assert "held\n" == process.stdout.readline()
    return process


def test_a_second_one_is_refused_and_one_after_a_killed_one_is_not(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    try:
        assert service._alone(tmp_path) is None
        holder.kill()
        holder.wait()
        lock = service._alone(tmp_path)
        assert lock is not None  # though a child of it lives on, with all that was open
        os.close(lock)
    finally:
        os.killpg(holder.pid, signal.SIGKILL)
        assert holder.stdout is not None
        holder.stdout.close()


def test_a_socket_at_which_nobody_answers_is_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PATIENCE", 0.3)
    path = tmp_path / "burstd.sock"
    assert not service._answers(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        assert not service._answers(path)
        listener.listen()
        assert not service._answers(path)


def test_a_socket_at_which_somebody_answers_is_theirs(tmp_path: Path) -> None:
    path = tmp_path / "burstd.sock"

    def answer(listener: socket.socket) -> None:
        caller, _ = listener.accept()
        with caller:
            caller.recv(100)
            caller.sendall(b"HTTP/1.0 404 Not Found\r\n\r\n")

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=answer, args=(listener,), daemon=True)
        thread.start()
        assert service._answers(path)
        thread.join(5)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_programs_are_spawned_and_not_vforked(tmp_path: Path) -> None:
    told = tmp_path / "told"
    argv = ["strace", "-f", "-qq", "-o", str(told), "-e", "trace=process"]
    subprocess.run([*argv, sys.executable, "-c", LISTS], check=True, timeout=60)
    text = told.read_text()
    assert "vfork(" not in text
    assert 'execve("/usr/bin/true"' in text or 'execve("/bin/true"' in text
