"""A file's chunks, some of them in memory at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Optional

from burstd.far import chunks


def fill(fd: int, room: memoryview, offset: int) -> int:
    """Reads an open file from there on; how many bytes: fewer only where it ends."""
    have = 0
    while have < len(room) and (came := os.preadv(fd, [room[have:]], offset + have)):
        have += came
    return have


@dataclass(frozen=True)
class Window:
    """Some chunks of a file that lie side by side, from `offset` on; `ends` count from there."""

    offset: int
    content: memoryview
    ends: Sequence[int]
    names: bytes

    def pieces(self) -> Iterator[tuple[bytes, int, memoryview]]:
        """Name, offset in the file and bytes of each chunk."""
        start = 0
        for name, end in zip(chunks.each(self.names), self.ends):  # noqa: B905 (Python 3.9)
            yield name, self.offset + start, self.content[start:end]
            start = end


def windows(
    fd: int,
    size: int,
    start: int = 0,
    digest: Optional[chunks.Blake3] = None,
    within: bool = False,
    room: int = 0,
) -> Iterator[Window]:
    """All chunks of an open file that has so many bytes, or of those from `start` on, which are cut
    as if the file began there (`within`: as where a chunk begins there); fewer if it is shorter by
    now. `digest` goes on with what is returned. `room`: bytes to read at once, some times MOST;
    0: WINDOW."""
    offset, read, rest = start, start, memoryview(b"")
    while read < size:
        window = memoryview(bytearray(len(rest) + min(room or chunks.WINDOW, size - read)))
        window[: len(rest)] = rest
        read += fill(fd, window[len(rest) :], read)
        if read < offset + len(window):
            return
        alone = size - start <= chunks.ALONE and not within
        ends = [len(window)] if alone else chunks.cut(window)
        if read < size:  # the last ends where the window does, not where it should
            ends = [end for end in ends[:-1] if end <= len(window) - chunks.MOST] or ends[:1]
        content = window[: ends[-1]]
        if digest is not None:
            digest.update(content)
        yield Window(offset, content, ends, chunks.names(content, ends))
        rest = window[ends[-1] :]
        offset += ends[-1]
