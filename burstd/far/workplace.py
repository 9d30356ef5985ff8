"""A private directory of one process on one node: mount point, /tmp of the container, scraps."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile

from burstd.far import images, paths

PREFIX = "burst-"
ALIVE = b"alive"  # locked as long as a process lives that needs the directory


def make_work(parent: str) -> str:
    """A new directory (0700), ours until this process and its forks end. Raises OSError.

    Those of our user whose processes were killed are removed on this occasion.
    """
    work = tempfile.mkdtemp(prefix=PREFIX, dir=parent)
    lock = os.path.join(os.fsencode(work), ALIVE)
    # It gets its name once it is held: until then another step would take it for one that is left.
    _claim(lock + b".new", os.O_CREAT | os.O_EXCL)
    os.rename(lock + b".new", lock)
    for name in os.listdir(parent):
        other = os.path.join(parent, name)
        if name.startswith(PREFIX) and other != work and _is_left(other):
            remove_work(other)
    return work


def _claim(lock: bytes, flags: int = 0) -> int:
    """The lock's descriptor, held. Raises OSError: taken, or not there (yet)."""
    fd = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


def _is_left(work: str) -> bool:
    """Nobody alive holds it. One without a lock is somebody else's, or is just being made."""
    try:
        if os.lstat(work).st_uid != os.geteuid():
            return False
        os.close(_claim(os.path.join(os.fsencode(work), ALIVE)))
    except OSError:
        return False
    return True


def remove_work(work: str) -> None:
    """Unmounts what is mounted in it and removes it. What cannot be removed is left."""
    images.unmount(os.path.join(work, "root"))
    parent = os.open(os.path.dirname(work), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            paths.remove_tree(parent, os.fsencode(os.path.basename(work)))
    finally:
        os.close(parent)


class SharedPlace:
    """A directory that all ranks of a step on one node use; the last one to leave removes it.

    MPI libraries meet there: a rank with a /tmp of its own finds no shared memory.
    """

    def __init__(self, parent: str, name: str) -> None:
        """Makes or joins it (0700). Raises OSError if somebody else's directory is in the way."""
        self.path = os.path.join(parent, f"{PREFIX}{name}")
        self._parent = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._name = os.fsencode(os.path.basename(self.path))
        while not self._joined():
            pass

    def _joined(self) -> bool:
        self._fd = paths.open_directory(self._parent, (self._name,), create=True)
        fact = os.fstat(self._fd)
        if fact.st_uid != os.geteuid():
            raise PermissionError(f"{self.path} belongs to somebody else")
        fcntl.flock(self._fd, fcntl.LOCK_SH)
        with contextlib.suppress(FileNotFoundError):
            now = os.stat(self._name, dir_fd=self._parent, follow_symlinks=False)
            if (now.st_dev, now.st_ino) == (fact.st_dev, fact.st_ino):
                return True
        os.close(self._fd)  # the last of the others removed it just now
        return False

    def leave(self) -> None:
        """Gives it up; removes it if nobody else is there."""
        with contextlib.suppress(OSError):
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            paths.remove_tree(self._parent, self._name)
        os.close(self._fd)
        os.close(self._parent)
