"""Disks that fill up: everything waits, and goes on by itself when there is room."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from lab.host import Host
from lab.oracle import Finding
from lab.oracle.gather import RUNS
from tests.fault.errands import array, serial, write
from tests.fault.rig import Rig, during
from tests.fault.scene import Scene

STATE = "/var/lib/burstd"
FULL = 12.0  #: seconds
BULK = "x" * 79 + "\n"


def scenes() -> list[Scene]:
    """Each disk, where it matters."""
    return [
        Scene("disk/state", "serial, array", _state),
        Scene("disk/home", "serial with a result of 400 kB", _home),
        Scene("disk/quota", "serial with a result of 400 kB", _quota),
        Scene("disk/far", "serial with an input of 2 MB", _far),
    ]


@contextlib.contextmanager
def small(host: Host, place: str, options: str) -> Iterator[None]:
    """A file system of its own at a place of one host."""
    host.sh(f"mount -t tmpfs -o {options} tmpfs {place}")
    try:
        yield
    finally:
        host.sh(f"umount -l {place}")


def _state(run: Rig) -> list[Finding]:
    """No room for the ledger, from the claim on."""

    def act(run: Rig) -> None:
        for stage in ("staging_in", "running"):
            run.at("one", stage)
            run.px.sh(f"head -c 100m /dev/zero > {STATE}/ballast || true")
            time.sleep(FULL)
            run.px.sh(f"rm {STATE}/ballast")

    with small(run.px, STATE, "size=16m,mode=700,uid=990,gid=990"):
        found = during(run, (serial("one", 15), array()), act)
        run.close()
    return found


def _big() -> tuple[str, dict[str, str]]:
    results = {"big.txt": BULK * 5000}
    return f"sleep 4\nyes '{BULK.strip()}' | head -5000 | result big.txt", results


def _home(run: Rig) -> list[Finding]:
    """As the agent on the proxy node sees the job's directory; with room it is landed there."""
    return _landing(run, lambda px, home: px.sh(f"mount -t tmpfs -o size=128k tmpfs {home}"))


def _quota(run: Rig) -> list[Finding]:
    """The same with EDQUOT, on a file system that knows quotas."""
    with _limited(run.lab.paths.base / "quota") as device:
        minor = device.removeprefix("/dev/loop")

        def limited(px: Host, home: str) -> None:
            px.sh(f"mknod -m 600 {device} b 7 {minor}; mount {device} {home}")

        found = _landing(run, limited)
        run.px.sh(f"rm {device}")
    return found


@contextlib.contextmanager
def _limited(place: Path) -> Iterator[str]:
    """A device of this machine with an empty file system that lets nobody write 256 KiB."""
    image, at = place.with_suffix(".img"), shlex.quote(str(place))
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(200 * 1024**2)
    sh(f"mkfs.btrfs -q {shlex.quote(str(image))}")
    device = sh(f"losetup -f --show {shlex.quote(str(image))}").strip()
    try:
        sh(
            f"mount {device} {at} && chmod 777 {at} && btrfs quota enable {at} && "
            f"btrfs qgroup limit 256k {at} && umount {at}"
        )
        yield device
    finally:
        sh(f"umount -l {at} 2>/dev/null || true; losetup -d {device}")
        place.rmdir()
        image.unlink()


def sh(script: str) -> str:
    """On this machine itself. Raises ``CalledProcessError``."""
    done = subprocess.run(["sh", "-ec", script], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def _landing(run: Rig, fill: Callable[[Host, str], object]) -> list[Finding]:
    """Another file system over the job's directory while its results come home."""
    body, results = _big()
    job = replace(serial("one"), body=body, results=results)
    home = job.directory

    def act(run: Rig) -> None:
        run.at("one", "running")
        fill(run.px, home)
        run.px.sh(f"chmod 777 {home}")
        try:
            run.at("one", "staging_out")
            time.sleep(FULL)
            if run.reached("one", "staged_out"):
                raise AssertionError("the disk was not full")
        finally:
            run.px.sh(f"umount -l {home}")

    return during(run, (job, array()), act)


def _far(run: Rig) -> list[Finding]:
    """No room for the inputs. Alone: what fits would be lost with the small file system."""
    job = serial("one")
    job = replace(
        job, inputs={**job.inputs, "bulk.txt": BULK * 25_000}, body=f"{job.body}\n{write('z', '')}",
        results={**job.results, "z": ""},
    )  # fmt: skip

    def act(run: Rig) -> None:
        run.at("one", "staging_in")
        time.sleep(FULL)
        if run.reached("one", "submitted"):
            raise AssertionError("the disk was not full")
        run.lab.host("login").sh(f"umount -l {RUNS}")

    run.lab.host("login").sh(f"mount -t tmpfs -o size=1m,mode=1777 tmpfs {RUNS}")
    try:
        return during(run, (job,), act)
    finally:
        run.lab.host("login").sh(f"umount -l {RUNS} 2>/dev/null || true")
