"""The daemons of the hosts as data: how each starts, is known, and is asked whether it serves."""

from __future__ import annotations

from dataclasses import dataclass

from lab.facts import BUCKET_PORT, GATE_ADDRESS


@dataclass(frozen=True)
class Service:
    """One daemon. `start` and `ready` are shell lines that run in the host as root.

    `start` returns once the daemon is launched; `ready` exits 0 once it serves. `process` is its
    short name.
    """

    name: str
    process: str
    start: str
    ready: str
    log: str
    patience: float = 30.0


_AS_MUNGE = "setpriv --reuid=munge --regid=munge --clear-groups"
# slurmctld must know its cluster and people at its first start.
_ACCOUNTS = (
    'c=$(sed -n "s/^ClusterName=//p" /etc/slurm/slurm.conf); '
    '[ -n "$(sacctmgr -n list cluster "$c" format=cluster)" ] '
    "|| sacctmgr -i load file=/etc/slurm/accounts.cfg >/var/log/slurm/accounts.log"
)

_LAUNCH_MARIADB = "setsid -f mariadbd --defaults-file=/etc/mysql/lab.cnf >/dev/null 2>&1"
_LAUNCH_SSHD = "/usr/sbin/sshd -E /var/log/sshd.log"
_LOGS = "/var/log/slurm"
_CEPH = "/var/log/ceph"
_ASK_S3 = f"curl -s -m 2 -o /dev/null http://{GATE_ADDRESS}:{BUCKET_PORT}"


def _ceph(daemon: str) -> str:
    return f"lab-ceph {daemon} || {{ tail -3 {_CEPH}/start.log; exit 1; }}"


SERVICES = {
    row[0]: Service(*row)
    for row in (
        # name, process, start, ready, log
        ("munged", "munged", f"{_AS_MUNGE} munged --force", "munge -n | unmunge >/dev/null",
         "/var/log/munge/munged.log"),
        ("mariadb", "mariadbd", _LAUNCH_MARIADB, "mariadb-admin ping", "/var/log/mariadb.log"),
        ("slurmdbd", "slurmdbd", "slurmdbd", "sacctmgr -n list cluster", f"{_LOGS}/slurmdbd.log"),
        ("slurmctld", "slurmctld", f"{_ACCOUNTS}; slurmctld", "scontrol ping | grep -q ' UP'",
         f"{_LOGS}/slurmctld.log"),
        ("slurmd", "slurmd", "slurmd", "test -e /run/slurm/slurmd.pid", f"{_LOGS}/slurmd.log"),
        # Three nodes on one host: the legacy site.
        ("slurmds", "slurmd", "slurmd -N n1; slurmd -N n2; slurmd -N px",
         "test -e /run/slurm/slurmd-px.pid", f"{_LOGS}/slurmd-px.log"),
        ("wireguard", "wireguard-go", "lab-wireguard", "wg show wg0", "/var/log/wireguard.log"),
        # On demand, on the on-prem controller: a ledger for two daemons.
        ("postgres", "postgres", "lab-postgres", "psql -qU burstd -c 'select 1' >/dev/null",
         "/var/log/postgresql/lab.log"),
        # The S3 server: its map, its one disk (in memory), and what speaks S3.
        ("ceph-mon", "ceph-mon", _ceph("mon"), "test -e /run/ceph/mon.a.asok",
         f"{_CEPH}/mon.a.log"),
        ("ceph-osd", "ceph-osd", _ceph("osd"), "ceph osd stat | grep -q '1 up'",
         f"{_CEPH}/osd.0.log"),
        # Once it serves, radosgw has the name of its last worker.
        ("radosgw", "notif-worker0", _ceph("rgw"), _ASK_S3, f"{_CEPH}/client.rgw.log"),
        ("sshd", "sshd", _LAUNCH_SSHD, "test -e /run/sshd.pid", "/var/log/sshd.log"),
    )
}  # fmt: skip
