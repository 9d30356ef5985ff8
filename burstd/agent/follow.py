"""What grows while the job runs: standard output and error, and the profile's live files."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

from burstd.agent.ways import Refused, descend, inside
from burstd.domain.data import Mark
from burstd.ports.depot import Depot, Growing
from burstd.ports.errors import Rejected

BLOCK = 2**20
#: fsync(2) of a pipe, a terminal or /dev/null.
_NO_FILE = frozenset({errno.EINVAL, errno.EROFS, errno.ENOTSUP})
_OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass
class Follower:
    """``positions``: bytes of "stdout"/"stderr" that this stand-in has written already.

    ``copies``: the live files that are ours, as we left them; ``marks``: how names looked at
    stage-in. Only those two kinds are written to, and only below ``roots``: the far end names the
    files, and is not to be believed.
    """

    depot: Depot
    positions: MutableMapping[str, int]
    marks: Mapping[str, Mark]
    copies: MutableMapping[str, Mark]
    roots: tuple[Path, ...]
    #: Called before each write to a stream, with its name and descriptor, and after each to a file.
    before_writing: Callable[[str, int], None] = field(default=lambda _stream, _descriptor: None)
    written: Callable[[], None] = field(default=lambda: None)

    def once(self) -> Growing:
        """Copy what has grown since the last time; how it was then."""
        now = self.depot.growing()
        self.streams(now)
        for path, size in sorted(now.files.items()):
            self._live(path, size)
        return now

    def streams(self, now: Growing) -> None:
        """Append to the job's own output files, where slurmd opened them."""
        self._stream("stdout", 1, now.stdout)
        self._stream("stderr", 2, now.stderr)

    def keep(self) -> None:
        """The job's output files to disk, before anybody hears that all is at home."""
        for descriptor in (1, 2):
            try:
                os.fsync(descriptor)
            except OSError as error:
                if error.errno not in _NO_FILE:
                    raise

    def _stream(self, name: str, descriptor: int, size: int) -> None:
        position = self.positions.get(name, 0)
        while position < size:
            block = self.depot.read(name, position, min(BLOCK, size - position))
            if not block:
                return
            while block:
                self.before_writing(name, descriptor)
                written = os.write(descriptor, block)
                position += written
                block = block[written:]
                self.positions[name] = position

    def _live(self, path: str, size: int) -> None:
        """Append to our copy; one that is not ours any more is left alone (landing decides)."""
        descriptor = self._ours(path)
        if descriptor is None:
            return
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            try:
                self._grow(file, path, size)
            finally:  # ours, however far it came
                seen = os.fstat(file.fileno())
                self.copies[path] = Mark(seen.st_size, seen.st_mtime_ns, seen.st_ino)
                self.written()

    def _grow(self, file: FileIO, path: str, size: int) -> None:
        have = file.seek(0, os.SEEK_END)
        if path not in self.copies or have > size:  # an older run's file, or a rewritten one
            file.truncate(0)
            have = file.seek(0)
        while have < size:
            try:
                block = self.depot.read(path, have, min(BLOCK, size - have))
            except Rejected:  # its job has renamed or removed it since; at the end the landing does
                return
            if not block:
                return
            have += file.write(block)

    def _ours(self, path: str) -> int | None:
        try:
            root, parts = inside(path, self.roots)
            directory = descend(root, parts[:-1], make=False)
        except (Refused, FileNotFoundError):  # the landing says why, or makes the directory
            return None
        try:
            name = parts[-1]
            try:
                descriptor = os.open(name, _OPEN, dir_fd=directory)
            except FileNotFoundError:
                return os.open(name, _OPEN | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=directory)
            except OSError:
                return None
            ours = False
            try:
                ours = self._is_known(path, os.fstat(descriptor))
            finally:
                if not ours:
                    os.close(descriptor)
            return descriptor if ours else None
        finally:
            os.close(directory)

    def _is_known(self, path: str, seen: os.stat_result) -> bool:
        known = self.copies.get(path) or self.marks.get(path)
        mark = Mark(seen.st_size, seen.st_mtime_ns, seen.st_ino)
        return stat.S_ISREG(seen.st_mode) and known == mark
