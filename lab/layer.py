"""Writes what makes a host different from the shared root: the upper layer of its overlay.

Files go in by plain writes into the layer, with owners by number: no process of the host is needed
for it.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from lab import pylib, render
from lab.facts import CLOUD, LEGACY, OLD, RGW, SITES, HostSpec, Site
from lab.paths import Paths


@dataclass(frozen=True)
class Layer:
    """The upper layer of one host at `top`, over the root at `base`."""

    top: Path
    base: Path

    def put(self, path: str, content: str | bytes, mode: int = 0o644, owner: str = "root") -> None:
        """Write one file; folders are made as `folder` makes them."""
        target = self.folder(str(Path(path).parent)) / Path(path).name
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        self._give(target, owner, mode)

    def folder(self, path: str, mode: int | None = None, owner: str = "") -> Path:
        """Make a folder.

        One that the root has too keeps its mode and owner unless told otherwise.
        """
        target = self.top / path.strip("/")
        if not target.is_dir():
            below = self.base / path.strip("/")
            if target != self.top:
                self.folder(str(Path(path).parent))
            target.mkdir()
            if below.is_dir():
                shutil.copystat(below, target)
                os.chown(target, below.stat().st_uid, below.stat().st_gid)
        if owner or mode is not None:
            self._give(target, owner or "root", 0o755 if mode is None else mode)
        return target

    def append(self, path: str, text: str) -> None:
        """The root's file with `text` at its end."""
        below = self.base / path.strip("/")
        self.put(path, below.read_text() + text, below.stat().st_mode & 0o7777)
        os.chown(self.top / path.strip("/"), below.stat().st_uid, below.stat().st_gid)

    def _give(self, target: Path, owner: str, mode: int) -> None:
        uid, gid = numbers(self.base, owner)
        os.chown(target, uid, gid)
        target.chmod(mode)


def numbers(base: Path, name: str) -> tuple[int, int]:
    """User and group number of a name: a lab user, or one that the root knows."""
    users = {user.name: user for site in SITES.values() for user in site.users}
    if name in users:
        return users[name].uid, users[name].uid
    for line in (base / "etc/passwd").read_text().splitlines():
        entry = line.split(":")
        if entry[0] == name:
            return int(entry[2]), int(entry[3])
    raise KeyError(name)


def write_host(paths: Paths, host: HostSpec, munge_key: bytes) -> None:
    """Write the whole layer of one host."""
    layer = _bare_host(paths, host, paths.trixie)
    if host.name == "wan":
        layer.put("/usr/local/sbin/wan-delay", (paths.programs / "delay").read_bytes(), 0o755)
    if host.site not in SITES:
        return
    site = SITES[host.site]
    _users(layer, site)
    _slurm(layer, site, munge_key)
    if host.name == site.controller:
        _database(layer, site)
    if host.name == "ctl":
        layer.put("/usr/local/sbin/lab-postgres", render.POSTGRES, 0o755)
    if host.site == "onprem":
        layer.put("/usr/local/bin/ccx", render.CCX, 0o755)
        for name in pylib.programs(paths.checkout):
            layer.put(f"/usr/local/bin/{name}", pylib.wrapper(name), 0o755)
    if host.name == "px":
        layer.folder("/etc/burstd", 0o755, "burstd")
        layer.folder("/etc/burstd/netd", 0o700, "burst-net")
    if host.name == "login":
        layer.put("/etc/ssh/sshd_config", render.SSHD_CONF)
        layer.folder("/etc/wireguard", 0o700)
        layer.put("/usr/local/sbin/lab-wireguard", render.WIREGUARD, 0o755)


def write_legacy(paths: Paths, munge_key: bytes) -> None:
    """Write the layer of the legacy site's one host: all of a site in one."""
    layer = _bare_host(paths, OLD, paths.legacy)
    _users(layer, LEGACY)
    _slurm(layer, LEGACY, munge_key)
    _database(layer, LEGACY)
    for name in LEGACY.members:
        layer.folder(f"/home/{name}", 0o700, name)
    for node in ("n1", "n2", "px"):
        layer.folder(f"/var/spool/slurmd-{node}", 0o755, "root")


def write_rgw(paths: Paths, access_key: str, secret_key: str) -> None:
    """Write the layer of the S3 server."""
    layer = _bare_host(paths, RGW, paths.rgw)
    layer.put("/etc/ceph/ceph.conf", render.CEPH_CONF)
    layer.put("/etc/ceph/keys", f"access={access_key}\nsecret={secret_key}\n", 0o600)
    layer.put("/usr/local/sbin/lab-ceph", render.CEPH, 0o755)


def _bare_host(paths: Paths, host: HostSpec, base: Path) -> Layer:
    layer = Layer(paths.host(host.name) / "layer", base)
    layer.top.mkdir(parents=True, exist_ok=True)
    layer.put("/etc/hostname", host.name + "\n")
    layer.put("/etc/hosts", render.hosts_file(host))
    layer.put("/etc/resolv.conf", "")
    layer.put("/usr/local/sbin/labinit", (paths.programs / "init").read_bytes(), 0o755)
    return layer


def write_shares(paths: Paths) -> None:
    """Make the folders that all hosts of a site see, with the users' homes in them."""
    for site in SITES.values():
        for folder in site.shares:
            paths.share(site.name, folder).mkdir(parents=True, exist_ok=True)
        for user in (user for user in site.users if not user.home.startswith("/var")):
            _folder(paths.share(site.name, user.home), 0o700, user.uid)
    uid = numbers(paths.trixie, CLOUD.operator)[0]
    scratch = paths.share("cloud", "/scratch")
    scratch.chmod(0o1777)
    _folder(scratch / "burst", 0o755, uid)
    for name, mode in (("runs", 0o1777), ("bin", 0o755), ("images", 0o755)):
        _folder(scratch / "burst" / name, mode, uid)
    # A hard link: the image is 80 MB, and a lab comes up often.
    for image in paths.images.glob("*.sqfs"):
        link = scratch / "burst" / "images" / image.name
        link.unlink(missing_ok=True)
        link.hardlink_to(image)


def _folder(path: Path, mode: int, uid: int) -> None:
    path.mkdir(exist_ok=True)
    os.chown(path, uid, uid)
    path.chmod(mode)


def _users(layer: Layer, site: Site) -> None:
    layer.append("/etc/passwd", "".join(render.passwd_line(user) for user in site.users))
    layer.append("/etc/shadow", "".join(render.shadow_line(user) for user in site.users))
    layer.append("/etc/group", render.group_lines(site.users))
    for user in (user for user in site.users if user.home.startswith("/var")):
        layer.folder(user.home, 0o750, user.name)


def _slurm(layer: Layer, site: Site, munge_key: bytes) -> None:
    layer.put("/etc/munge/munge.key", munge_key, 0o400, "munge")
    layer.put("/etc/slurm/slurm.conf", render.slurm_conf(site))
    layer.put("/etc/slurm/cgroup.conf", render.cgroup_conf(site))
    layer.put("/etc/slurm/plugstack.conf", "")
    layer.put("/etc/slurm/gres.conf", render.gres_conf(site))
    for folder in ("/var/log/slurm", "/var/spool/slurmctld"):
        layer.folder(folder, 0o755, "slurm")
    layer.folder("/var/spool/slurmd", 0o755, "root")


def _database(layer: Layer, site: Site) -> None:
    layer.put("/etc/slurm/slurmdbd.conf", render.slurmdbd_conf(site), 0o600, "slurm")
    layer.put("/etc/slurm/accounts.cfg", render.accounts(site))
    layer.put("/etc/mysql/lab.cnf", render.DATABASE_CONF)
    layer.put("/etc/mysql/lab.sql", render.DATABASE_INIT)
    layer.put("/var/log/mariadb.log", "", 0o644, "mysql")
