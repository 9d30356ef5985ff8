"""Small new files that lie beside each other, made many at a time: a study's deck may have tens of
thousands of them."""

from __future__ import annotations

import ctypes
import re
from array import array
from collections.abc import Sequence
from typing import Optional, Union

from burstd.far import chunks, paths
from burstd.far.errors import REFUSED, FarError

MOST = 1000  #: files in one call
_DIGEST = re.compile(r"[0-9a-f]{64}")
FACTS = 3  #: native/native.h

#: Path, number of its one chunk, digest, time and mode.
Small = tuple[str, int, str, int, int]


def small(row: object, sizes: Sequence[int], least: int) -> Optional[Small]:
    """A row (`parts.Part`) of a whole file of one chunk below `least` bytes; none for all others,
    and for what must be refused in words."""
    if not isinstance(row, list) or len(row) != 7:
        return None
    path, offset, runs, size, digest, mtime_ns, mode = row
    if not (type(path) is str and type(digest) is str and type(offset) is int and offset == 0):
        return None
    if not (type(size) is type(mtime_ns) is type(mode) is int and 0 < size < least and mode >= 0):
        return None
    if not (type(runs) is list and len(runs) == 1 and type(runs[0]) is list and len(runs[0]) == 2):
        return None
    number, count = runs[0]
    if not (type(number) is type(count) is int and count == 1 and 0 <= number < len(sizes)):
        return None
    if sizes[number] != size or not -(2**63) <= mtime_ns < 2**63 or not _DIGEST.fullmatch(digest):
        return None
    return path, number, digest, mtime_ns, mode & 0o777


class Bunch:
    """Of one directory."""

    def __init__(self) -> None:
        self.files: list[Small] = []
        self._room = 0  #: bytes of a name there that are too many
        self._names = bytearray()
        self._addresses, self._sizes = array("Q"), array("Q")
        self._kept: list[object] = []  #: what the addresses are of

    def add(self, file: Small, content: Union[bytes, memoryview]) -> bool:
        """One more that lies there; false if it can't be made with others."""
        try:
            name = self._name(file[0])
            held = ctypes.c_char.from_buffer(content)
        except (FarError, TypeError):  # a path that none has; bytes that nobody may write to
            return False
        self._names += name + b"\0"
        self._addresses.append(ctypes.addressof(held))
        self._sizes.append(len(content))
        self._kept.append(held)
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

    def make(self, directory: int) -> list[tuple[int, int, int]]:
        """Makes them, up to the first that can't be made at once. Of each the time of its last
        change, of its inode's (nanoseconds), and its inode."""
        count = len(self.files)
        facts = array("q", bytes(8 * FACTS * count))
        mtimes = array("q", [mtime_ns for _, _, _, mtime_ns, _ in self.files])
        modes = array("I", [mode for *_, mode in self.files])
        done = chunks.files(
            directory, count, bytes(self._names),
            self._addresses, self._sizes, mtimes, modes, facts,
        )  # fmt: skip
        return [(facts[at], facts[at + 1], facts[at + 2]) for at in range(0, done * FACTS, FACTS)]
