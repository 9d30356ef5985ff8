"""One burst's directory at the far end: its names, its start markers, its lock."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import time
from typing import Optional

from burstd.far import paths
from burstd.far.errors import MISSING, REFUSED, FarError

TREE, IO, STEPS = b"tree", b"io", b"steps"
ORDER, SCRIPT, LIVE = b"order.json", b"script", b"live.json"
STATUS, END, LOCK = b"status.json", b"end.json", b"lock"

MAX_DOCUMENT = 1 << 30  # an order or end record with millions of files
_NEW = b".new"  #: what names begin with until a document is whole
_ABANDONED = 3600  #: seconds since the last write
_START = re.compile(rb"start\.([1-9][0-9]{0,8})")


def open_runs(root: str, create: bool) -> int:
    """A descriptor of ROOT/runs. Raises FarError(missing)."""
    if create:
        os.makedirs(root, mode=0o700, exist_ok=True)
    try:
        top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise FarError(MISSING, f"no directory {root}") from error
    try:
        return paths.open_directory(top, (b"runs",), create)
    except FileNotFoundError as error:
        raise FarError(MISSING, f"no directory {root}/runs") from error
    finally:
        os.close(top)


class RunDir:
    """An open run directory. `fd` stays open as long as the object is used."""

    def __init__(self, root: str, key: str, fd: int) -> None:
        self.key = key
        self.fd = fd
        self.path = os.path.join(os.path.abspath(root), "runs", key)

    @classmethod
    def open(cls, root: str, key: str, create: bool = False) -> RunDir:
        """Opens (or makes, 0700) ROOT/runs/KEY. Raises FarError(refused | missing), OSError."""
        name = paths.checked_key(key).encode()
        runs = open_runs(root, create)
        try:
            fd = paths.open_directory(runs, (name,), create)
        except FileNotFoundError as error:
            raise FarError(MISSING, f"no run directory {key}") from error
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            raise FarError(REFUSED, f"{key} is not a run directory") from error
        finally:
            os.close(runs)
        if os.fstat(fd).st_uid != os.geteuid():
            os.close(fd)
            raise FarError(REFUSED, f"{key} belongs to somebody else")
        return cls(root, key, fd)

    def directory(self, name: bytes) -> int:
        """A new descriptor of a directory in the run directory, made if it is missing."""
        return paths.open_directory(self.fd, (name,), create=True)

    def read(self, name: bytes) -> Optional[bytes]:
        """A document of the run directory, or None if it is not there."""
        try:
            return paths.read_regular(self.fd, name, MAX_DOCUMENT)
        except FileNotFoundError:
            return None

    def write(self, name: bytes, content: bytes, mode: int = 0o600, durable: bool = True) -> None:
        """Replaces a document at once or not at all. Raises OSError and leaves the old one."""
        temporary = b".".join((_NEW, name, secrets.token_hex(8).encode()))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(temporary, flags, mode, dir_fd=self.fd)
        try:
            with os.fdopen(fd, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fchmod(stream.fileno(), mode)
                if durable:
                    os.fsync(stream.fileno())
            os.rename(temporary, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=self.fd)
            raise
        if durable:
            os.fsync(self.fd)

    def tidy(self) -> None:
        """Removes what somebody who was killed had not written, or not removed, whole."""
        for name in map(os.fsencode, os.listdir(self.fd)):
            if name.startswith(_NEW + b"."):
                with contextlib.suppress(OSError):
                    if time.time() - os.stat(name, dir_fd=self.fd).st_mtime > _ABANDONED:
                        paths.remove(self.fd, name)

    def discard(self, name: bytes) -> None:
        """Removes a directory with all that is in it; at once it has no more the name. Raises
        OSError."""
        aside = b".".join((_NEW, name, secrets.token_hex(8).encode()))
        os.rename(name, aside, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        paths.remove_tree(self.fd, aside)

    def last_start(self) -> int:
        """The highest attempt that was ever started here; 0 if none."""
        found = (_START.fullmatch(os.fsencode(name)) for name in os.listdir(self.fd))
        return max((int(match.group(1)) for match in found if match), default=0)

    def mark_start(self, attempt: int) -> int:
        """Makes start.N durably and returns the file system's clock (ns) at that moment.

        Raises FileExistsError if this or a later attempt was started before.
        """
        if self.last_start() >= attempt:
            raise FileExistsError(errno.EEXIST, "already started")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(b"start.%d" % attempt, flags, 0o600, dir_fd=self.fd)
        try:
            os.write(fd, f"{os.uname().nodename} {os.getpid()}\n".encode())
            os.fsync(fd)
            moment = os.fstat(fd).st_ctime_ns
        finally:
            os.close(fd)
        os.fsync(self.fd)
        return moment

    def lock(self) -> Optional[int]:
        """The runner's lock: held as long as the returned descriptor is open; None if taken.

        Where the file system has no locks, every caller gets it: the start marker still holds.
        """
        fd = os.open(
            LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self.fd
        )
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                os.close(fd)
                return None
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                os.close(fd)
                raise
        return fd

    def busy(self) -> bool:
        """Whether a runner is alive here."""
        if not present(self.fd, LOCK):
            return False
        fd = self.lock()
        if fd is None:
            return True
        os.close(fd)
        return False

    def close(self) -> None:
        """Gives the descriptor back."""
        os.close(self.fd)


def present(parent: int, name: bytes) -> bool:
    """Whether there is anything of that name, a dangling link included."""
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
