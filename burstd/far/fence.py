"""Whose a run's tree is. An agent that comes again begins anew, while a conversation of an earlier
one may hang: on a file system that stood still it goes on later, with what it had been told, and
must not touch what was built since.
"""

from __future__ import annotations

import os
import secrets

from burstd.far.errors import BUSY, REFUSED, FarError
from burstd.far.rundir import RunDir

NAME = b"fence"
_SIZE = 32
_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC


class Fence:
    """What one conversation has found, or written, there when it began."""

    def __init__(self, run: RunDir, first: bool) -> None:
        """`first`: earlier ones are over. Others go on beside who is there. Raises OSError."""
        self._run = run
        self._token = _written(run.fd) if first and not run.last_start() else _read(run.fd)

    def check(self) -> None:
        """Before the tree is touched. Raises FarError: refused once the burst has started, busy
        if an agent has begun anew since; and OSError."""
        if self._run.last_start():
            raise FarError(REFUSED, "this burst has started: its inputs are closed")
        if _read(self._run.fd) != self._token:
            raise FarError(BUSY, "an agent that came later has begun anew")


def _written(run: int) -> bytes:
    """In place, and on the disk: NFS looks at a file that is opened, but only now and then at which
    file a name leads to."""
    token = secrets.token_hex(_SIZE // 2).encode()
    fd = os.open(NAME, os.O_WRONLY | os.O_CREAT | _FLAGS, 0o600, dir_fd=run)
    try:
        os.pwrite(fd, token, 0)
        os.fsync(fd)
    finally:
        os.close(fd)
    return token


def _read(run: int) -> bytes:
    try:
        fd = os.open(NAME, os.O_RDONLY | _FLAGS, dir_fd=run)
    except FileNotFoundError:
        return b""
    try:
        return os.pread(fd, _SIZE, 0)
    finally:
        os.close(fd)
