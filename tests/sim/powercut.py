"""A landing, watched by strace(1): what would a power cut leave at each of its moments? And killed
at each of its system calls, and done again."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.sim.disk import REPORT, Disk
from tests.sim.landing_run import CHANGED, LIVE, MTIME, OUTPUT, SCENE, WORDS, Result, prepare

_BYTES = "write,pwrite64,ftruncate,fsync"
_NAMES = "openat,mkdirat,linkat,renameat,renameat2,unlinkat"
_CHANGES = f"{_BYTES},{_NAMES},fchmod,fchmodat,utimensat"
_ALL = f"{_CHANGES},close,dup,dup2,fcntl"
#: The calls at which a landing is killed; writes of data are many and alike.
_KILLS = ("mkdirat", "fsync", "linkat", "renameat", "unlinkat", "fchmod", "utimensat")


def power_cuts() -> Iterator[tuple[str, list[str]]]:
    """After every system call of a whole landing; then of those that were killed and repeated."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "job"
        disk = _disk(root)
        yield "power cut", [*_cut(disk, _watched(root)), *_compared(root)]
    for call in _KILLS:
        for nth in range(1, 100):
            killed, wrong = _killed_at(call, nth)
            if not killed:
                break
            yield f"landing killed at {call} {nth}", wrong


def _killed_at(call: str, nth: int) -> tuple[bool, list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "job"
        disk = _disk(root)
        first = _watched(root, f"inject={call}:signal=KILL:when={nth}")
        wrong = list(_cut(disk, first))
        if any(REPORT in line for line in first):
            return False, []
        wrong += [*_cut(disk, _watched(root)), *_compared(root)]
        return True, wrong


def _disk(root: Path) -> Disk:
    disk = Disk(str(root))
    disk.was_there(str(root), 0)
    for name, size in prepare(root).items():
        disk.was_there(str(root / name), size)
    return disk


def _watched(root: Path, *more: str) -> list[str]:
    """strace's lines of one landing that is about ``root`` only."""
    log = root.parent / "strace"
    argv = ["strace", "-f", "-y", "-s", "200", "-o", str(log), "-e", f"trace={_ALL}"]
    for word in more:
        argv += ["-e", word]
    argv += [sys.executable, "-m", "tests.sim.landing_run", str(root)]
    # The interpreter's own files are not of interest, and neither is what it does at its end.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(argv, env=environment, check=False, stdout=subprocess.DEVNULL)
    lines = log.read_text().splitlines()
    return [line for line in lines if str(root) in line or REPORT in line]


def _cut(disk: Disk, trace: list[str]) -> Iterator[str]:
    """What is wrong with what a power cut would leave, after any of these calls."""
    results = {_place(disk.root, r): r for r in SCENE if r.kind == "file"}
    del results[f"{disk.root}/{LIVE}"]  # it grows under its own name, until it is landed
    for event in disk.run(trace):
        for path, result in results.items():
            for inode in disk.after_a_cut(path):
                if inode and not inode.old and inode.synced != len(result.content):
                    yield f"8: {result.name} may be torn: after {event}"
        if event == REPORT:
            yield from _kept(disk)


def _kept(disk: Disk) -> Iterator[str]:
    """After the report nothing can be lost: no byte, no name on the way, no mode and no time."""
    if not disk.names[f"{disk.root}/{OUTPUT}"].safe:
        yield f"11: lines of {OUTPUT} may be lost after the report"
    for result in SCENE:
        path = _place(disk.root, result)
        inode = disk.names.get(path)
        if inode is None:
            yield f"7: {result.name} is not there"
            continue
        if inode.synced != len(result.content):
            yield f"11: bytes of {result.name} may be lost after the report"
        if not inode.told:
            yield f"11: mode or time of {result.name} may be lost after the report"
        for way in (path, *map(str, Path(path).parents)):
            below = way.startswith(disk.root)
            if below and disk.after_a_cut(way) != [disk.names.get(way)]:
                yield f"11: {result.name} may be lost after the report: {way} is not synced"


def _compared(root: Path) -> Iterator[str]:
    """7, 10: every byte, mode and time, and the user's own words beside."""
    for result in SCENE:
        path = Path(_place(str(root), result))
        if not path.exists():
            yield f"7: {result.name} is not there"
            continue
        seen = path.stat()
        if stat.S_IMODE(seen.st_mode) != result.mode:
            yield f"7: {result.name} has mode {stat.S_IMODE(seen.st_mode):o}"
        if result.kind == "file":
            if path.read_bytes() != result.content:
                yield f"7: {result.name} has other bytes"
            if seen.st_mtime_ns != MTIME:
                yield f"7: {result.name} has another time"
    if (root / CHANGED).read_bytes() != WORDS:
        yield f"10: {CHANGED} was overwritten"
    if left := [p.name for p in root.rglob(".burst-*")]:
        yield f"22: temporary files are left: {left}"


def _place(root: str, result: Result) -> str:
    """Where it lands."""
    return f"{root}/{result.name}" + (".burst-b1" if result.name == CHANGED else "")
