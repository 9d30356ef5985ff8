"""The legacy site: Slurm 22.05 of Debian 12, controller and three nodes on one host.

It is there for one purpose: what burstd asks of Slurm is tried on the oldest version that it works
with. It is joined to nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from lab import build, layer
from lab.errors import LabError, NotUp
from lab.facts import OLD
from lab.holders import Holders
from lab.host import Host
from lab.paths import Paths

Report = Callable[[str, float | None], None]
NODES = 3


def up(paths: Paths, report: Report) -> Host:
    """Start the host if it does not run and its services if they do not; wait until all serve."""
    build.Builder(paths, report).legacy()
    old = _loaded(paths)
    if old is None or not old.first.alive():
        report("starting host old", None)
        old = _start(paths)
    for service in OLD.services:
        old.start_service(service)
        report(f"legacy: {service} on {OLD.name}", None)
    _wait_idle(old)
    return old


def host(paths: Paths) -> Host:
    """The host. Raises NotUp if it was never started."""
    old = _loaded(paths)
    if old is None:
        raise NotUp("the legacy site is not up", "python -m lab up --legacy")
    return old


def _start(paths: Paths) -> Host:
    holders = Holders(paths)
    holders.end_one(OLD)
    build.remove_tree(paths.host(OLD.name))
    layer.write_legacy(paths, os.urandom(1024))
    first = holders.start_one(OLD, paths.legacy)
    old = Host(OLD, first, paths)
    # Slurm looks for an address that is not the loopback's own; no cable is needed for that.
    old.run(["ip", "address", "add", f"{OLD.address}/24", "dev", "lo"])
    holders.record(OLD, first)
    return old


def _loaded(paths: Paths) -> Host | None:
    first = Holders(paths).recorded(OLD)
    return Host(OLD, first, paths) if first else None


def _wait_idle(old: Host) -> None:
    end = time.monotonic() + 30
    while True:
        nodes = old.run(["sinfo", "-h", "-N", "-o", "%N %T"], check=False).stdout.splitlines()
        serving = {line for line in nodes if line.split()[1] in {"idle", "mixed", "allocated"}}
        if len({line.split()[0] for line in serving}) == NODES:
            return
        if time.monotonic() > end:
            raise LabError(f"the legacy site is not well: {nodes}", "look at its /var/log/slurm")
        time.sleep(0.1)
