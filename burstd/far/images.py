"""Images as directories: a squashfs file (or the one inside a SIF) is mounted by squashfuse."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import time
from typing import Optional

from burstd.far import spawn
from burstd.far.fields import BadFields

_MAGIC = b"hsqs"
_SIF = b"SIF_MAGIC"
_PAGE = 4096
_SEARCHED = 64 * 1024 * 1024
_PATIENCE_S = 120.0  # a busy node, or a file system over a busy net
# Slurm's TERM goes to all processes of a job; the image must outlive the payload's last words.
_DEAF_TO = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class ImageError(Exception):
    """An image that cannot be used, in words."""


def squashfs_offset(image: str) -> int:
    """Where the squashfs begins in an image file. Raises ImageError, OSError."""
    with open(image, "rb") as stream:
        head = stream.read(_PAGE)
        if head.startswith(_MAGIC):
            return 0
        if _SIF not in head[:64]:
            raise ImageError(f"{image} is neither a directory nor a squashfs nor a SIF file")
        for offset in range(_PAGE, _SEARCHED, _PAGE):
            stream.seek(offset)
            block = stream.read(32)
            if len(block) < 32:
                break
            # Version 4.0 of the superblock: four bytes of text might be chance.
            if block.startswith(_MAGIC) and block[28:32] == b"\x04\x00\x00\x00":
                return offset
    raise ImageError(f"no squashfs in {image}")


class Mount:
    """An image as a directory for as long as it is open. `helper` is squashfuse's process id."""

    def __init__(self, image: str, work: str) -> None:
        """Raises ImageError or OSError, and has then left nothing mounted."""
        self.helper: Optional[int] = None
        self.root = image
        if stat.S_ISDIR(os.stat(image).st_mode):
            return
        program = shutil.which("squashfuse_ll") or shutil.which("squashfuse")
        if program is None:
            raise ImageError(f"{image} is a file and there is no squashfuse")
        offset = squashfs_offset(image)
        self.root = os.path.join(work, "root")
        os.mkdir(self.root, 0o700)
        argv = [program, "-f", "-o", f"ro,offset={offset}", image, self.root]
        self.helper = spawn.start(
            spawn.Program(
                argv=[os.fsencode(word) for word in argv],
                env={b"PATH": os.fsencode(os.environ.get("PATH", os.defpath))},
                deaf_to=_DEAF_TO,
            ),
            lambda: (os.open(os.devnull, os.O_RDWR), 2, 2),
        )
        self._await(image)

    def _await(self, image: str) -> None:
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end:
            if os.path.ismount(self.root):
                return
            if self.helper is None or os.waitpid(self.helper, os.WNOHANG)[0]:
                break
            time.sleep(0.005)  # squashfuse does not say when it is ready
        unmount(self.root)
        raise ImageError(f"squashfuse could not mount {image}")

    def close(self) -> None:
        """Unmounts. The helper ends by itself then."""
        if self.helper is not None:
            unmount(self.root)


def unmount(place: str) -> None:
    """Takes a FUSE mount away, also one whose server is dead; no mount there is fine."""
    program = shutil.which("fusermount3") or shutil.which("fusermount")
    if program is not None and in_mounts(place):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                [program, "-u", "-z", place],
                stdin=subprocess.DEVNULL,
                timeout=30,
                check=False,
            )


def in_mounts(place: str) -> bool:
    """Whether something is mounted exactly there; a dead FUSE mount counts (stat would fail)."""
    wanted = os.fsencode(os.path.realpath(os.path.dirname(place)) + "/" + os.path.basename(place))
    try:
        with open("/proc/self/mountinfo", "rb") as stream:
            return any(_unescaped(line.split()[4]) == wanted for line in stream)
    except (OSError, IndexError, BadFields):
        return False


def _unescaped(name: bytes) -> bytes:
    for code in (b"040", b"011", b"012", b"134"):
        name = name.replace(b"\\" + code, bytes((int(code, 8),)))
    return name
