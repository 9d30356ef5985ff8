"""What grows while the job runs: standard output and error, and the profile's live files."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

from burstd.agent.ways import NO_NAME, Refused, descend, inside
from burstd.domain.data import Mark
from burstd.ports.depot import Depot, Growing
from burstd.ports.errors import Rejected

BLOCK = 2**20
TAIL = 2**10  #: bytes of a copy that are held against its file before it grows
#: fsync(2) of a pipe, a terminal or /dev/null.
_NO_FILE = frozenset({errno.EINVAL, errno.EROFS, errno.ENOTSUP})
#: A directory that nothing may be written to, or not by that name; the landing says so.
_NOT_HERE = NO_NAME | {errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST}
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
    #: What lies at names of live files and is neither, nor a copy that nobody remembers.
    strangers: MutableMapping[str, Mark] = field(default_factory=dict)
    #: Called before the streams are written to; may set their positions.
    begin: Callable[[Growing], None] = field(default=lambda _now: None)
    unsaid: Rejected | None = None  #: why a stream did not come, of the last look

    def once(self) -> Growing:
        """Copy what has grown since the last time; how it was then."""
        now = self.depot.growing()
        self.unsaid = self.streams(now)
        for path, size in sorted(now.files.items()):
            self._live(path, size, now.changed.get(path))
        return now

    def streams(self, now: Growing) -> Rejected | None:
        """Append to the job's own output files, where slurmd opened them. What the far end can't
        read is returned: it keeps nothing else back."""
        try:
            self.begin(now)
        except Rejected as error:
            return Rejected(f"the job's output does not come: {error}")
        unsaid: Rejected | None = None
        for name, descriptor, size in (("stdout", 1, now.stdout), ("stderr", 2, now.stderr)):
            try:
                self._stream(name, descriptor, size)
            except Rejected as error:
                unsaid = Rejected(f"the job's {name} does not come: {error}")
        return unsaid

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

    def _live(self, path: str, size: int, changed: int | None) -> None:
        """Append to our copy; one that is not ours any more is left alone (landing decides)."""
        descriptor = self._ours(path, size)
        if descriptor is None:
            return
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            try:
                self._grow(file, path, size, changed)
            finally:  # ours, however far it came
                self.copies[path] = Mark.of(os.fstat(file.fileno()))
                self.written()

    def _grow(self, file: FileIO, path: str, size: int, changed: int | None) -> None:
        have, ours = file.seek(0, os.SEEK_END), path in self.copies
        try:
            # An older run's file, or a rewritten one, makes room only for what is at hand.
            anew = have > size or not (ours or self.depot.begins_with(path, file.fileno()))
            # One that was written over may have become longer, or be as long as it was.
            same = have == size and changed in {None, os.fstat(file.fileno()).st_mtime_ns}
            have = 0 if anew else have
            at = have if same or not ours else max(0, have - TAIL)
            while at < size:
                block = self.depot.read(path, at, min(BLOCK, size - at))
                if not block:
                    return
                if at < have:
                    known = os.pread(file.fileno(), have - at, at)
                    if not known.startswith(block[: len(known)]):
                        anew, have, at = True, 0, 0
                        continue
                    at, block = at + len(known), block[len(known) :]
                if anew:
                    file.truncate(0)
                    anew, at = False, file.seek(0)
                at += file.write(block)
            if anew:
                file.truncate(0)
        except Rejected:  # its job has renamed or removed it since; at the end the landing does
            return
        # So that the next look knows whether it was written to since.
        if changed is not None and changed != os.fstat(file.fileno()).st_mtime_ns:
            with contextlib.suppress(OSError, OverflowError):
                os.utime(file.fileno(), ns=(changed, changed))

    def _ours(self, path: str, size: int) -> int | None:
        try:
            root, parts = inside(path, self.roots)
            directory = descend(root, parts[:-1], make=False)
        except (Refused, FileNotFoundError):  # the landing says why, or makes the directory
            return None
        except OSError as error:
            if error.errno not in NO_NAME:
                raise
            return None
        try:
            name = parts[-1]
            try:
                descriptor = os.open(name, _OPEN, dir_fd=directory)
            except FileNotFoundError:
                return self._new(path, name, directory)
            except OSError:
                return None
            ours = False
            try:
                ours = self._is_ours(path, descriptor, size)
            finally:
                if not ours:
                    os.close(descriptor)
            return descriptor if ours else None
        finally:
            os.close(directory)

    def _new(self, path: str, name: str, directory: int) -> int | None:
        self.copies.pop(path, None)
        try:
            descriptor = os.open(name, _OPEN | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=directory)
        except OSError as error:
            if error.errno in _NOT_HERE:
                return None
            raise
        self.copies[path] = Mark.of(os.fstat(descriptor))
        return descriptor

    def _is_ours(self, path: str, descriptor: int, size: int) -> bool:
        seen = os.fstat(descriptor)
        mark = Mark.of(seen)
        if not stat.S_ISREG(seen.st_mode) or self.strangers.get(path) == mark:
            return False
        copy = self.copies.get(path)
        if copy is None and seen.st_nlink > 1:  # it is another file too, wherever that lies
            return False
        if (copy or self.marks.get(path)) == mark:
            return True
        return seen.st_nlink == 1 and self._is_forgotten(path, descriptor, mark, size)

    def _is_forgotten(self, path: str, descriptor: int, mark: Mark, size: int) -> bool:
        """A copy that nobody remembers: an agent was killed while it wrote, or the proxy node went
        away. Going on with it loses nothing, as the far file begins with all its bytes."""
        try:
            same = mark.size <= size and self.depot.begins_with(path, descriptor)
        except Rejected:  # removed since; the next look tells
            return False
        if same and mark == Mark.of(os.fstat(descriptor)):
            self.copies[path] = mark
            return True
        self.strangers[path] = mark
        return False
