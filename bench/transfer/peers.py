"""Other tools that administrators move files with, where they are installed: ``apt install
openssh-server rclone restic``."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.transfer.tools import COMPRESSED, Bench, Cost
from bench.transfer.wire import FAR

SSH, REST = 8922, 8950
#: Of files at once, and of those that are looked at: for many small ones over a long way.
MANY = ("--transfers", "16", "--checkers", "16")


@dataclass(frozen=True)
class Peer:
    """``ready`` starts what it needs at the far end, which is fresh; ``push`` brings a directory.
    ``tree``: it lies there as it was."""

    name: str
    needs: Sequence[str]
    ready: Callable[[Bench], None]
    push: Callable[[Bench, Path, str], Cost]
    tree: bool = True

    @property
    def lacking(self) -> list[str]:
        """Programs that are not installed."""
        return [name for name in self.needs if shutil.which(name) is None]


def _keys(bench: Bench) -> Path:
    """A directory with keys of both ends, of this bench alone."""
    place = bench.scratch / "ssh"
    if not place.exists():
        place.mkdir(mode=0o700)
        for name in ("host", "id"):
            argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / name)]
            subprocess.run(argv, check=True)
    return place


def _sshd(bench: Bench) -> None:
    keys = _keys(bench)
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd locks itself up
    config = keys / "sshd_config"
    config.write_text(
        f"Port {SSH}\nHostKey {keys}/host\nAuthorizedKeysFile {keys}/id.pub\nStrictModes no\n"
        "PermitRootLogin prohibit-password\nUsePAM no\nPidFile none\n"
        "Subsystem sftp internal-sftp\n"
    )
    program = shutil.which("sshd") or ""
    bench.wire.start(FAR, [program, "-D", "-f", str(config), "-E", str(keys / "log")], SSH)


def _over_ssh(options: Sequence[str]) -> Callable[[Bench, Path, str], Cost]:
    def push(bench: Bench, source: Path, name: str) -> Cost:
        keys = _keys(bench)
        way = f"ssh -F none -i {keys}/id -p {SSH} -o StrictHostKeyChecking=no -o LogLevel=ERROR"
        way += " -o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes"
        to = f"root@{bench.wire.address}:{bench.there}/{name}/"
        return bench.timed(["rsync", *options, "-e", way, f"{source}/", to])

    return push


def _rclone(bench: Bench, source: Path, name: str) -> Cost:
    # Its own check of each file after it came is a command over SSH for each.
    far = f":sftp,host={bench.wire.address},port={SSH},user=root,key_file={_keys(bench)}/id,"
    far += f"shell_type=unix,disable_hashcheck=true:{bench.there}/{name}"
    return bench.timed(["rclone", "--config", "", "copy", *MANY, str(source), far])


def _repository(bench: Bench) -> None:
    place = bench.scratch / "restic"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    (place / "password").write_text("none\n")
    address = f"{bench.wire.address}:{REST}"
    argv = [
        "rclone",
        "-q",
        "--config",
        "",
        "serve",
        "restic",
        "--addr",
        address,
        str(place / "there"),
    ]
    bench.wire.start(FAR, argv, REST)
    bench.timed(_restic(bench, "init"))


def _restic(bench: Bench, *words: str) -> list[str]:
    place = bench.scratch / "restic"
    words = ("-r", f"rest:http://{bench.wire.address}:{REST}/", *words)
    return ["restic", "-q", "--password-file", f"{place}/password", "--cache-dir",
            f"{place}/cache", *words]  # fmt: skip


def _backup(bench: Bench, source: Path, _: str) -> Cost:
    return bench.timed(_restic(bench, "backup", str(source)))


PEERS = (
    Peer("rsync -a, ssh", ("rsync", "sshd"), _sshd, _over_ssh(("-a",))),
    Peer("rsync -az, ssh", ("rsync", "sshd"), _sshd, _over_ssh(COMPRESSED)),
    Peer("rclone, sftp", ("rclone", "sshd"), _sshd, _rclone),
    Peer("restic", ("restic", "rclone"), _repository, _backup, tree=False),
)
