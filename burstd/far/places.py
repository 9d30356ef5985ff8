"""Where a store's chunks lie, by their names. A push of terabytes brings tens of millions: what was
not just looked for, or has not just come, lies in rows as those of a table do, and they in files
without a name, which the system has in memory as long as there is room.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import secrets
from collections.abc import Iterator, Sequence
from typing import Callable, Optional, Union

from burstd.far import chunks, paths
from burstd.far.table import ROW

FRESH = 2**15  #: chunks that have just come, or were looked for
GROUPS = 16  #: of so many rows that become one
_BLOCK = 2 * 2**20

#: Of chunks that are looked for, those that lie elsewhere: name and place.
Older = Callable[[bytes, int], Iterator[tuple[bytes, int]]]


def place(pack: int, offset: int, size: int) -> int:
    """As one number: a store has millions."""
    return pack << 72 | offset << 24 | size


class Places:
    """By name: number of the pack, offset and size. `gone`: packs that are no more."""

    def __init__(self, directory: int, older: Older) -> None:
        """`directory`: for files without a name; the caller's."""
        self._directory, self._older = directory, older
        self.gone: set[int] = set()
        self._fresh: dict[bytes, int] = {}  #: in no row yet
        self._near: dict[bytes, int] = {}
        self._rows: list[memoryview] = []  #: the oldest first, the small groups last
        self._small = 0

    def put(self, name: bytes, place: int) -> None:
        """One that has come."""
        self._fresh[name] = place
        if len(self._fresh) >= FRESH:
            self._sort()

    def near(self, name: bytes) -> Optional[int]:
        """Of one that has just come, or was looked for last; others are not found so."""
        found = self._fresh.get(name)
        if found is None or found >> 72 in self.gone:
            found = self._near.get(name)
        return None if found is None or found >> 72 in self.gone else found

    def all(self, names: Sequence[bytes]) -> list[Optional[int]]:
        """Of each, where there is one."""
        found = list(map(self._fresh.get, names))
        if None in found or self.gone:
            found = list(map(self.near, names))
            if lacking := [n for n, p in zip(names, found) if p is None]:  # noqa: B905 (Python 3.9)
                self.look(b"".join(lacking), chunks.DIGEST)
                found = [self.near(n) if p is None else p for n, p in zip(names, found)]  # noqa: B905
        return found

    def look(self, wanted: bytes, width: int) -> None:
        """Those that are there are near then. The names lie so many bytes apart."""
        if len(self._near) >= FRESH:
            self._near = {}
        self._near.update(self._older(wanted, width))
        for rows in self._rows:
            for row in chunks.find_rows(rows, wanted, width):
                if row >= 0:
                    self._take(rows[row * chunks.ROW :])

    def _take(self, rows: memoryview) -> None:
        """The chunk of the first row. One that was lost with its pack has come again: then the next
        row has its name, too."""
        wanted = rows[: chunks.DIGEST]
        while rows[: chunks.DIGEST] == wanted:
            name, pack, size, offset = ROW.unpack_from(rows)
            if pack not in self.gone:
                self._near[name] = place(pack, offset, size)
                return
            rows = rows[chunks.ROW :]

    def _sort(self) -> None:
        fresh, low, middle = self._fresh, (1 << 24) - 1, (1 << 48) - 1
        packed = [
            ROW.pack(name, found >> 72, found & low, found >> 24 & middle)
            for name, found in fresh.items()
        ]
        self._fresh, self._near = {}, fresh
        self._rows.append(_sorted(packed))
        self._small += 1
        if self._small == GROUPS:
            group = _sorted(self._rows[-GROUPS:])
            self._rows[-GROUPS:], self._small = [_aside(self._directory, group)], 0


class Names:
    """Of chunks that were named one after the other, by their numbers."""

    def __init__(self, directory: int) -> None:
        """`directory`: for a file without a name; the caller's."""
        self._directory, self._fd = directory, -1
        self._kept, self._last, self._full = 0, bytearray(), _BLOCK

    def add(self, names: bytes) -> None:
        """They get the next numbers."""
        self._last += names
        if len(self._last) >= self._full:
            with contextlib.suppress(OSError):  # without room there they stay here
                if self._fd < 0:
                    self._fd = _nameless(self._directory)
                _write(self._fd, self._last, self._kept)
                self._kept, self._last = self._kept + len(self._last), bytearray()
            self._full = len(self._last) + _BLOCK

    def row(self, first: int, count: int) -> bytes:
        """So many of them, one after the other. Raises OSError."""
        start, stop = first * chunks.DIGEST, (first + count) * chunks.DIGEST
        if start >= self._kept:
            return bytes(self._last[start - self._kept : stop - self._kept])
        there = os.pread(self._fd, min(stop, self._kept) - start, start)
        return there + bytes(self._last[: max(0, stop - self._kept)])

    def close(self) -> None:
        """Gives the descriptor back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _sorted(groups: Sequence[Union[bytes, memoryview]]) -> memoryview:
    rows = bytearray().join(groups)
    chunks.sort_rows(rows)
    return memoryview(rows)


def _aside(directory: int, rows: memoryview) -> memoryview:
    """The same in a file; as they are where there is no room for one."""
    with contextlib.suppress(OSError, ValueError):
        fd = _nameless(directory)
        try:
            _write(fd, rows, 0)
            return memoryview(mmap.mmap(fd, len(rows), access=mmap.ACCESS_COPY))
        finally:
            os.close(fd)
    return rows


def _nameless(directory: int) -> int:
    """A file that is gone with us. Raises OSError."""
    name = b"new." + secrets.token_hex(8).encode()
    fd = paths.create(directory, name, os.O_RDWR)
    os.unlink(name, dir_fd=directory)
    return fd


def _write(fd: int, content: Union[bytearray, memoryview], offset: int) -> None:
    rest = memoryview(content)
    while rest:
        written = os.pwrite(fd, rest, offset)
        rest, offset = rest[written:], offset + written
