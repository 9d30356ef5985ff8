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
#: Within the tunnel, which is wireguard-go at either end, as where the kernel has no WireGuard.
INSIDE = {NEAR: "10.80.0.1", FAR: "10.80.0.2"}
TUNNEL = {NEAR: "burst-bench-wga", FAR: "burst-bench-wgb"}
GATE = 51820


@dataclass(frozen=True)
class Setting:
    """``rate``: megabits a second, ``rtt``: milliseconds; 0: none. ``tunnel``: all passes through
    WireGuard."""

    name: str
    rate: int = 0
    rtt: float = 0
    tunnel: bool = False


@dataclass
class Wire:
    """``start`` runs a program at one of the ends; what is started there ends with the wire."""

    setting: Setting
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Of the far end."""
        return (INSIDE if self.setting.tunnel else ADDRESS)[FAR]

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
        # No cable takes a CPU from the two ends.
        argv = ["nice", "-n", "-20", "ip", "netns", "exec", MIDDLE]
        argv += [str(program), str(setting.rtt / 2), "tap-a", "tap-b"]
        relay = subprocess.Popen(argv)
    found = Wire(setting)
    gates = list[subprocess.Popen[bytes]]()
    try:
        if setting.tunnel:
            gates += _tunnel(scratch)
        yield found
    finally:
        found.stop()
        for running in (*gates, *([relay] if relay is not None else [])):
            running.kill()
            running.wait()
        _remove()


def _tunnel(scratch: Path) -> list[subprocess.Popen[bytes]]:
    """WireGuard between both ends, with keys of its own."""
    keys, public, gates = {}, {}, []
    for end in (NEAR, FAR):
        made = subprocess.run(["wg", "genkey"], capture_output=True, check=True).stdout
        keys[end] = scratch / f"{TUNNEL[end]}.key"
        keys[end].touch(mode=0o600)
        keys[end].write_bytes(made)
        derived = subprocess.run(["wg", "pubkey"], input=made, capture_output=True, check=True)
        public[end] = derived.stdout.decode().strip()
    for end, other in ((NEAR, FAR), (FAR, NEAR)):
        argv = ["ip", "netns", "exec", end, "wireguard-go", "-f", TUNNEL[end]]
        gates.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        for _ in range(100):
            shown = ["ip", "-n", end, "link", "show", TUNNEL[end]]
            if subprocess.run(shown, capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.02)
        _run(
            "wg", "set", TUNNEL[end], "private-key", str(keys[end]), "listen-port", str(GATE),
            "peer", public[other], "endpoint", f"{ADDRESS[other]}:{GATE}",
            "allowed-ips", f"{INSIDE[other]}/32",
        )  # fmt: skip
        _ip("-n", end, "addr", "add", f"{INSIDE[end]}/24", "dev", TUNNEL[end])
        _ip("-n", end, "link", "set", TUNNEL[end], "mtu", "1420", "up")
    return gates


def _remove() -> None:
    for end in (NEAR, MIDDLE, FAR):
        subprocess.run(["ip", "netns", "del", end], capture_output=True, check=False)


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, env={"PATH": os.environ["PATH"]})
