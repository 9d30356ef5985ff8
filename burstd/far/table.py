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
from collections.abc import Iterable, Iterator, Sequence
from typing import Optional

from burstd.far import chunks, paths

NAME, MAGIC = b"all.table", b"bursttb2"
_ROW = struct.Struct(f"<{chunks.DIGEST}sIIQ")
_COUNT = struct.Struct("<Q")
_LENGTH = struct.Struct("<H")

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
                name, pack, size, offset = _ROW.unpack_from(self._rows, row * chunks.ROW)
                yield name, pack, offset, size

    def with_more(
        self, directory: int, more: Iterable[tuple[bytes, Iterable[Place]]], gone: Iterable[int]
    ) -> None:
        """Writes a table of this one and these packs; `gone`: numbers of packs that are no more."""
        lost, rows = set(gone), bytearray()
        kept = [number for number in range(len(self.packs)) if number not in lost]
        if lost:
            numbers = {old: new for new, old in enumerate(kept)}
            for name, pack, size, offset in _ROW.iter_unpack(self._rows):
                if pack in numbers:
                    rows += _ROW.pack(name, numbers[pack], size, offset)
        else:
            rows += self._rows
        packs = [self.packs[number] for number in kept]
        for pack, places in more:
            for name, offset, size in places:
                rows += _ROW.pack(name, len(packs), size, offset)
            packs.append(pack)
        chunks.sort_rows(rows)
        names = b"".join(_LENGTH.pack(len(pack)) + pack for pack in packs)
        head = MAGIC + _COUNT.pack(len(packs)) + names + _COUNT.pack(len(rows) // chunks.ROW)
        _write(directory, head + rows)


def _write(directory: int, body: bytes) -> None:
    temporary = b"new." + secrets.token_hex(8).encode()
    fd = paths.create(directory, temporary, os.O_WRONLY)
    try:
        with open(fd, "wb") as stream:
            stream.write(body)
            stream.write(chunks.blake3(body))
            stream.flush()
            os.fsync(fd)
        os.rename(temporary, NAME, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=directory)
        raise
