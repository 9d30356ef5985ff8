"""Results on their way home. Of a file that the site has much of already, a live copy or the input
that the job went on writing, only the rest travels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from burstd.far import chunks
from burstd.far.client import Client
from burstd.ports.errors import Unreachable

#: Below this a question costs more than it can save.
LEAST = 2**20
#: A larger one here takes longer to read than the far end waits for a word of ours.
MOST = 4 * 2**30


@dataclass
class Pull:
    """Fetches one file of the far tree, by its bytes in order; see ``ports.depot.Depot.fetch``."""

    client: Client
    path: str
    size: int  #: bytes
    write: Callable[[bytes], object]
    came: Callable[[int], object]  #: told of bytes that the far end has sent, before compression

    def fetch(self, similar: int | None) -> None:
        """``similar``: an open file with bytes that may be those. Raises ``Unreachable`` where the
        far end's file is shorter than it was."""
        if similar is None or self.size < LEAST or os.fstat(similar).st_size > MOST:
            self._range(0, self.size)
            return
        for offset, size, content in self._plan(similar):
            if content is None:
                self._range(offset, size)
            else:
                self.write(content)

    def _plan(self, similar: int) -> Iterator[tuple[int, int, bytes | None]]:
        """Ranges in order: with bytes that are here, or those between them."""
        here = {
            name: (offset, len(part))
            for window in chunks.windows(similar, os.fstat(similar).st_size)
            for name, offset, part in window.pieces()
        }
        lacking = at = 0
        for name, size in self.client.names(self.path) if here else ():
            content = _right(similar, name, *here[name]) if name in here else None
            at += size
            if content is None:
                continue
            start = at - size
            if lacking < start:
                yield lacking, start - lacking, None
            yield start, size, content
            lacking = at
        if lacking < self.size:
            yield lacking, self.size - lacking, None

    def _range(self, offset: int, size: int) -> None:
        sink: Any = _Sink(self._take)
        got = self.client.read_into({"path": self.path}, sink, offset, size)
        if got != size:
            raise Unreachable(f"{self.path} ends after {offset + got} of {self.size} bytes")

    def _take(self, block: bytes) -> None:
        self.came(len(block))
        self.write(block)


class _Sink:
    """A function as the file that ``Client.read_into`` writes to."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self.write = write


def _right(fd: int, name: bytes, offset: int, size: int) -> bytes | None:
    """The chunk, unless its file has changed meanwhile."""
    content = os.pread(fd, size, offset)
    return content if chunks.blake3(content) == name else None
