"""Whole files of the store. Where the file system can share the blocks of two files (XFS, btrfs,
and NFS 4.2 before them), one that was built before is there again without a byte being read or
written: ioctl_ficlone(2).

A model's name is the digest of the names of its chunks, all of which were looked at when it was
built; whoever gets a copy may write into it, and the model stays as it is.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from typing import Optional

from burstd.far import chunks, paths

FICLONE = 0x40049409  # linux/fs.h
LEAST = 1024 * 1024  #: bytes; a smaller file is written as fast
DIRECTORY = b"models"


def key_of(names: Iterable[bytes]) -> str:
    """What a file with these chunks is called, in hex; their names, some at a time."""
    digest = chunks.Blake3()
    for some in names:
        digest.update(some)
    return digest.digest().hex()


def row(path: str, key: str, size: int, mtime_ns: int, mode: int) -> list[object]:
    """A file to be copied, as the request `clone` has it."""
    return [path, key, size, mtime_ns, mode]


class Models:
    """Those of one store; none where its file system can't."""

    def __init__(self, store: int, wanted: bool = True) -> None:
        """`store`: a descriptor of its directory; it stays the caller's."""
        self._store = store
        self._opened: Optional[int] = None
        self._usable: Optional[bool] = None if wanted else False

    @property
    def usable(self) -> bool:
        """Whether it can have any; tried once."""
        if self._usable is None:
            try:
                self._usable = self._probe()
            except OSError:  # no room, or no right: then files are written as ever
                self._usable = False
        return self._usable

    @property
    def _fd(self) -> int:
        if self._opened is None:
            self._opened = paths.open_directory(self._store, (DIRECTORY,), create=True)
        return self._opened

    def keep(self, fd: int, names: bytes) -> None:
        """Remembers an open file that was just built of these chunks. Without room there is one
        model less."""
        name, temporary = key_of((names,)).encode(), b"new." + secrets.token_hex(8).encode()
        if not self.usable or self._used(name):
            return
        with contextlib.suppress(OSError):
            made = self._clone(fd, temporary, self._fd)
            if made is not None:
                os.close(made)
                os.rename(temporary, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def copy(self, key: str, size: int, parent: int, name: bytes) -> Optional[int]:
        """A new file there with that content, open, or nothing: there is no such model."""
        if not self.usable or len(key) != 2 * chunks.DIGEST:
            return None
        try:
            model = paths.open_regular(self._fd, paths.split("/" + key))
        except FileNotFoundError:
            return None
        try:
            if os.fstat(model).st_size != size:
                return None
            made = self._clone(model, name, parent)
        finally:
            os.close(model)
        if made is not None:
            self._used(key.encode())
        return made

    def sizes(self) -> Iterator[tuple[float, bytes, int]]:
        """When each was used last, its name and bytes."""
        try:
            os.stat(DIRECTORY, dir_fd=self._store)
        except FileNotFoundError:
            return
        for name in map(os.fsencode, os.listdir(self._fd)):
            with contextlib.suppress(FileNotFoundError):
                fact = os.stat(name, dir_fd=self._fd)
                yield fact.st_mtime, name, fact.st_size

    def remove(self, name: bytes) -> None:
        """It is only built again."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._fd)

    def close(self) -> None:
        """Gives the descriptor back."""
        if self._opened is not None:
            os.close(self._opened)
            self._opened = None

    def _used(self, name: bytes) -> bool:
        now = time.time_ns()
        try:
            os.utime(name, ns=(now, now), dir_fd=self._fd)
        except FileNotFoundError:
            return False
        return True

    def _clone(self, source: int, name: bytes, parent: int) -> Optional[int]:
        """The copy, open; nothing where these two can't share blocks."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        made = os.open(name, flags, 0o600, dir_fd=parent)
        try:
            fcntl.ioctl(made, FICLONE, source)
        except OSError as error:
            os.close(made)
            os.unlink(name, dir_fd=parent)
            if error.errno in (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY):
                return None
            raise
        return made

    def _probe(self) -> bool:
        one, two = (b"new." + secrets.token_hex(8).encode() for _ in range(2))
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        source = os.open(one, flags, 0o600, dir_fd=self._fd)
        try:
            made = self._clone(source, two, self._fd)
            if made is not None:
                os.close(made)
                os.unlink(two, dir_fd=self._fd)
            return made is not None
        finally:
            os.close(source)
            os.unlink(one, dir_fd=self._fd)
