"""What the roots are made of, as data.

A changed recipe rebuilds what it describes, nothing else.
"""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Slurm's own packages, what the two sites need around them, and what a cloud node offers to run a
# container.
HOST_PACKAGES = (
    "slurmctld",
    "slurmd",
    "slurm-client",
    "slurmdbd",
    "munge",
    "mariadb-server",
    "libslurm-dev",
    "postgresql",
    "libpmix2t64",
    "openssh-server",
    "openssh-client",
    "wireguard-go",
    "wireguard-tools",
    "iproute2",
    "nftables",
    "tcpdump",
    "iputils-ping",
    "python3",
    "squashfuse",
    "fuse3",
    "bubblewrap",
    "procps",
    "util-linux",
    "less",
    "vim-tiny",
)

# CalculiX is in Debian 12 and not in 13: it comes as an image, and as a folder for the on-prem
# nodes.
IMAGE_PACKAGES = ("calculix-ccx", "python3")

LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*")
# Of the image: what a running system fills, and what only a package manager reads.
IMAGE_LEFT_OUT = (
    *(
        f"{folder}/*"
        for folder in ("dev", "proc", "sys", "run", "tmp", "boot", "var/cache", "var/log")
    ),
    "var/lib/apt/*",
    "var/lib/dpkg/info/*",
)

# MariaDB's package makes a data directory with a 100 MB log, which each host would copy at its
# first write.
SMALL_DATABASE = (
    'chroot "$1" sh -c "rm -rf /var/lib/mysql/* && '
    "mariadb-install-db --user=mysql --datadir=/var/lib/mysql "
    '--skip-test-db --innodb-log-file-size=4M >/dev/null"'
)
# apptainer is a guest from another suite: without it the lab still works (bubblewrap is there).
APPTAINER = (
    'if [ -e {deb} ]; then cp {deb} "$1/apptainer.deb"; chroot "$1" apt-get install --yes '
    '--no-install-recommends /apptainer.deb || echo "apptainer does not install"; '
    'rm "$1/apptainer.deb"; fi'
)
# PostgreSQL's package makes a cluster of 40 MB; the lab makes its own where it needs one.
NO_CLUSTER = 'rm -rf "$1"/var/lib/postgresql/*/main "$1"/etc/postgresql/*/main'
HOOKS = (SMALL_DATABASE, NO_CLUSTER, APPTAINER)


@dataclass(frozen=True)
class Root:
    """One Debian root.

    Its suite, its packages, and shell lines run on it at the end ($1 is the root).
    """

    suite: str
    packages: tuple[str, ...]
    hooks: tuple[str, ...] = ()

    def digest(self) -> str:
        """The name of this recipe: equal recipes have equal digests."""
        return hashlib.sha256(repr((self, LEFT_OUT)).encode()).hexdigest()[:16]

    def argv(self, target: Path, mirror: str) -> list[str]:
        """The mmdebstrap command that makes this root at `target`."""
        options = [
            "--mode=root", "--variant=minbase", "--format=directory",
            f"--include={','.join(self.packages)}",
            '--aptopt=APT::Install-Recommends "false"',
            *(f'--aptopt={key} "{value}"' for key, value in _proxies()),
            "--dpkgopt=force-unsafe-io",
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT),
            *(f"--customize-hook={hook}" for hook in self.hooks),
        ]  # fmt: skip
        return ["mmdebstrap", *options, self.suite, str(target), *([mirror] if mirror else [])]


HOST_ROOT = Root("trixie", HOST_PACKAGES, HOOKS)
IMAGE_ROOT = Root("bookworm", IMAGE_PACKAGES)
#: Slurm 22.05, the oldest that burstd works with.
LEGACY_PACKAGES = (
    "slurmctld",
    "slurmd",
    "slurm-client",
    "slurmdbd",
    "munge",
    "mariadb-server",
    "iproute2",
    "procps",
    "util-linux",
)
# Its older MariaDB wants to look up the machine's name, which the root does not know.
LEGACY_ROOT = Root(
    "bookworm",
    LEGACY_PACKAGES,
    (SMALL_DATABASE.replace("--skip-test-db", "--skip-test-db --force"),),
)

#: Ceph's S3 server with the least that it runs on, and a program that signs requests.
RGW_ROOT = Root(
    "trixie",
    ("ceph-mon", "ceph-osd", "radosgw", "ceph-common", "curl", "iproute2", "procps", "util-linux"),
)


def mirror() -> str:
    """The Debian archive this machine itself uses; "" leaves the choice to mmdebstrap."""
    release = _os_release().get("VERSION_CODENAME", "")
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(ORIGIN)"]
    lines = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.splitlines()
    for line in lines:
        uri, found, *origin = line.split(maxsplit=2)
        if found == release and origin in ([], ["Debian"]):
            return uri
    return ""


def _proxies() -> list[tuple[str, str]]:
    asked = ["apt-config", "dump", "--format", "%f %v%n", "Acquire"]
    dump = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    pairs = [line.split(" ", 1) for line in dump.splitlines() if "::Proxy " in line]
    return [(key, value) for key, value in pairs if value]


def _os_release() -> dict[str, str]:
    lines = Path("/etc/os-release").read_text().splitlines()
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}
