"""Input files as chunks. A file that changes while it is read is read again: what is sent is what
the file was at one moment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from burstd.agent.inputs import NotStageable
from burstd.domain.data import InputFile
from burstd.far import chunks

WINDOW = 4 * 2**20  #: bytes read at once
BATCH_BYTES, BATCH_CHUNKS = 8 * 2**20, 2000
TRIES = 5


@dataclass(frozen=True)
class Chunk:
    """``content`` is kept until the far end has said whether it lacks it."""

    name: bytes
    content: memoryview | bytes


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
    size: int = 0  #: bytes

    def add(self, path: str, offset: int, found: Sequence[Chunk], entry: InputFile | None) -> None:
        """The next piece of a file."""
        self.pieces.append(Piece(path, offset, len(self.chunks), len(found), entry))
        self.chunks += found
        self.size += sum(len(chunk.content) for chunk in found)

    @property
    def full(self) -> bool:
        return self.size >= BATCH_BYTES or len(self.chunks) >= BATCH_CHUNKS


def batches(paths: Iterable[Path]) -> Iterator[Batch]:
    """All files, in their order. A piece with offset 0 begins its file anew, whatever came of it.

    Raises ``NotStageable`` for one that will not hold still, ``OSError`` if it can't be read.
    """
    batch = Batch()
    for path in paths:
        for offset, found, entry in _read(path):
            batch.add(str(path), offset, found, entry)
            if batch.full:
                yield batch
                batch = Batch()
    if batch.pieces:
        yield batch


_Found = tuple[int, Sequence[Chunk], InputFile | None]


def _read(path: Path) -> Iterator[_Found]:
    for _ in range(TRIES):
        with path.open("rb", buffering=0) as file:
            before = os.fstat(file.fileno())
            digest, pieces = chunks.Blake3(), _small if before.st_size <= chunks.AVERAGE else _large
            last: tuple[int, Sequence[Chunk]] = (0, ())
            for offset, found in pieces(file.fileno(), before.st_size, digest):
                if last[1]:
                    yield *last, None
                last = (offset, found)
            after = os.fstat(file.fileno())
        if _fingerprint(before) == _fingerprint(after):
            mode, time = after.st_mode & 0o777, after.st_mtime_ns
            yield *last, InputFile(str(path), after.st_size, digest.hexdigest(), time, mode)
            return
    raise NotStageable(f"{path} changes while it is read")


def _small(fd: int, size: int, digest: chunks.Blake3) -> Iterator[tuple[int, Sequence[Chunk]]]:
    """One chunk. What is read beyond its size only shows that it grows."""
    content = os.read(fd, size + 1)
    digest.update(content)
    yield 0, [Chunk(chunks.blake3(content), content)] if content else []


def _large(fd: int, size: int, digest: chunks.Blake3) -> Iterator[tuple[int, Sequence[Chunk]]]:
    offset, rest = 0, memoryview(b"")
    while offset < size:
        window = bytearray(max(0, min(WINDOW, size - offset)))
        window[: len(rest)] = rest
        have = len(rest)
        while have < len(window):
            if not (came := os.readv(fd, [memoryview(window)[have:]])):
                return  # shorter than it was: it is read again
            have += came
        view = memoryview(window)
        ends = chunks.cut(view)
        if offset + len(window) < size:  # the last ends where the window does, not where it should
            ends = [end for end in ends[:-1] if end <= len(window) - chunks.MOST] or ends[:1]
        starts = [0, *ends[:-1]]
        names = chunks.names(view, ends)
        digest.update(view[: ends[-1]])
        yield (
            offset,
            [
                Chunk(name, view[start:end])
                for name, start, end in zip(names, starts, ends, strict=True)
            ],
        )
        rest = view[ends[-1] :]
        offset += ends[-1]


def _fingerprint(seen: os.stat_result) -> tuple[int, int, int, int]:
    return seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino
