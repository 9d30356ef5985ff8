"""Which chunks the conversations at one store are just bringing. Jobs of a study are forwarded
together: what one of them was told to send, the others wait for.

A directory of the store's owner with a file for each conversation: the names that it was asked for
and has not brought yet; none if it only waits. Its lock says that somebody is alive there. All that
is read and written here is so by one at a time, and counted: who waits looks no further while
nothing has changed. Where a file system has no locks nobody waits for anybody.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import signal
import time
from collections.abc import Iterable, Iterator

from burstd.far import chunks, paths

#: Seconds without a chunk from which on nobody waits for a conversation any more; how often each
#: shows that it goes on; how often it is looked whether somebody was killed.
STALLED, SHOWN, LOOKED = 300.0, 5.0, 5.0
_LOCK = b"lock"
PATIENCE = 30.0  #: seconds until the others let us have a turn


class _Other:
    """Another conversation's names, as far as we have read them."""

    def __init__(self, directory: int, name: bytes) -> None:
        self._directory, self._name = directory, name
        self.names, self._read = set[bytes](), 0
        self._shown, self._since, self._alive = -1, 0.0, 0.0
        self.stalled = False

    def look(self) -> None:
        """Reads on. Raises OSError."""
        fact = os.stat(self._name, dir_fd=self._directory, follow_symlinks=False)
        now = time.monotonic()
        if fact.st_mtime_ns != self._shown:
            self._shown, self._since = fact.st_mtime_ns, now
        self.stalled = self.stalled or now - self._since >= STALLED
        if fact.st_size > self._read:
            fd = paths.open_regular(self._directory, (self._name,))
            try:
                more = os.pread(fd, fact.st_size - self._read, self._read)
            finally:
                os.close(fd)
            more = more[: len(more) - len(more) % chunks.DIGEST]
            self._read += len(more)
            self.names.update(chunks.each(more))

    def over(self) -> bool:
        """Whether it has ended, or was killed; it is not looked at each time."""
        now = time.monotonic()
        if now - self._alive >= LOOKED:
            try:
                fd = paths.open_regular(self._directory, (self._name,))
            except OSError:
                return True
            try:
                if _locked(fd, fcntl.LOCK_SH):
                    return True
            finally:
                os.close(fd)
            self._alive = now
        return False


class Claims:
    """Ours, and what we know of the others'. All of it but `came` and `news` wants a turn, see
    `turn`."""

    def __init__(self, store: int, prefix: bytes, wanted: bool, first: bool) -> None:
        """`store`: a descriptor of its directory, the caller's. `prefix`: of this burst's names
        there: we don't wait for other conversations of it. `wanted`: else there are none. `first`:
        earlier ones are over and may hang; nobody waits for them any more."""
        self._prefix = prefix
        self._directory = _directory(store) if wanted else -1
        self._lock = _lock_in(self._directory) if self._directory >= 0 else -1
        self._seen, self._looked, self._changed = -1, 0.0, False
        self._others: dict[bytes, _Other] = {}
        self._ours: set[bytes] = set()
        self._came: set[bytes] = set()  #: of those
        self._name, self._fd, self._shown = b"", -1, 0.0
        if first:
            self._forget_earlier()

    def _forget_earlier(self) -> None:
        with self.turn() as turn:
            for name in map(os.fsencode, os.listdir(self._directory)) if turn else ():
                if name.startswith(self._prefix):
                    os.unlink(name, dir_fd=self._directory)
                    self._changed = True

    @contextlib.contextmanager
    def turn(self) -> Iterator[bool]:
        """While no other conversation has it. False: there are none, or somebody keeps his for
        long; then nobody is waited for any more."""
        if self._lock >= 0 and not _waited(self._lock):
            os.close(self._lock)
            self._lock = -1
        if self._lock < 0:
            yield False
            return
        self._changed = False
        try:
            yield True
        finally:
            if self._changed:  # what we have changed is no news to us
                count = self._count() + 1
                self._seen = count if self._seen == count - 1 else self._seen
                os.pwrite(self._lock, count.to_bytes(8, "little"), 0)
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _count(self) -> int:
        return int.from_bytes(os.pread(self._lock, 8, 0), "little")

    def news(self) -> bool:
        """Whether it is worth a look: something has changed, or the last one was a while ago."""
        if self._lock < 0:
            return True
        return self._count() != self._seen or time.monotonic() - self._looked >= LOOKED

    def look(self) -> tuple[bool, bool]:
        """Reads what others have claimed since. Whether any may have begun, gone on or ended, so
        that the store may have more by now; and whether one was killed, which leaves a pack that
        is not finished."""
        if not self.news():
            return False, False
        count, self._looked = self._count(), time.monotonic()
        changed, self._seen = count != self._seen, count
        listed = map(os.fsencode, os.listdir(self._directory))
        there = {n for n in listed if n != _LOCK and not n.startswith(self._prefix)}
        self._others = {name: o for name, o in self._others.items() if name in there}
        killed = False
        for name in there:
            other = self._others.setdefault(name, _Other(self._directory, name))
            with contextlib.suppress(OSError):
                other.look()
            killed = self._is_over(name) or killed
        return changed, killed

    def _is_over(self, name: bytes) -> bool:
        if not self._others[name].over():
            return False
        del self._others[name]
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=self._directory)
        self._changed = True
        return True

    @property
    def others(self) -> int:
        """How many conversations bring something beside us, or wait, as far as we have looked."""
        return len(self._others)

    def brought(self, names: Iterable[bytes]) -> set[bytes]:
        """Those that another conversation is about to bring."""
        wanted = set(names)
        found = [other.names & wanted for other in self._others.values() if not other.stalled]
        return set().union(*found)

    def claim(self, names: Iterable[bytes], waits: bool) -> None:
        """From now on they are ours to bring. `waits`: for others, who see that we are there.
        Raises OSError."""
        fresh = b"".join(names)
        if fresh or (waits and self._fd < 0):
            self._ours.update(chunks.each(fresh))
            if self._fd < 0:
                self._begin()
            else:
                os.write(self._fd, fresh)
            self._changed = True

    def came(self, names: Iterable[bytes]) -> None:
        """They are in the store, in a pack that is not finished yet."""
        if self._lock >= 0:  # else it is never asked what did not
            self._came.update(names)
        now = time.monotonic()
        if self._fd >= 0 and now - self._shown >= SHOWN:
            os.utime(self._fd)
            self._shown = now

    def finished(self) -> None:
        """So is now the pack of all that came: of ours there is what did not. Raises OSError."""
        left = self._ours - self._came
        self.release()
        self._ours = left
        if left:
            self._begin()

    def release(self) -> None:
        """Nobody waits for us any more."""
        self._ours, self._came = set(), set()
        if self._fd >= 0:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._name, dir_fd=self._directory)
            os.close(self._fd)
            self._fd, self._changed = -1, True

    def close(self) -> None:
        """Gives the descriptors back."""
        self.release()
        for fd in (self._lock, self._directory):
            if fd >= 0:
                os.close(fd)
        self._lock = self._directory = -1

    def _begin(self) -> None:
        self._name = self._prefix + secrets.token_hex(8).encode()
        self._fd = paths.create(self._directory, self._name, os.O_RDWR | os.O_APPEND)
        _locked(self._fd, fcntl.LOCK_EX)
        os.write(self._fd, b"".join(self._ours))
        self._shown, self._changed = time.monotonic(), True


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


def _lock_in(directory: int) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(_LOCK, flags, 0o600, dir_fd=directory)
    except OSError:
        return -1


def _waited(fd: int) -> bool:
    """Whether we have the lock, after a while. The kernel lets those who wait have it in turn; a
    try now and then would cost more than what is done within one."""
    if _locked(fd, fcntl.LOCK_EX):
        return True
    before = signal.signal(signal.SIGALRM, _too_long)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    except OSError:  # or it took too long
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)
        return False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return True


def _too_long(_number: int, _frame: object) -> None:
    raise TimeoutError  # an OSError


def _locked(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
