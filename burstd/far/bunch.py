"""New files that lie beside each other, made many at a time: a study's deck may have tens of
thousands of them."""

from __future__ import annotations

import ctypes
import re
from array import array
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Optional, Union

from burstd.far import chunks, paths
from burstd.far.errors import REFUSED, FarError

MOST = 1000  #: files in one call
MOST_CHUNKS = 256  #: of one file
_DIGEST = re.compile(r"[0-9a-f]{64}")
FACTS, IN_MEMORY = 3, -2  #: native/native.h
_NONE = bytes(chunks.DIGEST)


class Whole(NamedTuple):
    """A file of which all is told at once: the numbers of its chunks, bytes, digest, time, mode."""

    path: str
    numbers: Sequence[int]
    size: int
    digest: str
    mtime_ns: int
    mode: int


def whole(row: object, sizes: Sequence[int], least: int) -> Optional[Whole]:
    """A row (`parts.Part`) of a whole file below `least` bytes; none for all others, for one of
    nothing or of many chunks, and for what must be refused in words."""
    if not isinstance(row, list) or len(row) != 7:
        return None
    path, offset, runs, size, digest, mtime_ns, mode = row
    if not (type(path) is str and type(digest) is str and type(offset) is int and offset == 0):
        return None
    if not (type(size) is type(mtime_ns) is type(mode) is int and 0 < size < least and mode >= 0):
        return None
    numbers = _numbers(runs, len(sizes))
    found = [sizes[number] for number in numbers]
    if 0 in found or sum(found) != size:
        return None
    if not -(2**63) <= mtime_ns < 2**63 or not _DIGEST.fullmatch(digest):
        return None
    return Whole(path, numbers, size, digest, mtime_ns, mode & 0o777)


def _numbers(runs: object, most: int) -> Sequence[int]:
    """Those of some runs; none of what is none."""
    found: Sequence[int] = ()
    if not isinstance(runs, list):
        return found
    for run in runs:
        if not isinstance(run, list) or len(run) != 2:
            return ()
        first, count = run
        if not (type(first) is type(count) is int and first >= 0 and 0 < count <= MOST_CHUNKS):
            return ()
        if first + count > most or len(found) + count > MOST_CHUNKS:
            return ()
        some = range(first, first + count)
        found = [*found, *some] if found else some
    return found


class Bunch:
    """Of one directory."""

    def __init__(self) -> None:
        self.files: list[Whole] = []
        self.size = 0  #: bytes of them
        self._room = 0  #: bytes of a name there that are too many
        self._names = bytearray()
        self._counts = array("I")
        self._from, self._places, self._sizes = array("i"), array("Q"), array("Q")
        self._digests: list[bytes] = []
        self._held: list[object] = []  #: what some places are addresses of

    def add(self, file: Whole, found: Iterable[Union[memoryview, chunks.Kept]]) -> bool:
        """One more that lies there; false if it can't be made with others. `found`: its chunks,
        in memory or in the store."""
        try:
            name = self._name(file.path)
        except FarError:  # a path that none has
            return False
        self._names += name + b"\0"
        self._counts.append(len(file.numbers))
        for chunk in found:
            if isinstance(chunk, memoryview):
                held = ctypes.c_char.from_buffer(chunk)
                self._held.append(held)
                chunk = (_NONE, IN_MEMORY, ctypes.addressof(held), len(chunk))
            digest, fd, place, size = chunk
            self._digests.append(digest)
            self._from.append(fd)
            self._places.append(place)
            self._sizes.append(size)
        self.size += file.size
        self.files.append(file)
        return True

    def _name(self, path: str) -> bytes:
        """Raises FarError(refused) for a path that none has."""
        if not self.files:
            name = paths.split(path)[-1]
            self._room = paths.MAX_PATH - len(paths.to_bytes(path)) + len(name)
            return name
        name = paths.component(path[len(paths.above(path)) :])
        if len(name) >= self._room:
            raise FarError(REFUSED, f"too long a path: {path!r:.200}")
        return name

    def make(self, directory: int, hole: int) -> list[tuple[int, int, int]]:
        """Makes them, up to the first that can't be made at once. Of each the time of its last
        change, of its inode's (nanoseconds), and its inode. Zeros of `hole` bytes and more are
        passed over."""
        count = len(self.files)
        facts = array("q", bytes(8 * FACTS * count))
        mtimes = array("q", [file.mtime_ns for file in self.files])
        modes = array("I", [file.mode for file in self.files])
        done = chunks.files(
            directory, bytes(self._names), (self._counts, mtimes, modes, facts),
            (self._from, self._places, self._sizes), b"".join(self._digests), hole,
        )  # fmt: skip
        return [(facts[at], facts[at + 1], facts[at + 2]) for at in range(0, done * FACTS, FACTS)]
