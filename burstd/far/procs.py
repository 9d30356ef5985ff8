"""The processes below us, as /proc tells."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Optional


@dataclass(frozen=True)
class Process:
    """A process; `ids` are its process ids from our namespace inwards."""

    pid: int
    parent: int
    ids: tuple[int, ...]
    state: str

    @property
    def inside(self) -> bool:
        """Whether it lives in a process namespace below ours and is not that one's init."""
        return len(self.ids) > 1 and self.ids[-1] != 1


def _read(pid: int) -> Optional[Process]:
    facts: dict[str, str] = {}
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as stream:
            for line in stream:
                name, _, value = line.partition(":")
                facts[name] = value.strip()
    except OSError:  # ended meanwhile
        return None
    if "PPid" not in facts:
        return None
    ids = tuple(int(number) for number in facts.get("NSpid", str(pid)).split())
    return Process(pid, int(facts["PPid"]), ids, facts.get("State", "?")[:1])


def descendants(root: int, spare: Collection[int] = ()) -> list[Process]:
    """All processes below `root`, parents first, but for the spared ones and what is below them."""
    found = [p for p in map(_read, map(int, filter(str.isdigit, os.listdir("/proc")))) if p]
    below: dict[int, list[Process]] = {}
    for process in found:
        below.setdefault(process.parent, []).append(process)
    order: list[Process] = []
    heads = [root]
    while heads:
        for process in below.get(heads.pop(), ()):
            if process.pid not in spare:
                order.append(process)
                heads.append(process.pid)
    return order


def send(processes: Collection[Process], signum: int) -> None:
    """Signals each of them; those that are gone are no error."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, signum)


def sweep(
    spare: Collection[int], reap: Callable[[], None], pulse: Callable[[], None], kill: int
) -> None:
    """Kills everything below us but the spared, until nothing is left. `reap` collects the dead."""
    while True:
        reap()
        left = [p for p in descendants(os.getpid(), spare) if p.state != "Z"]
        if not left and not descendants(os.getpid(), spare):
            return
        send(left, kill)
        pulse()
        time.sleep(0.005)  # grandchildren give no signal when they die
