"""What `status` knows: one look at everything, as a value."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from lab.facts import HOSTS, SITES
from lab.lab import Lab
from lab.wan import Weather


@dataclass(frozen=True)
class HostStatus:
    """One host: does it run, and which of its services do."""

    name: str
    site: str
    alive: bool
    services: dict[str, bool]


@dataclass(frozen=True)
class Status:
    """The whole lab at one moment."""

    folder: str
    up: bool
    hosts: tuple[HostStatus, ...]
    weather: Weather
    runtimes: tuple[str, ...]
    problems: tuple[str, ...]

    def record(self) -> dict[str, object]:
        """As plain data, for JSON."""
        return asdict(self)


def look(lab: Lab) -> Status:
    """See how the lab is. Changes nothing, and works on a lab that is not up."""
    up = lab.is_up()
    runtimes = tuple(lab.container_runtimes())
    folder = str(lab.paths.base)
    if not up:
        return Status(folder, False, (), Weather(), runtimes, ())
    hosts = []
    for spec in (host for host in HOSTS.values() if host.site in SITES):
        host = lab.host(spec.name)
        states = {name: host.running(name) for name in spec.services}
        hosts.append(HostStatus(spec.name, spec.site, host.first.alive(), states))
    return Status(folder, True, tuple(hosts), lab.wan.now(), runtimes, tuple(lab.health()))
