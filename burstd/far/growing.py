"""A file of the tree that is being written."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence
from typing import Callable, Optional, Union

from burstd.far import chunks, paths
from burstd.far.errors import REFUSED, FarError
from burstd.far.models import LEAST as MODEL
from burstd.far.models import Models
from burstd.far.parts import Entry, Part
from burstd.far.store import Store

_AT_ONCE = 64  #: chunks in one write
HOLE = 64 * 1024  #: bytes of zeros that are not written
_ZEROS = memoryview(bytes(chunks.MOST))


class Growing:
    """From its first byte on."""

    def __init__(self, parent: int, name: bytes, first: Part, sync: Callable[[], None]) -> None:
        """`sync`: called before one is read that is there already."""
        self.path, self.size, self._ends_in_hole = first.path, 0, False
        self.there: Optional[os.stat_result] = None  #: of a file that is right already
        self.names = bytearray()  #: of the chunks that it was built of
        self._waiting: list[Union[bytes, memoryview]] = []
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._fd = os.open(name, flags, 0o600, dir_fd=parent)
        except FileExistsError:
            if first.entry is not None:
                sync()
                self.there = right(parent, name, first.entry, from_disk=True)
            if self.there is None:
                paths.remove(parent, name)
                self._fd = os.open(name, flags, 0o600, dir_fd=parent)

    def write(self, content: Union[bytes, memoryview], size: int) -> None:
        """Appends a chunk that was announced with this size."""
        if len(content) != size:
            raise FarError(REFUSED, f"a chunk of {len(content)} bytes was announced with {size}")
        self.size += size
        if size >= HOLE and memoryview(content) == _ZEROS[:size]:  # a sparse file stays one
            self.flush()
            os.lseek(self._fd, size, os.SEEK_CUR)
            self._ends_in_hole = True
            return
        self._ends_in_hole = False
        self._waiting.append(content)
        if len(self._waiting) >= _AT_ONCE:
            self.flush()

    def copy(self, wanted: Sequence[tuple[bytes, int]], store: Store) -> None:
        """Appends chunks of the store; name and size of each. Raises what ``Store.copy`` does."""
        if wanted:
            self.flush()
            self._ends_in_hole = store.copy(wanted, self._fd, HOLE)
            self.size += sum(size for _, size in wanted)

    def flush(self) -> None:
        """What was appended is in the file; until then its chunks must stay as they are."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        size, written = sum(map(len, waiting)), os.writev(self._fd, waiting)
        if written < size:
            rest = memoryview(b"".join(waiting))[written:]
            while rest:
                rest = rest[os.write(self._fd, rest) :]

    def finish(self, entry: Entry, models: Models) -> os.stat_result:
        """All of it is there: its mode and time. What it is like then."""
        if self.size != entry.size:
            raise FarError(REFUSED, f"{self.size} bytes of {entry.size}: {entry.path!r}")
        if self.there is not None:
            return self.there
        if self._ends_in_hole:
            os.ftruncate(self._fd, self.size)
        if self.size >= MODEL:
            models.keep(self._fd, bytes(self.names))
        os.fchmod(self._fd, entry.mode)
        os.utime(self._fd, ns=(entry.mtime_ns, entry.mtime_ns))
        return os.fstat(self._fd)

    def close(self) -> None:
        """Gives the descriptor back."""
        if self.there is None:
            os.close(self._fd)


def right(
    parent: int, name: bytes, entry: Entry, from_disk: bool = False
) -> Optional[os.stat_result]:
    """What a file is like that an earlier conversation has built, if it has the right content; its
    mode and time are set again. `from_disk`: what memory has of it is not believed, once all was
    synced: bytes that the disk has not taken look right there, and whether anybody is told a second
    time depends on who else has called sync(2) since."""
    try:
        fd = paths.open_regular(parent, (name,))
    except OSError:
        return None
    try:
        fact = os.fstat(fd)
        if fact.st_size != entry.size:
            return None
        if from_disk:
            with contextlib.suppress(OSError):  # where that is not known nothing else is, either
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        if chunks.digest_of(fd) != entry.blake3:
            return None
        # Untouched if right: on most file systems a needless change would look like a job's.
        if stat.S_IMODE(fact.st_mode) != entry.mode:
            os.fchmod(fd, entry.mode)
        if fact.st_mtime_ns != entry.mtime_ns:
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        return fact  # from before it was read: who has written since is found out
    finally:
        os.close(fd)
