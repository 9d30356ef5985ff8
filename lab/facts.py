"""The lab's plan as data: sites, hosts, addresses, users. Nothing here runs.

The numbers are part of the lab's contract with its users and with the tests; `lab/README.md` prints
them.
"""

from __future__ import annotations

from dataclasses import dataclass

ENROL_ADDRESS = "10.200.0.2/32"
GATE_ADDRESS = "10.200.0.1"
GATE_PORT = 51820


@dataclass(frozen=True)
class User:
    """One login.

    `groups` are extra groups by name; every user also has a group of its own name and number.
    """

    name: str
    uid: int
    home: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class HostSpec:
    """One machine of the lab.

    `services` are in the order in which they start; `on_demand` are left alone until asked for.
    """

    name: str
    site: str
    address: str
    services: tuple[str, ...] = ()
    wan_address: str = ""
    on_demand: tuple[str, ...] = ()


@dataclass(frozen=True)
class Site:
    """One Slurm cluster.

    Its users, the account's people, its operator, and the folders all hosts share.
    """

    name: str
    controller: str
    users: tuple[User, ...]
    members: tuple[str, ...]
    operator: str
    shares: tuple[str, ...]
    entry: str


ONPREM = Site(
    name="onprem",
    controller="ctl",
    users=(
        User("alice", 1001, "/home/alice"),
        User("bob", 1002, "/home/bob"),
        User("burst-net", 991, "/var/lib/burst-net"),
        User("burstd", 990, "/var/lib/burstd", ("burst-net",)),
    ),
    members=("alice", "bob"),
    operator="burstd",
    shares=("/home",),
    entry="ctl",
)

CLOUD = Site(
    name="cloud",
    controller="cctl",
    users=(
        User("cae01", 2001, "/users/cae01"),
        User("cae02", 2002, "/users/cae02"),
        User("burst", 2100, "/users/burst"),
    ),
    members=("cae01", "cae02"),
    operator="burst",
    shares=("/users", "/scratch"),
    entry="login",
)

SITES = {site.name: site for site in (ONPREM, CLOUD)}

_CONTROL = ("munged", "mariadb", "slurmdbd", "slurmctld")
_COMPUTE = ("munged", "slurmd")

HOSTS = {
    host.name: host
    for host in (
        HostSpec("ctl", "onprem", "10.71.0.10", _CONTROL, on_demand=("postgres",)),
        HostSpec("n1", "onprem", "10.71.0.11", _COMPUTE),
        HostSpec("n2", "onprem", "10.71.0.12", _COMPUTE),
        HostSpec("px", "onprem", "10.71.0.20", _COMPUTE, "198.51.100.10"),
        HostSpec("cctl", "cloud", "10.72.0.10", _CONTROL),
        HostSpec("c1", "cloud", "10.72.0.11", _COMPUTE),
        HostSpec("c2", "cloud", "10.72.0.12", _COMPUTE),
        HostSpec("login", "cloud", "10.72.0.20", ("munged", "wireguard", "sshd"), "198.51.100.20"),
        # What joins them: one switch per site, and the net between the sites.
        HostSpec("sw-onprem", "net", ""),
        HostSpec("sw-cloud", "net", ""),
        HostSpec("wan", "net", ""),
    )
}

#: A site of its own on one host: Slurm 22.05 on Debian 12. Joined to nothing, started on demand.
LEGACY = Site(
    name="legacy",
    controller="old",
    users=(
        User("alice", 1001, "/home/alice"),
        User("bob", 1002, "/home/bob"),
        User("burstd", 990, "/var/lib/burstd"),
    ),
    members=("alice", "bob"),
    operator="burstd",
    shares=(),
    entry="old",
)
OLD = HostSpec("old", "legacy", "10.73.0.10", (*_CONTROL, "slurmds"))

#: An S3 server in the cloud, at the gate's address inside the tunnel: a guest in the network of
#: `login`. Started on demand.
RGW = HostSpec("rgw", "bucket", GATE_ADDRESS, ("ceph-mon", "ceph-osd", "radosgw"))
BUCKET_PORT = 7480
BUCKET = "burst"
#: What S3 calls the region that a client need not name.
REGION = "us-east-1"


def members_of(site: str) -> tuple[HostSpec, ...]:
    """The hosts of one site, in the order of the plan."""
    return tuple(host for host in HOSTS.values() if host.site == site)
