"""What the lab needs of the machine, tried out before anything is built."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from lab.errors import MachineLacks
from lab.holders import NAMESPACES
from lab.paths import Paths

# program -> Debian package; the same packages stand in requirements.apt
PROGRAMS = {
    "gcc": "gcc",
    "ip": "iproute2",
    "mksquashfs": "squashfs-tools",
    "mmdebstrap": "mmdebstrap",
    "mount": "mount",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}
BUILD_GIB = 4
RUN_GIB = 1


def check(paths: Paths) -> None:
    """Raise MachineLacks, naming everything that is missing, or return if the lab can run here."""
    problems = [*_rights(), *_place(paths), *_programs(), *_devices()]
    if problems:
        raise MachineLacks("this machine can't run the lab: " + "; ".join(problems))
    paths.base.mkdir(parents=True, exist_ok=True)
    problems = [*_disk(paths), *_namespaces(paths)]
    if problems:
        raise MachineLacks("this machine can't run the lab: " + "; ".join(problems))


def _rights() -> list[str]:
    return [] if os.geteuid() == 0 else ["you are not root (run it with sudo)"]


def _place(paths: Paths) -> list[str]:
    """Names that overlayfs and the lists of mounts can't carry."""
    if not set(" \t\n,:\\") & set(str(paths.base)):
        return []
    return [f"{paths.base} has a blank, comma, colon or backslash in its name (move the checkout)"]


def _programs() -> list[str]:
    missing = sorted(
        {package for program, package in PROGRAMS.items() if not shutil.which(program)}
    )
    return [f"programs are missing (apt-get install {' '.join(missing)})"] if missing else []


def _devices() -> list[str]:
    wanted = {"/dev/net/tun": "a kernel with TUN", "/dev/fuse": "a kernel with FUSE"}
    return [
        f"{path} is missing ({cure})" for path, cure in wanted.items() if not Path(path).exists()
    ]


def _disk(paths: Paths) -> list[str]:
    need = RUN_GIB if paths.trixie.is_dir() else BUILD_GIB
    free = shutil.disk_usage(paths.base).free / 2**30
    return [] if free >= need else [f"{paths.base} has {free:.1f} GiB free, {need} are needed"]


def _namespaces(paths: Paths) -> list[str]:
    """Try what a host needs for real: namespaces of its own with an overlay mounted in them."""
    with tempfile.TemporaryDirectory(dir=paths.base) as folder:
        for part in ("lower", "upper", "work", "root"):
            (Path(folder) / part).mkdir()
        script = "mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work root"
        tried = subprocess.run(
            ["unshare", *NAMESPACES, "sh", "-c", script],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    if tried.returncode == 0:
        return []
    why = tried.stderr.strip().splitlines()[-1:] or ["no reason given"]
    return [
        f"namespaces or overlayfs don't work in {paths.base} ({why[0]}); "
        "run on a virtual machine, with the checkout on ext4, xfs or btrfs"
    ]
