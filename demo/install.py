"""What an administrator does to install burstd, done on the lab (docs/install.md in prose)."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

from lab.host import Host, Spawned
from lab.lab import Lab

NATIVE = Path(__file__).resolve().parent.parent / "plugins" / "slurm"

NETD = """\
[links.cloud]
interface = "burst0"
endpoint = "198.51.100.20"
gate_address = "10.200.0.1"
enrol_address = "10.200.0.2/32"
session_address = "10.200.0.3/32"
gate_public_key = "/etc/burstd/netd/gate.pub"
enrol_private_key = "/etc/burstd/netd/enrol.key"
enrol_preshared_key = "/etc/burstd/netd/enrol.psk"
"""

CONFIG = """\
[site]
cluster = "onprem"
burst_partition = "burst"
home_partition = "cae"
poll = "{poll}"
lost_after = "10s"

[policy]
mode = "{mode}"
high = "{high} core-hours"
low = "{low} core-hours"
partitions = ["cae"]
budget = "100 EUR/month"
min_age = "0s"
unlabelled = "internal"
history = "{history}"  # jobs of the lab ask for hours and take seconds
{policy}
[policy.classes.internal]
targets = ["cloud"]

[paths]
applications = "{applications}"
ssh_authority = "/etc/burstd/ca"

[links.cloud]
gate_host = "10.200.0.1"
known_hosts = "/etc/burstd/known_hosts"

[targets.cloud]
plugin = "slurm"
price = "0.05 EUR/core-hour"
link = "cloud"
cores = {cores}
{terms}
[targets.cloud.settings]
host = "10.200.0.1"
known_hosts = "/etc/burstd/known_hosts"
root = "/scratch/burst"
partition = "hpc"
users = {{ alice = "cae01", bob = "cae02" }}
max_nodes = 2
max_cores = 8
max_time = "1d"
{target}
[images.calculix]
file = "/opt/images/calculix.sqfs"
{tables}
"""


def build_native(lab: Lab) -> Path:
    """Compile the SPANK plugin, the keeper and the waiter; returns their directory."""
    out = lab.paths.base / "native"
    out.mkdir(parents=True, exist_ok=True)
    base = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror"]
    spank = [*base, "-shared", "-fPIC", "-I", str(lab.slurm_headers)]
    for argv in (
        [*spank, "-o", str(out / "burst_spank.so"), str(NATIVE / "burst_spank.c")],
        [*base, "-static", "-o", str(out / "burst-wait"), str(NATIVE / "burst_wait.c")],
        [*base, "-static", "-o", str(out / "burst-keep"), str(NATIVE / "burst_keep.c")],
    ):
        subprocess.run(argv, check=True)
    return out


#: What a story may want otherwise. ``policy``: lines of that table; ``tables``: further ones;
#: ``terms``, ``target``: lines of the target's table, and of its settings; ``applications``: where
#: the profiles lie.
SETTINGS = {
    "mode": "auto", "high": "5", "low": "0.5", "poll": "2s", "history": "0s",
    "policy": "veto = false", "cores": "1024", "tables": "", "target": "", "terms": "",
    "applications": "/opt/burstd/src/plugins/apps",
}  # fmt: skip


def install(lab: Lab, **settings: str) -> None:
    """Put burstd on the proxy host and let it rest. Idempotent. ``settings``: of ``SETTINGS``."""
    if unknown := settings.keys() - SETTINGS.keys():
        raise TypeError(f"there are no settings {sorted(unknown)}")
    native = build_native(lab)
    lab.install_python()
    px = lab.host("px")
    for name in ("burst-wait", "burst-keep"):
        binary(px, native / name, f"/usr/local/bin/{name}")
    lab.install_spank(native / "burst_spank.so")
    config = CONFIG.format(**SETTINGS | settings)
    px.write("/etc/burstd/config.toml", config, 0o640, "root:burstd")
    px.write("/etc/burstd/netd.toml", NETD, 0o640, "root:burst-net")
    px.sh(
        "install -d -m 700 -o burstd -g burstd /var/lib/burstd && "
        "install -d -m 755 -o burstd -g burstd /run/burstd && "
        "install -d -m 750 -o burst-net -g burst-net /run/burst-netd && "
        "install -d -m 755 -o burst-net -g burst-net /run/wireguard"
    )


def start_netd(lab: Lab) -> Spawned:
    """burst-netd with its one capability; returns once its socket is there."""
    px = lab.host("px")
    log = lab.paths.base / "burst-netd.log"
    netd = px.spawn(
        "burst-netd", ["burst-netd", "/etc/burstd/netd.toml"], "burst-net", log, caps=("net_admin",)
    )
    _wait_for_file(px, "/run/burst-netd/netd.sock", netd)
    return netd


def start_burstd(lab: Lab) -> Spawned:
    """burstd as its user, without any capability; returns once it answers."""
    px = lab.host("px")
    log = lab.paths.base / "burstd.log"
    daemon = px.spawn(
        "burstd", ["burstd", "run", "--config", "/etc/burstd/config.toml"], "burstd", log
    )
    _wait_for_file(px, "/run/burstd/burstd.sock", daemon)
    return daemon


def binary(host: Host, source: Path, destination: str) -> None:
    """A file of this machine's as a program or library of a host's."""
    content = base64.b64encode(source.read_bytes()).decode()
    script = 'base64 -d | install -m 755 /dev/stdin "$1.new" && mv -f "$1.new" "$1"'
    host.run(["sh", "-c", script, "sh", destination], input=content)


def _wait_for_file(host: Host, path: str, process: Spawned) -> None:
    script = f"for i in $(seq 200); do [ -S {path} ] && exit 0; sleep 0.1; done; exit 1"
    if process.poll() is not None or host.run(["sh", "-c", script], check=False).returncode:
        tail = process.log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{process.name} did not come up:\n{tail}")


def stop(lab: Lab) -> None:
    """End burstd and burst-netd, if they run; returns when both are gone."""
    for name in ("burstd", "burst-netd"):
        lab.host("px").end(name)
