"""Which chunks the conversations at one store are just bringing. Jobs of a study are forwarded
together: what one of them was told to send, the others wait for.

A directory of the store's owner with a file for each conversation: the names that it was asked for
and has not brought yet. Its lock says that somebody is alive there; all that is read and written
here is so by one at a time. Where a file system has no locks nobody waits for anybody.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Iterable, Iterator

from burstd.far import chunks, paths

#: Seconds without a chunk from which on nobody waits for a conversation any more; how often each
#: shows that it goes on.
STALLED, SHOWN = 60.0, 5.0
_LOCK = b"lock"
_TRIES, _PAUSE = 100, 0.01  #: until the others let us have a turn


class _Other:
    """Another conversation's names, as far as we have read them."""

    def __init__(self, fd: int) -> None:
        self.fd, self.names, self._read = fd, set[bytes](), 0
        self._shown, self._since = -1, 0.0
        self.stalled = False

    @property
    def over(self) -> bool:
        """Whoever held it has ended, or was killed."""
        return _locked(self.fd, fcntl.LOCK_SH)

    def look(self) -> None:
        """Reads on."""
        fact, now = os.fstat(self.fd), time.monotonic()
        if fact.st_mtime_ns != self._shown:
            self._shown, self._since = fact.st_mtime_ns, now
        self.stalled = self.stalled or now - self._since >= STALLED
        if fact.st_size > self._read:
            more = os.pread(self.fd, fact.st_size - self._read, self._read)
            more = more[: len(more) - len(more) % chunks.DIGEST]
            self._read += len(more)
            self.names.update(chunks.each(more))


class Claims:
    """Ours, and what we know of the others'. All of it but ``came`` wants a turn, see ``turn``."""

    def __init__(self, store: int, prefix: bytes, wanted: bool = True) -> None:
        """`store`: a descriptor of its directory, the caller's. `prefix`: of this burst's names
        there: an earlier conversation of it may hang, nobody waits for that. `wanted`: else there
        are none."""
        self._prefix = prefix
        self._directory = _directory(store) if wanted else -1
        self._changed_ns = -1  #: when anybody last began, ended or had finished a pack
        self._others: dict[bytes, _Other] = {}
        self._ours: set[bytes] = set()
        self._came: set[bytes] = set()  #: of those
        self._name, self._fd, self._shown = b"", -1, 0.0

    @contextlib.contextmanager
    def turn(self) -> Iterator[bool]:
        """While no other conversation has it. False: it could not be had, now or ever."""
        lock = _lock_of(self._directory) if self._directory >= 0 else -1
        try:
            yield lock >= 0
        finally:
            if lock >= 0:
                os.close(lock)

    def look(self) -> tuple[bool, bool]:
        """Reads what others have claimed since. Whether any may have begun, gone on or ended, so
        that the store may have more by now; and whether one was killed, which leaves a pack that
        is not finished."""
        changed_ns = os.fstat(self._directory).st_mtime_ns
        changed, self._changed_ns = changed_ns != self._changed_ns, changed_ns
        listed = map(os.fsencode, os.listdir(self._directory))
        there = {n for n in listed if n != _LOCK and not n.startswith(self._prefix)}
        for name in [name for name in self._others if name not in there]:
            os.close(self._others.pop(name).fd)
        for name in there.difference(self._others):
            with contextlib.suppress(OSError):
                self._others[name] = _Other(paths.open_regular(self._directory, (name,)))
        killed = False
        for name, other in list(self._others.items()):
            if other.over:
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=self._directory)
                os.close(self._others.pop(name).fd)
                killed = True
            else:
                other.look()
        return changed, killed

    @property
    def others(self) -> int:
        """How many conversations bring something beside us, as far as we have looked."""
        return len(self._others)

    def brought(self, names: Iterable[bytes]) -> set[bytes]:
        """Those that another conversation is about to bring."""
        wanted = set(names)
        found = [other.names & wanted for other in self._others.values() if not other.stalled]
        return set().union(*found)

    def claim(self, names: Iterable[bytes]) -> None:
        """From now on they are ours to bring. Raises OSError."""
        fresh = b"".join(names)
        if fresh:
            self._ours.update(chunks.each(fresh))
            if self._fd < 0:
                self._begin(b"".join(self._ours))
            else:
                os.write(self._fd, fresh)

    def came(self, names: Iterable[bytes]) -> None:
        """They are in the store, in a pack that is not finished yet."""
        self._came.update(names)
        now = time.monotonic()
        if self._fd >= 0 and now - self._shown >= SHOWN:
            os.utime(self._fd)
            self._shown = now

    def finished(self) -> None:
        """So is now the pack of all that came: of ours there is what did not. Raises OSError."""
        self.release()
        self._ours -= self._came
        self._came.clear()
        if self._ours:
            self._begin(b"".join(self._ours))

    def release(self) -> None:
        """Nobody waits for us any more."""
        if self._fd >= 0:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._name, dir_fd=self._directory)
            os.close(self._fd)
            self._fd = -1

    def close(self) -> None:
        """Gives the descriptors back."""
        self.release()
        for other in self._others.values():
            os.close(other.fd)
        self._others = {}
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1

    def _begin(self, names: bytes) -> None:
        self._name = self._prefix + secrets.token_hex(8).encode()
        self._fd = paths.create(self._directory, self._name, os.O_RDWR | os.O_APPEND)
        _locked(self._fd, fcntl.LOCK_EX)
        os.write(self._fd, names)
        self._shown = time.monotonic()


def _directory(store: int) -> int:
    """Each user's own, also in a group's store: others are not waited for. -1: there is none."""
    own = b"claims.%d" % os.geteuid()
    try:
        found = paths.open_directory(store, (own,), create=True)
    except OSError:
        return -1
    fact = os.fstat(found)
    if fact.st_uid == os.geteuid() and not fact.st_mode & 0o077:
        return found
    os.close(found)
    return -1


def _lock_of(directory: int) -> int:
    """A descriptor that holds the lock, or -1."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(_LOCK, flags, 0o600, dir_fd=directory)
    except OSError:
        return -1
    for _ in range(_TRIES):
        if _locked(fd, fcntl.LOCK_EX):
            return fd
        time.sleep(_PAUSE)
    os.close(fd)
    return -1


def _locked(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
