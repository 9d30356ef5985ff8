"""Starts the hosts' namespaces and joins them with virtual cables.

Nothing is made in the machine's own network.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from lab import facts, procs
from lab.errors import LabError
from lab.facts import HOSTS, SITES, HostSpec
from lab.host import PATH
from lab.paths import Paths
from lab.procs import Process

# The short name of a host's first process, once it has its root.
INIT = "labinit"
NETWORK = "-n"
NAMESPACES = ("-m", NETWORK, "-u", "-i", "-p", "-f", "--propagation", "private")


@dataclass(frozen=True)
class Holders:
    """The hosts' first processes of one lab."""

    paths: Paths

    def start(self) -> dict[str, Process]:
        """Start all hosts and wait until each has its root. Records them for `load`."""
        for host in HOSTS.values():
            self.launch(host, self.paths.trixie)
        firsts = self._wait(20)
        self.paths.state.mkdir(parents=True, exist_ok=True)
        record = {name: [process.pid, process.started] for name, process in firsts.items()}
        fresh = self.paths.state / "hosts.new"
        fresh.write_text(json.dumps(record))
        fresh.rename(self.paths.state / "hosts.json")
        return firsts

    def load(self) -> dict[str, Process]:
        """The first processes as recorded, dead or alive; empty if there is no lab."""
        file = self.paths.state / "hosts.json"
        if not file.exists():
            return {}
        return {name: Process(*numbers) for name, numbers in json.loads(file.read_text()).items()}

    def start_one(self, host: HostSpec, base: Path, network: Process | None = None) -> Process:
        """Start a host that is on demand, wait until it has its root, and record nothing yet.

        What is left of an earlier start must be ended before (`end_one`). For `network` see
        `launch`. Raises LabError if it does not come.
        """
        self.launch(host, base, network)
        end = time.monotonic() + 20
        while True:
            for process, name in procs.marked(self.paths.base):
                if name == host.name and procs.name_of(process) == INIT:
                    return process
            if time.monotonic() > end:
                raise LabError(f"host {host.name} does not start: {self._complaint(host.name)}")
            time.sleep(0.02)

    def end_one(self, host: HostSpec) -> None:
        """End all of a host that is on demand, recorded or not. Nothing if there is none.

        Raises LabError if it does not end.
        """
        ours = [process for process, name in procs.marked(self.paths.base) if name == host.name]
        if stuck := procs.end(ours):
            raise LabError(f"these processes do not end: {', '.join(str(p.pid) for p in stuck)}")

    def record(self, host: HostSpec, first: Process) -> None:
        """Note a host that is on demand, once it is complete, for `recorded`."""
        fresh = self._note(host).with_suffix(".new")
        fresh.write_text(json.dumps([first.pid, first.started]))
        fresh.rename(self._note(host))

    def recorded(self, host: HostSpec) -> Process | None:
        """The first process of a host that is on demand, dead or alive; None if never started."""
        note = self._note(host)
        return Process(*json.loads(note.read_text())) if note.exists() else None

    def launch(self, host: HostSpec, base: Path, network: Process | None = None) -> None:
        """Start one host's first process over the root at `base`; it still has to get there.

        With `network` it is a guest in the network of that process.
        """
        folder = self.paths.host(host.name)
        for part in ("layer", "work", "root"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "binds").write_text("".join(f"{line}\n" for line in self._binds(host)))
        script = [
            str(self.paths.native / "node.sh"),
            host.name,
            str(base),
            str(folder),
        ]
        enter: list[str] = []
        new: tuple[str, ...] = NAMESPACES
        if network:
            enter = ["nsenter", "-t", str(network.pid), NETWORK]
            new = tuple(option for option in NAMESPACES if option != NETWORK)
        marks = {procs.MARK: str(self.paths.base), procs.HOST_MARK: host.name}
        with (folder / "holder.log").open("wb") as log:
            # setsid -f: the holder is nobody's child, so it outlives the command that started the
            # lab.
            subprocess.run(
                ["setsid", "-f", *enter, "unshare", *new, "sh", *script],
                env={"PATH": PATH, "LC_ALL": "C.UTF-8", **marks},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True,
            )  # fmt: skip

    def _binds(self, host: HostSpec) -> list[str]:
        """What the host sees of the machine, as lines for node.sh."""
        if host.site not in SITES:
            return []
        paths = self.paths
        shares = SITES[host.site].shares
        lines = [f"{paths.share(host.site, folder)} {folder} rw" for folder in shares]
        if host.site == "onprem":
            seen = {
                "/opt/calculix": paths.ccx,
                "/opt/images": paths.images,
                "/opt/burstd/site": paths.site_packages,
                "/opt/burstd/meta": paths.run / "meta",
                "/opt/burstd/src/burstd": paths.checkout / "burstd",
                "/opt/burstd/src/plugins": paths.checkout / "plugins",
            }
            lines += [f"{folder} {place} ro" for place, folder in seen.items() if folder.is_dir()]
        return lines

    def _wait(self, seconds: float) -> dict[str, Process]:
        end = time.monotonic() + seconds
        while True:
            marked = procs.marked(self.paths.base)
            firsts = {host: p for p, host in marked if procs.name_of(p) == INIT}
            if len(firsts) == len(HOSTS):
                return firsts
            alive = {host for _, host in marked}
            lost = [name for name in HOSTS if name not in alive]
            if lost or time.monotonic() > end:
                name = (lost or [name for name in HOSTS if name not in firsts])[0]
                raise LabError(f"host {name} does not start: {self._complaint(name)}")
            time.sleep(0.02)

    def _complaint(self, name: str) -> str:
        return (self.paths.host(name) / "holder.log").read_text().strip()

    def _note(self, host: HostSpec) -> Path:
        return self.paths.state / f"{host.name}.json"


def cable(firsts: dict[str, Process]) -> None:
    """Join the hosts: one switch per site, two cables into the WAN, addresses on all ends."""
    for site in SITES:
        switch = firsts[f"sw-{site}"]
        lines = ["link add name br0 type bridge", "link set dev br0 up"]
        for host in facts.members_of(site):
            lines += _plug(f"to-{host.name}", firsts[host.name], "eth0", "br0")
        _ip(switch, lines)
    lines = []
    for host in (host for host in HOSTS.values() if host.wan_address):
        lines += [f"link add name br-{host.name} type bridge", f"link set dev br-{host.name} up"]
        lines += _plug(f"to-{host.name}", firsts[host.name], "wan0", f"br-{host.name}")
    _ip(firsts["wan"], [*lines, "link add name join-px type veth peer name join-login"])
    for host in (host for host in HOSTS.values() if host.address):
        _ip(firsts[host.name], _addresses(host))


def _plug(end: str, host: Process, inner: str, bridge: str) -> list[str]:
    return [
        f"link add name {end} type veth peer name {inner} netns {host.pid}",
        f"link set dev {end} master {bridge} up",
    ]


def _addresses(host: HostSpec) -> list[str]:
    lines = [f"address add {host.address}/24 dev eth0", "link set dev eth0 up"]
    if host.wan_address:
        lines += [f"address add {host.wan_address}/24 dev wan0", "link set dev wan0 up"]
        # Nothing answers there: it is the way out, and the WAN decides what passes.
        lines += [f"route add default via {host.wan_address.rpartition('.')[0]}.1 dev wan0"]
    return lines


def _ip(where: Process, lines: list[str]) -> None:
    """Run ip commands in a host's network, with the machine's own ip.

    It can name other hosts by process number.
    """
    done = subprocess.run(
        ["nsenter", "-t", str(where.pid), "-n", "ip", "-batch", "-"],
        input="".join(f"{line}\n" for line in lines), text=True, capture_output=True,
        env={**os.environ, "PATH": PATH}, check=False,
    )  # fmt: skip
    if done.returncode:
        raise LabError(f"cabling failed: {done.stderr.strip()}", "python -m lab down, then up")
