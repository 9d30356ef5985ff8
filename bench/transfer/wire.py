"""Two hosts and a wire between them: network namespaces of this machine, with a rate and a delay.

The kernel may have no netem: the lab's small program hands frames over later.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

DELAY = Path(__file__).parent.parent.parent / "lab" / "native" / "delay.c"
NEAR, MIDDLE, FAR = "burst-bench-a", "burst-bench-m", "burst-bench-b"
ADDRESS = {NEAR: "10.79.0.1", FAR: "10.79.0.2"}


@dataclass(frozen=True)
class Setting:
    """``rate``: megabits a second, ``rtt``: milliseconds; 0: none."""

    name: str
    rate: int = 0
    rtt: float = 0


@dataclass
class Wire:
    """``start`` runs a program at one of the ends; what is started there ends with the wire."""

    setting: Setting
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def argv(self, end: str, argv: Sequence[str]) -> list[str]:
        return ["ip", "netns", "exec", end, *argv]

    def start(self, end: str, argv: Sequence[str], port: int) -> None:
        """A server; returns once it listens."""
        self._running.append(subprocess.Popen(self.argv(end, argv)))
        for _ in range(200):
            listening = subprocess.run(
                self.argv(end, ["ss", "-Hltn", f"sport = :{port}"]),
                capture_output=True, check=True,
            ).stdout  # fmt: skip
            if listening:
                return
            time.sleep(0.02)
        raise RuntimeError(f"{argv[0]} does not listen on {port}")

    def stop(self) -> None:
        """End the servers."""
        for one in self._running:
            one.kill()
            one.wait()
        self._running.clear()

    def bytes(self) -> int:
        """That have passed so far, both ways, with headers."""
        shown = subprocess.run(
            ["ip", "-n", NEAR, "-j", "-s", "link", "show", "eth0"], capture_output=True, check=True
        ).stdout
        counted = json.loads(shown)[0]["stats64"]
        return int(counted["tx"]["bytes"]) + int(counted["rx"]["bytes"])


@contextmanager
def wire(setting: Setting, scratch: Path) -> Iterator[Wire]:
    """Needs root. Clears away what an interrupted run has left."""
    _remove()
    relay = None
    for end in (NEAR, MIDDLE, FAR):
        _ip("netns", "add", end)
    _ip("-n", MIDDLE, "link", "add", "mid", "type", "bridge")
    _ip("-n", MIDDLE, "link", "add", "mid2", "type", "bridge")
    for end, bridge in ((NEAR, "mid"), (FAR, "mid2" if setting.rtt else "mid")):
        name = end[-1]
        peer = ("type", "veth", "peer", "name", "eth0", "netns", end)
        _ip("-n", MIDDLE, "link", "add", f"to-{name}", *peer)
        _ip("-n", MIDDLE, "link", "set", f"to-{name}", "master", bridge, "up")
        _ip("-n", end, "addr", "add", f"{ADDRESS[end]}/24", "dev", "eth0")
        _ip("-n", end, "link", "set", "eth0", "up")
        _ip("-n", end, "link", "set", "lo", "up")
        if setting.rate:
            rate = f"{setting.rate}mbit"
            burst = str(max(16384, setting.rate * 1250))  # 10 ms
            shape = ("tbf", "rate", rate, "burst", burst, "latency", "50ms")
            _run("tc", "-n", MIDDLE, "qdisc", "add", "dev", f"to-{name}", "root", *shape)
    _ip("-n", MIDDLE, "link", "set", "mid", "up")
    _ip("-n", MIDDLE, "link", "set", "mid2", "up")
    if setting.rtt:
        program = scratch / "delay"
        _run("gcc", "-O2", "-o", str(program), str(DELAY))
        for tap, bridge in (("tap-a", "mid"), ("tap-b", "mid2")):
            _ip("-n", MIDDLE, "tuntap", "add", "name", tap, "mode", "tap")
            _ip("-n", MIDDLE, "link", "set", tap, "txqueuelen", "5000", "master", bridge, "up")
        argv = ["ip", "netns", "exec", MIDDLE, str(program), str(setting.rtt / 2), "tap-a", "tap-b"]
        relay = subprocess.Popen(argv)
    found = Wire(setting)
    try:
        yield found
    finally:
        found.stop()
        if relay is not None:
            relay.kill()
            relay.wait()
        _remove()


def _remove() -> None:
    for end in (NEAR, MIDDLE, FAR):
        subprocess.run(["ip", "netns", "del", end], capture_output=True, check=False)


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, env={"PATH": os.environ["PATH"]})
