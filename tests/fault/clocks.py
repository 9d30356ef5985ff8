"""Somebody sets a clock: an hour forward or back, on either side, while jobs are away.

The kernel's clock is the whole machine's: so a library answers in its place in the daemons of one
site, and only for the time of day; burstd's own clock is set at its port, where all of it asks.
What Go programs ask (the link's) is not touched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.install import binary
from lab.host import Host
from lab.lab import Lab
from lab.oracle import Finding
from tests.fault.errands import array, serial
from tests.fault.rig import Rig, during
from tests.fault.scene import Scene

LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
INSIDE, OFFSET = "/usr/local/lib/libfaketime.so.1", "/run/clock"
VARIABLES = {
    "LD_PRELOAD": INSIDE,
    "FAKETIME_TIMESTAMP_FILE": OFFSET,
    "FAKETIME_NO_CACHE": "1",
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
}
#: The daemons that date what they do, in the order of their start; burstd's host is on-prem.
SITES = {
    "onprem": {
        "ctl": ("munged", "slurmdbd", "slurmctld"),
        **dict.fromkeys(("n1", "n2", "px"), ("munged", "slurmd")),
    },
    "far": {
        "cctl": ("munged", "slurmdbd", "slurmctld"),
        "login": ("munged", "sshd"),
        **dict.fromkeys(("c1", "c2"), ("munged", "slurmd")),
    },
}


def scenes() -> list[Scene]:
    """Each side, each way, at two stages."""
    return [
        Scene(f"clock/{site}{hours:+}h-{stage}", "serial, array", _jump(site, hours, stage))
        for site in SITES
        for hours in (1, -1)
        for stage in ("staging_in", "running")
    ]


@contextmanager
def another_clock(lab: Lab, site: str) -> Iterator[Callable[[int], None]]:
    """The site's daemons, started anew under a clock that can be set by so many seconds."""
    hosts = {lab.host(name): services for name, services in SITES[site].items()}

    def set_to(seconds: int) -> None:
        for host in hosts:
            host.write(OFFSET, f"{seconds:+d}\n")

    def again(variables: dict[str, str] | None) -> None:
        for host, services in hosts.items():
            for name in reversed(services):
                host.stop_service(name)
        for host, services in hosts.items():
            for name in services:
                host.start_service(name, variables)

    for host in hosts:
        binary(host, LIBRARY, INSIDE)
        # The library names its semaphores by process id: not together with the other hosts'.
        host.sh("mount -t tmpfs -o mode=1777 tmpfs /dev/shm")
    set_to(0)
    again(VARIABLES)
    try:
        yield set_to
    finally:
        set_to(0)
        again(None)
        for host in hosts:
            host.sh("umount -l /dev/shm")


def _let_it_schedule(controller: Host) -> None:
    """slurmctld begins no job before the time at which it last looked: an hour, after its clock was
    set back, or until it is started anew, which is what its administrators do."""
    time.sleep(5)
    controller.stop_service("slurmctld")
    controller.start_service("slurmctld", VARIABLES)


def _jump(site: str, hours: int, stage: str) -> Callable[[Rig], list[Finding]]:
    def play(run: Rig) -> list[Finding]:
        with another_clock(run.lab, site) as set_to:
            run.clock = OFFSET if site == "onprem" else ""

            def act(run: Rig) -> None:
                run.at("one", stage)
                set_to(hours * 3600)
                if (site, hours) == ("far", -1):
                    _let_it_schedule(run.lab.host("cctl"))

            found = during(run, (serial("one", 8), array()), act)
            run.close()
        return found

    return play
