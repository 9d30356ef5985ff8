"""Input files as chunks. A file that changes while it is read is read again: what is sent is what
the file was at one moment. One that has not changed since it was last read is not read at all."""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from burstd.agent.index import Index, Known, Names, Stamp
from burstd.agent.inputs import NotStageable
from burstd.domain.data import InputFile
from burstd.far import chunks
from burstd.ports.errors import Mismatch

BATCH_BYTES, BATCH_CHUNKS = 4 * 2**20, 2000
LOOKED_UP = 500  #: files at once
UNKEPT = 2**20  #: bytes of names of files that the index does not know yet
TRIES = 5


class Changed(Mismatch):
    """A file is not what it was when it was last read, though it looks so."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} has other bytes than when it was last read")
        self.path = path


class Chunk(NamedTuple):
    """``content`` is kept until the far end has said whether it lacks it; ``None``: it is read from
    ``path`` then."""

    name: bytes
    size: int
    content: memoryview | bytes | None
    path: str = ""
    offset: int = 0

    def read(self) -> memoryview | bytes:
        """Its bytes. Raises ``Changed`` and ``OSError``."""
        if self.content is not None:
            return self.content
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = os.pread(fd, self.size, self.offset)
        finally:
            os.close(fd)
        if len(content) != self.size or chunks.blake3(content) != self.name:
            raise Changed(self.path)
        return content


@dataclass(frozen=True)
class Piece:
    """``count`` chunks of a batch, from ``first`` on: a file's bytes from ``offset`` on.
    ``entry``: with its last piece."""

    path: str
    offset: int
    first: int
    count: int
    entry: InputFile | None = None


@dataclass
class Batch:
    """What is asked for at once."""

    chunks: list[Chunk] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    size: int = 0  #: bytes in memory

    def add(self, path: str, offset: int, found: Sequence[Chunk], entry: InputFile | None) -> None:
        """The next piece of a file."""
        self.pieces.append(Piece(path, offset, len(self.chunks), len(found), entry))
        self.chunks += found
        self.size += sum(chunk.size for chunk in found if chunk.content is not None)

    @property
    def full(self) -> bool:
        return self.size >= BATCH_BYTES or len(self.chunks) >= BATCH_CHUNKS


def batches(paths: Iterable[Path], index: Index) -> Iterator[Batch]:
    """All files, in their order. A piece with offset 0 begins its file anew, whatever came of it.

    Raises ``NotStageable`` for one that will not hold still, ``OSError`` if it can't be read.
    """
    batch, coming = Batch(), map(str, paths)
    while some := list(islice(coming, LOOKED_UP)):
        known, fresh, began = index.known(some), list[Known](), time.time_ns()
        counted, names = 0, 0  #: of ``fresh``
        for path in some:
            for offset, found, entry in _file(path, known.get(path), fresh, index):
                batch.add(path, offset, found, entry)
                if batch.full:
                    yield batch
                    batch = Batch()
            names += sum(len(one.names) for one in fresh[counted:])
            counted = len(fresh)
            if names > UNKEPT:
                index.keep(fresh, began)
                fresh, counted, names = [], 0, 0
        index.keep(fresh, began)
    if batch.pieces:
        yield batch


_Found = tuple[int, Sequence[Chunk], InputFile | None]


def _file(path: str, known: Known | None, fresh: list[Known], index: Index) -> Iterator[_Found]:
    if known is not None:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fact = os.fstat(fd)  # of an open file: NFS may tell of another one from memory (nfs(5))
        finally:
            os.close(fd)
        pieces = index.pieces(known) if Stamp.of(fact) == known.stamp else iter(())
        if (first := next(pieces, None)) is not None:
            yield from _unread(path, fact, known, chain([first], pieces))
            return
    yield from _read(path, fresh, index)


def _unread(
    path: str, fact: os.stat_result, known: Known, pieces: Iterable[tuple[bytes, bytes]]
) -> Iterator[_Found]:
    """A file as it was read before, in pieces. Raises ``Changed`` where another agent has read it
    anew meanwhile."""
    offset, entry = 0, _entry(path, fact, known.digest.hex())
    for raw, names in pieces:
        sizes = array("I", raw)
        for first in range(0, max(1, len(sizes)), BATCH_CHUNKS):
            found, begin = list[Chunk](), offset
            for number in range(first, min(first + BATCH_CHUNKS, len(sizes))):
                name = names[number * chunks.DIGEST : (number + 1) * chunks.DIGEST]
                found.append(Chunk(name, sizes[number], None, path, offset))
                offset += sizes[number]
            yield begin, found, entry if offset == fact.st_size else None
    if offset != fact.st_size:
        raise Changed(path)


def _read(path: str, fresh: list[Known], index: Index) -> Iterator[_Found]:
    for _ in range(TRIES):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            before, digest = os.fstat(fd), chunks.Blake3()
            if before.st_size <= chunks.ALONE:
                content = os.read(fd, chunks.ALONE + 1)
                if Stamp.of(before) == Stamp.of(os.fstat(fd)) and len(content) == before.st_size:
                    yield _small(path, before, content, fresh)
                    return
                continue
            names, last = Names(index), (0, list[Chunk]())
            for window in chunks.windows(fd, before.st_size, digest=digest):
                if last[1]:
                    yield *last, None
                found = [Chunk(name, len(part), part) for name, _, part in window.pieces()]
                last = (window.offset, found)
                names.add([chunk.size for chunk in found], window.names)
            after = os.fstat(fd)
        finally:
            os.close(fd)
        if Stamp.of(before) == Stamp.of(after) and names.size == after.st_size:
            whole = digest.digest()
            if (made := names.known(path, Stamp.of(after), whole)) is not None:
                fresh.append(made)
            yield *last, _entry(path, after, whole.hex())
            return
    raise NotStageable(f"{path} changes while it is read")


def _small(path: str, fact: os.stat_result, content: bytes, fresh: list[Known]) -> _Found:
    """One that is one chunk: its name is the file's digest."""
    if not content:
        name = chunks.blake3(b"")
        fresh.append(Known(path, Stamp.of(fact), name, b"", b""))
        return 0, [], _entry(path, fact, name.hex())
    name, size = chunks.blake3(content), len(content)
    fresh.append(Known(path, Stamp.of(fact), name, array("I", [size]).tobytes(), name))
    return 0, [Chunk(name, size, content)], _entry(path, fact, name.hex())


def _entry(path: str, fact: os.stat_result, digest: str) -> InputFile:
    return InputFile(path, fact.st_size, digest, fact.st_mtime_ns, fact.st_mode & 0o777)
