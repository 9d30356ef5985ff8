"""Results on their way home. What an attempt that was cut has brought stays; of a file that the
site has much of already, a live copy or the input that the job went on writing, only the rest
travels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from burstd.far import chunks
from burstd.far.client import Client, chunks_of
from burstd.far.windows import windows
from burstd.ports.errors import Mismatch

#: Below this a question costs more than it can save.
LEAST = 2**20
#: Bytes that both ends look at between two words: neither waits long, or keeps many names.
SEGMENT = 2**30
#: Bytes of zeros, at a multiple of their count, that become a hole.
HOLE = 64 * 2**10
_ZEROS = bytes(HOLE)


@dataclass
class Pull:
    """Fetches one file of the far tree; see ``ports.depot.Depot.fetch``."""

    client: Client
    path: str
    size: int  #: bytes
    into: int
    came: Callable[[int], object]
    _at: int = field(default=0, init=False)

    def fetch(self, similar: int | None) -> None:
        """Raises ``Mismatch`` where the far end's file is shorter than it was."""
        os.ftruncate(self.into, self._kept())
        if similar is not None and os.fstat(similar).st_size >= LEAST:
            for size, content in self._plan(similar):
                if content is None:
                    self._range(size)
                else:
                    self._put(content)
        self._range(self.size - self._at)
        os.ftruncate(self.into, self.size)

    def put(self, content: bytes) -> None:
        """All of it has come already, with others. Raises as ``fetch`` does."""
        os.ftruncate(self.into, 0)
        self._take(content)
        if self._at != self.size:
            raise Mismatch(f"{self.path} has {self._at} bytes, not {self.size}")
        os.ftruncate(self.into, self.size)

    def _kept(self) -> int:
        """How much of the beginning is there and right. The last chunk before a cut is not whole,
        and counts as missing."""
        have = min(os.fstat(self.into).st_size, self.size)
        if have >= LEAST:
            self._at = alike(self.client, self.path, self.into, have, self.size)
        return self._at

    def _plan(self, similar: int) -> Iterator[tuple[int, bytes | None]]:
        """What comes next: bytes that are here, or so many that are not."""
        have = os.fstat(similar).st_size
        while (begin := self._at) < min(have, self.size):
            end = min(begin + SEGMENT, self.size)
            pending = self.client.names(self.path, begin, end - begin)
            here = {
                name: (offset, len(part))
                for window in windows(similar, min(have, begin + SEGMENT), begin)
                for name, offset, part in window.pieces()
            }
            lacking = 0
            for name, size in chunks_of(pending):
                content = _right(similar, name, *here[name]) if name in here else None
                if content is None:
                    lacking += size
                    continue
                if lacking:
                    yield lacking, None
                yield size, content
                lacking = 0
            yield end - self._at, None

    def _range(self, size: int) -> None:
        sink: Any = _Sink(self._take)
        got = self.client.read_into({"path": self.path}, sink, self._at, size)
        if got != size:
            raise Mismatch(f"{self.path} ends after {self._at} of {self.size} bytes")

    def _take(self, block: bytes) -> None:
        self.came(len(block))
        self._put(block)

    def _put(self, content: bytes) -> None:
        """Zeros become a hole: a sparse file stays one."""
        view = memoryview(content)
        while view:
            part, hole = _next(view, self._at)
            while part and not hole:
                written = os.pwrite(self.into, part, self._at)
                part, view, self._at = part[written:], view[written:], self._at + written
            self._at += len(part)
            view = view[len(part) :]


class _Sink:
    """A function as the file that ``Client.read_into`` writes to."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self.write = write


def _next(view: memoryview, at: int) -> tuple[memoryview, bool]:
    """The longest beginning that is all hole, or has none."""
    first = -at % HOLE
    hole = view[first : first + HOLE] == _ZEROS if not first else False
    end = first
    while end + HOLE <= len(view) and (view[end : end + HOLE] == _ZEROS) == hole:
        end += HOLE
    if not hole and end + HOLE > len(view):
        end = len(view)
    return view[:end], hole


def alike(client: Client, path: str, mine: int, have: int, size: int) -> int:
    """With how many bytes a file of the far tree, as if it had ``size``, and the first ``have`` of
    an open one begin alike, in whole chunks."""
    at = 0
    while at < have:
        end = min(at + SEGMENT, size)
        pending = client.names(path, at, end - at)
        pieces = [
            (name, len(part))
            for window in windows(mine, min(end, have), at)
            for name, _, part in window.pieces()
        ]
        right = 0
        for ours, theirs in zip(pieces, chunks_of(pending), strict=False):
            if ours != theirs:
                break
            right += ours[1]
        at += right
        if at < end:
            break
    return at


def _right(fd: int, name: bytes, offset: int, size: int) -> bytes | None:
    """The chunk, unless its file has changed meanwhile."""
    content = os.pread(fd, size, offset)
    return content if chunks.blake3(content) == name else None
