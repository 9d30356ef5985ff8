"""One table for many packs: what a store holds, looked up where it lies, whatever its size.

A file `all.table`: magic, how many packs, each one's name (2 bytes of length before it), how many
rows, the rows in the order of the names, and BLAKE3 of all before. A row is a chunk's name, the
number of its pack, its size, and where its bytes begin. It is made of the packs' own indexes, which
stay: without it everything is found all the same.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import secrets
import struct
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import IO, Optional, TypeVar

from burstd.far import chunks, paths

NAME, MAGIC = b"all.table", b"bursttb2"
ROW = struct.Struct(f"<{chunks.DIGEST}sIIQ")
_COUNT = struct.Struct("<Q")
_LENGTH = struct.Struct("<H")

_PARTS = 64  #: by the first bits of the names
_SMALL = 2**20  #: bytes of a part that are in memory; with more it is a file
_AT_ONCE = 10_000  #: rows

Row = TypeVar("Row")
Place = tuple[bytes, int, int]  #: name of a chunk, where its bytes begin in its pack, its size


class Table:
    """A table as it lies on the disk; it may be that of nothing."""

    def __init__(self, packs: Sequence[bytes], rows: memoryview) -> None:
        self.packs = packs
        self._rows = rows

    @classmethod
    def open(cls, directory: int) -> Table:
        """That of a store; an empty one where there is none, or it is damaged."""
        with contextlib.suppress(OSError, ValueError, struct.error):
            fd = paths.open_regular(directory, (NAME,))
            try:
                content = memoryview(mmap.mmap(fd, 0, access=mmap.ACCESS_COPY))
            finally:
                os.close(fd)
            found = cls._read(content)
            if found is not None:
                return found
        return cls((), memoryview(b""))

    @classmethod
    def _read(cls, content: memoryview) -> Optional[Table]:
        body, end = content[: -chunks.DIGEST], content[-chunks.DIGEST :]
        if bytes(body[: len(MAGIC)]) != MAGIC or chunks.blake3(body) != bytes(end):
            return None
        at, packs = len(MAGIC), []
        (count,) = _COUNT.unpack_from(body, at)
        at += _COUNT.size
        for _ in range(count):
            (length,) = _LENGTH.unpack_from(body, at)
            at += _LENGTH.size + length
            packs.append(bytes(body[at - length : at]))
        (count,) = _COUNT.unpack_from(body, at)
        rows = body[at + _COUNT.size :]
        return cls(packs, rows) if len(rows) == count * chunks.ROW else None

    def __len__(self) -> int:
        """How many rows it has."""
        return len(self._rows) // chunks.ROW

    def find(self, wanted: bytes, width: int) -> Iterator[tuple[bytes, int, int, int]]:
        """Name, number of the pack, offset and size of those that are there. The names lie `width`
        bytes apart."""
        for row in chunks.find_rows(self._rows, wanted, width):
            if row >= 0:
                name, pack, size, offset = ROW.unpack_from(self._rows, row * chunks.ROW)
                yield name, pack, offset, size

    def with_more(
        self, directory: int, more: Iterable[tuple[bytes, Iterable[Place]]], gone: Iterable[int]
    ) -> None:
        """Writes a table of this one and these packs; `gone`: numbers of packs that are no more."""
        lost = set(gone)
        kept = [number for number in range(len(self.packs)) if number not in lost]
        packs = [self.packs[number] for number in kept]
        with contextlib.ExitStack() as stack:
            parts = [stack.enter_context(_aside(directory)) for _ in range(_PARTS)]
            if lost:
                numbers = {old: new for new, old in enumerate(kept)}
                for batch in _batches(ROW.iter_unpack(self._rows)):
                    found = (row for row in batch if row[1] in numbers)
                    _deal(parts, (ROW.pack(n, numbers[p], s, o) for n, p, s, o in found))
            for pack, places in more:
                for few in _batches(places):
                    _deal(parts, (ROW.pack(n, len(packs), size, at) for n, at, size in few))
                packs.append(pack)
            _write(directory, packs, parts, Table((), memoryview(b"")) if lost else self)

    def part(self, number: int) -> memoryview:
        """Its rows whose names begin so, of _PARTS."""
        low, high = (self._first(border * 256 // _PARTS) for border in (number, number + 1))
        return self._rows[low * chunks.ROW : high * chunks.ROW]

    def _first(self, byte: int) -> int:
        """The first row whose name does not begin with a lower one."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self._rows[middle * chunks.ROW] < byte:
                low = middle + 1
            else:
                high = middle
        return low


def _aside(directory: int) -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(_SMALL, dir=f"/proc/self/fd/{directory}")


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    coming = iter(rows)
    while some := list(islice(coming, _AT_ONCE)):
        yield some


def _deal(parts: Sequence[IO[bytes]], rows: Iterable[bytes]) -> None:
    """To each part what is its own."""
    dealt = [bytearray() for _ in parts]
    for row in rows:
        dealt[row[0] * _PARTS >> 8] += row
    for part, content in zip(parts, dealt):  # noqa: B905 (Python 3.9)
        if content:
            part.write(content)


def _write(directory: int, packs: Sequence[bytes], parts: Sequence[IO[bytes]], old: Table) -> None:
    """Part by part: all rows together may be more than there is memory for."""
    count = len(old) + sum(part.tell() for part in parts) // chunks.ROW
    names = b"".join(_LENGTH.pack(len(pack)) + pack for pack in packs)
    temporary, digest = b"new." + secrets.token_hex(8).encode(), chunks.Blake3()
    fd = paths.create(directory, temporary, os.O_WRONLY)
    try:
        with open(fd, "wb") as stream:
            stream.write(head := MAGIC + _COUNT.pack(len(packs)) + names + _COUNT.pack(count))
            digest.update(head)
            for number, part in enumerate(parts):
                part.seek(0)
                rows = bytearray(old.part(number))
                rows += part.read()
                chunks.sort_rows(rows)
                stream.write(rows)
                digest.update(rows)
            stream.write(digest.digest())
            stream.flush()
            os.fsync(fd)
        os.rename(temporary, NAME, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=directory)
        raise
