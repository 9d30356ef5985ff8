"""Processes of the lab: how to prove that one is ours, and how to end exactly those.

Everything the lab starts carries `BURSTD_LAB=<folder of this lab>` in the environment it was
started with, and everything inside a host lives in that host's PID namespace. A process is ours if
one of the two holds; a process number alone never counts, as numbers are used again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MARK = "BURSTD_LAB"
HOST_MARK = "BURSTD_LAB_HOST"

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A process by number and start time (clock ticks since boot).

    Together they never come again.
    """

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The process that has this number now, or None."""
        fields = _stat(pid)
        return cls(pid, int(fields[19])) if fields else None

    def alive(self) -> bool:
        """True while it runs. A zombie does not run."""
        fields = _stat(self.pid)
        return bool(fields) and int(fields[19]) == self.started and fields[0] not in "ZX"

    def signal(self, number: int) -> bool:
        """Send a signal if it is still the same process. False if it is gone."""
        try:
            # The descriptor pins the process: between the check and the signal its number can't
            # change hands.
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.alive():
                return False
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)
        return True

    def wait_gone(self, seconds: float) -> bool:
        """True as soon as it no longer runs; False if it still does after `seconds`."""
        end = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True


def marked(base: Path) -> list[tuple[Process, str]]:
    """All processes started by the lab at `base`, each with its host's name ("" for none).

    Never this process.
    """
    wanted = f"{MARK}={base}".encode()
    host_key = f"{HOST_MARK}=".encode()
    found = []
    for pid in _numbers():
        with contextlib.suppress(OSError):
            entries = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
            process = Process.of(pid)
            if wanted in entries and pid not in _lineage() and process:
                host = next((e[len(host_key) :] for e in entries if e.startswith(host_key)), b"")
                found.append((process, host.decode()))
    return found


def inside(namespace_of: Process) -> list[Process]:
    """All that run in the PID namespace of a host's first process, that one included."""
    wanted = pid_namespace(namespace_of.pid)
    if not wanted:
        return []
    same = (Process.of(pid) for pid in _numbers() if pid_namespace(pid) == wanted)
    # A zombie is still in the table: who restarts a daemon must not take it for running.
    return [process for process in same if process and process.alive()]


def pid_namespace(pid: int) -> str:
    """The PID namespace of a process; "" if it is gone."""
    try:
        return str((PROC / str(pid) / "ns" / "pid").readlink())
    except OSError:
        return ""


def name_of(process: Process) -> str:
    """The short name of a process (at most 15 characters); "" if it is gone."""
    try:
        return (PROC / str(process.pid) / "comm").read_text().strip()
    except OSError:
        return ""


def children(pid: int) -> list[int]:
    """The direct children of a process."""
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except OSError:
        return []


def mounts_below(folder: Path) -> list[Path]:
    """Mount points in our own mount namespace at or below `folder`, deepest first."""
    points = []
    for line in (PROC / "self" / "mountinfo").read_text().splitlines():
        point = Path(line.split()[4].encode().decode("unicode_escape"))
        if point.is_relative_to(folder):
            points.append(point)
    return sorted(points, key=lambda p: len(p.parts), reverse=True)


def end(processes: list[Process], seconds: float = 5.0) -> list[Process]:
    """Kill these and wait until they are gone. Returns those that are still there."""
    for process in processes:
        process.signal(signal.SIGKILL)
    return [process for process in processes if not process.wait_gone(seconds)]


def wait_reaped(processes: list[Process], seconds: float = 3.0) -> None:
    """Wait until not even a zombie is left of these, or the time is over.

    A zombie does no harm, but the process that reaps orphans may be slow, and a PID namespace
    lives as long as the zombie of its first process.
    """
    end_at = time.monotonic() + seconds
    while any(Process.of(process.pid) == process for process in processes):
        if time.monotonic() > end_at:
            return
        time.sleep(0.02)


def _numbers() -> Iterator[int]:
    return (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())


def _stat(pid: int) -> list[str]:
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return []
    # The name may hold blanks and brackets: what follows the last bracket is safe to split.
    return text.rpartition(")")[2].split()


def _lineage() -> set[int]:
    """This process and all it descends from: a caller may have our mark in its own environment."""
    pids, pid = set(), os.getpid()
    while pid > 1 and pid not in pids:
        pids.add(pid)
        fields = _stat(pid)
        pid = int(fields[1]) if fields else 0
    return pids
