"""What stands in a run's tree as earlier conversations of this burst have built it.

Before a burst starts nothing of it writes there, but other programs of its user could. So each file
is remembered with what changes when it does: a program can set the time of a file's last change
back, but not that of its inode's. Who finds the same need not read it again. What was built in the
last moments is not remembered: it could be written to in the same tick of the file system's clock.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets

from burstd.far.rundir import RunDir

PREFIX = b"built."
SETTLED_NS = 2_000_000_000

#: Digest, and size, mtime, ctime (nanoseconds), inode and mode.
Mark = list[object]


def any_in(run: RunDir) -> bool:
    """Whether anything is remembered there."""
    return any(os.fsencode(name).startswith(PREFIX) for name in os.listdir(run.fd))


def mark(fact: os.stat_result, digest: str) -> Mark:
    """Of a file of the tree, whose content has that digest."""
    times = fact.st_mtime_ns, fact.st_ctime_ns
    return [digest, fact.st_size, *times, fact.st_ino, fact.st_mode & 0o7777]


class Standing:
    """Of one run; several conversations may have theirs at once."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._marks: dict[str, Mark] = {}
        self._read: list[bytes] = []
        for name in sorted(map(os.fsencode, os.listdir(run.fd))):
            if name.startswith(PREFIX):
                self._read.append(name)
                with contextlib.suppress(ValueError, OSError):
                    self._marks.update(_read(run.read(name) or b"{}"))
        self.fresh = False  #: whether there is more than was read

    def has(self, path: str, fact: os.stat_result, digest: str) -> bool:
        """Whether it is as it was built, with that content."""
        return self._marks.get(path) == mark(fact, digest)

    def add(self, path: str, fact: os.stat_result, digest: str) -> None:
        """It has just been built, or read and found right."""
        self._marks[path] = mark(fact, digest)
        self.fresh = True

    def made(
        self, path: str, digest: str, size: int, facts: tuple[int, int, int], mode: int
    ) -> None:
        """The same of one that is new: with the times of its last change and of its inode's, and
        its inode."""
        self._marks[path] = [digest, size, *facts, mode]
        self.fresh = True

    def keep(self) -> None:
        """For the next conversation, once all of it is on the disk. Raises OSError: then that one
        reads."""
        if not self.fresh:
            return
        self.fresh = False
        name = PREFIX + secrets.token_hex(8).encode()
        self._run.write(name, b"{}", durable=False)
        now = os.stat(name, dir_fd=self._run.fd).st_ctime_ns  # by the file system's own clock
        kept = {path: one for path, one in self._marks.items() if _ctime(one) < now - SETTLED_NS}
        self._run.write(name, json.dumps(kept, separators=(",", ":")).encode(), durable=False)
        for old in self._read:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(old, dir_fd=self._run.fd)

    def forget(self) -> None:
        """Nothing is known of any file there, nor will be of these."""
        self._marks, self.fresh = {}, False
        for name in map(os.fsencode, os.listdir(self._run.fd)):
            if name.startswith(PREFIX):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=self._run.fd)


def _read(document: bytes) -> dict[str, Mark]:
    """Raises ValueError; what is no mark is left out."""
    found = json.loads(document)
    marks = found.items() if isinstance(found, dict) else ()
    kinds = [str, int, int, int, int, int]
    return {path: one for path, one in marks if isinstance(one, list) and _kinds(one) == kinds}


def _kinds(values: Mark) -> list[type]:
    return list(map(type, values))


def _ctime(mark: Mark) -> int:
    return int(str(mark[3]))
