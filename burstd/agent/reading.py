"""Input files as chunks. A file that changes while it is read is read again: what is sent is what
the file was at one moment. One that has not changed since it was last read is not read at all."""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import NamedTuple

from burstd.agent.facts import Fact, Stamp, opened
from burstd.agent.index import Index, Known, Names, unchanged
from burstd.agent.inputs import NotStageable
from burstd.agent.notes import Notes
from burstd.agent.small import Small, read_small
from burstd.agent.trail import Digest, Followed, Trail
from burstd.domain.data import InputFile
from burstd.far import chunks
from burstd.far.windows import windows
from burstd.ports.errors import Mismatch

BATCH_BYTES, BATCH_CHUNKS = 3 * 2**20, 2000  #: one window, nearly always
LOOKED_UP = 500  #: files at once
#: Bytes that are read at once where it may soon be as in another file.
NEAR = 2**19
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


class _Found(NamedTuple):
    """Chunks of a file that lie side by side, from ``offset`` on. ``read``: bytes, for them."""

    offset: int
    chunks: Sequence[Chunk]
    read: int
    entry: InputFile | None = None


@dataclass
class Batch:
    """What is asked for at once."""

    chunks: list[Chunk] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    read: int = 0  #: bytes, for it: the far end has something to do meanwhile
    held: int = 0  #: bytes of them, in memory

    def add(self, path: str, found: _Found) -> None:
        """The next piece of a file, or the rest of the one before."""
        offset, first, count = found.offset, len(self.chunks), len(found.chunks)
        if offset and self.pieces and self.pieces[-1].path == path:
            before = self.pieces.pop()
            offset, first, count = before.offset, before.first, before.count + count
        self.pieces.append(Piece(path, offset, first, count, found.entry))
        self.chunks += found.chunks
        self.read += found.read
        if found.chunks and found.chunks[0].content is not None:
            self.held += found.read

    @property
    def full(self) -> bool:
        return self.read >= BATCH_BYTES or len(self.chunks) >= BATCH_CHUNKS


def batches(paths: Iterable[str], index: Index) -> Iterator[Batch]:
    """All files, in their order. A piece with offset 0 begins its file anew, whatever came of it.

    Raises ``NotStageable`` for one that will not hold still, ``OSError`` if it can't be read.
    """
    batch, coming, notes = Batch(), iter(paths), Notes(index)
    while some := list(islice(coming, LOOKED_UP)):
        known = notes.known(some)
        same = unchanged(known)
        small = read_small([path for path in some if path not in known])
        for path in some:
            whole = None if path in known else next(small)
            if whole is not None:
                parts: Iterable[_Found] = (_small(path, whole, notes),)
            else:
                parts = _file(path, known.get(path), same.get(path), notes)
            for found in parts:
                batch.add(path, found)
                if batch.full:
                    yield batch
                    batch = Batch()
    notes.keep()
    if batch.pieces:
        yield batch


def _file(path: str, known: Known | None, same: Fact | None, notes: Notes) -> Iterator[_Found]:
    """``same``: it is as it was when it was ``known``."""
    if known is not None and same is not None:
        pieces = notes.index.pieces(known)
        if (first := next(pieces, None)) is not None:
            yield from _unread(same.entry(path, known.digest), chain([first], pieces))
            return
    yield from _read(path, known, notes)


def _unread(entry: InputFile, pieces: Iterable[tuple[bytes, bytes]]) -> Iterator[_Found]:
    """A file as it was read before, in pieces. Raises ``Changed`` where another agent has read it
    anew meanwhile."""
    offset = 0
    for raw, names in pieces:
        sizes = array("I", raw)
        for first in range(0, max(1, len(sizes)), BATCH_CHUNKS):
            some = sizes[first : first + BATCH_CHUNKS]
            theirs = names[first * chunks.DIGEST : (first + len(some)) * chunks.DIGEST]
            found = _on_disk(entry.path, offset, some, theirs)
            begin, offset = offset, offset + sum(some)
            yield _Found(begin, found, 0, entry if offset == entry.size else None)
    if offset != entry.size:
        raise Changed(entry.path)


def _on_disk(path: str, offset: int, sizes: Iterable[int], names: bytes) -> list[Chunk]:
    """Chunks that stay there until they are needed."""
    found = list[Chunk]()
    for size, name in zip(sizes, chunks.each(names), strict=False):
        found.append(Chunk(name, size, None, path, offset))
        offset += size
    return found


def _read(path: str, earlier: Known | None, notes: Notes) -> Iterator[_Found]:
    """``earlier``: what it was like when it was last read."""
    for _ in range(TRIES):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            before = os.fstat(fd)
            if before.st_size <= chunks.ALONE:
                content = os.read(fd, chunks.ALONE + 1)
                stamp = Stamp.of(before)
                if stamp == Stamp.of(os.fstat(fd)) and len(content) == before.st_size:
                    whole = Small(Fact(stamp, before.st_mode), chunks.blake3(content), content)
                    yield _small(path, whole, notes)
                    return
                continue
            names, last = Names(notes.index), _Found(0, (), 0)
            trails = notes.trails(path, before.st_size, earlier)
            digest = Digest(before.st_size)
            for found, sizes, some in _cut(path, fd, before.st_size, trails, digest):
                if last.chunks:
                    yield last
                last = found
                names.add(sizes, some)
        finally:
            os.close(fd)
        (after,) = opened([path])  # of one that is open NFS may tell from memory
        if after and after.stamp == Stamp.of(before) and names.size == after.stamp.size:
            name = digest.digest()
            if (made := names.known(path, after.stamp, name)) is not None:
                notes.add(made)
            yield last._replace(entry=after.entry(path, name))
            return
    raise NotStageable(f"{path} changes while it is read")


def _cut(
    path: str, fd: int, size: int, trails: Iterable[Trail], digest: Digest
) -> Iterator[tuple[_Found, Sequence[int], bytes]]:
    """The chunks of an open file, some at a time, with their sizes and names in a row; fewer if it
    is shorter by now. What is as on a trail is not kept in memory: the far end has it."""
    offset, trail = 0, None
    for trail in trails:  # until it begins as one of them does
        for part in trail.follow(fd, size, offset, digest.along(trail)):
            yield _alike(path, part), part.sizes, part.names
            offset = part.offset + sum(part.sizes)
        if offset:
            break
    room = NEAR if trail is not None else 0
    while offset < size:
        digest.part(fd, offset)
        for window in windows(fd, size, offset, digest.made, within=offset > 0, room=room):
            some = [Chunk(name, len(content), content) for name, _, content in window.pieces()]
            found = _Found(window.offset, some, window.ends[-1])
            yield found, [chunk.size for chunk in some], window.names
            offset = window.offset + window.ends[-1]
            goes_on = trail is not None and trail.leads_on(some[-1].name)
            if goes_on or room:
                break
        else:
            return
        room = 0
        if trail is not None and goes_on:
            for part in trail.follow(fd, size, offset, digest.made):
                yield _alike(path, part), part.sizes, part.names
                offset = part.offset + sum(part.sizes)
            room = NEAR


def _alike(path: str, part: Followed) -> _Found:
    found = _on_disk(path, part.offset, part.sizes, part.names)
    return _Found(part.offset, found, sum(part.sizes))


def _small(path: str, whole: Small, notes: Notes) -> _Found:
    """One that is one chunk: its name is the file's digest."""
    (stamp, _), name, content = whole
    entry = whole.fact.entry(path, name)
    if not content:
        notes.add(Known(path, stamp, name, b"", b""))
        return _Found(0, (), 0, entry)
    notes.add(Known(path, stamp, name, stamp.size.to_bytes(4, sys.byteorder), name))
    return _Found(0, [Chunk(name, stamp.size, content)], stamp.size, entry)
