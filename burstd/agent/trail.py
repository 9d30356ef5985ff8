"""Files that are mostly like one that was read before: a study's meshes, a deck that was changed.
Where the next chunks would be cut is known then. That they bear the names of those proves it, and
naming takes a third of the time that cutting and naming do."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

from burstd.agent.index import Index, Known
from burstd.far import chunks
from burstd.far.windows import fill

ROOM = 2**20  #: bytes that are looked at together, in one place that stays in the CPU's cache
TWIN = 2**30  #: bytes of a file that may be read once more for its digest


class Followed(NamedTuple):
    """Chunks that lie side by side in a file, from ``offset`` on; all their names in a row."""

    offset: int
    sizes: array[int]
    names: bytes


class Trail:
    """The chunks of a file that was read."""

    def __init__(self, index: Index, known: Known, room: memoryview) -> None:
        """``room``: ROOM bytes, as long as it follows something."""
        self.size, self.digest = known.stamp.size, known.digest
        self._room = room
        self._pieces = (piece for piece in index.pieces(known) if piece[0])
        self._sizes, self._names = array("I"), b""
        self._places: dict[bytes, int] = {}  #: number of the chunk behind each
        self._coming = next(self._pieces, None)
        self._at = 0  #: number of the next chunk
        self._go_on()

    def leads_on(self, name: bytes) -> bool:
        """Whether it goes on behind a chunk of that name; if so, there."""
        if not self._places:
            self._places = {one: at for at, one in enumerate(chunks.each(self._names), 1)}
        place = self._places.get(name)
        if place is None:
            return False
        self._at = place
        return True

    def follow(
        self, fd: int, size: int, offset: int, digest: chunks.Blake3 | None
    ) -> Iterator[Followed]:
        """Chunks of an open file of so many bytes, from ``offset`` on, as far as they are those of
        the trail. ``digest`` goes on with them."""
        room, count = self._room, 1  # often not even the first one is
        while offset < size and self._is_there():
            expected = self._sizes[self._at : self._at + count]
            ends = [end for end in accumulate(expected) if end <= min(ROOM, size - offset)]
            have = fill(fd, room[: ends[-1]], offset) if ends else 0
            ends = [end for end in ends if end <= have]
            same = self._same(chunks.names(room, ends) if ends else b"")
            if same and self._is_last(same) and offset + ends[same - 1] < size:
                same -= 1  # where that file ended nothing is cut in this one
            if same:
                if digest is not None:
                    digest.update(room[: ends[same - 1]])
                start, end = self._at * chunks.DIGEST, (self._at + same) * chunks.DIGEST
                yield Followed(offset, expected[:same], self._names[start:end])
                offset += ends[same - 1]
                self._at += same
            if not same or same < len(ends):
                return
            count = ROOM // chunks.LEAST

    def _is_there(self) -> bool:
        """Whether there is a next chunk."""
        if self._at == len(self._sizes) and self._coming is not None:
            self._go_on()
        return self._at < len(self._sizes)

    def _is_last(self, count: int) -> bool:
        return self._coming is None and self._at + count == len(self._sizes)

    def _same(self, names: bytes) -> int:
        """How many are the next ones."""
        start, end = self._at * chunks.DIGEST, self._at * chunks.DIGEST + len(names)
        if self._names[start:end] == names:
            return len(names) // chunks.DIGEST
        mine, same = chunks.each(self._names[start:end]), 0
        for one, other in zip(mine, chunks.each(names), strict=False):
            if one != other:
                break
            same += 1
        return same

    def _go_on(self) -> None:
        if self._coming is not None:
            raw, self._names = self._coming
            self._sizes, self._places, self._at = array("I", raw), {}, 0
            self._coming = next(self._pieces, None)


class Digest:
    """Of a file of so many bytes that is read from its beginning on. One that is as large as that
    of a trail may be the same, and have its digest: nothing is computed until they part."""

    def __init__(self, size: int) -> None:
        self.made, self._size, self._twin = chunks.Blake3(), size, b""

    def along(self, trail: Trail) -> chunks.Blake3 | None:
        """Before the first byte: it may be as that one is. What goes on with what is read; nothing
        as long as they are alike."""
        self._twin = trail.digest if trail.size == self._size <= TWIN else b""
        return None if self._twin else self.made

    def part(self, fd: int, size: int) -> None:
        """Only so many bytes of the open file are the same."""
        if self._twin:
            self._twin, offset = b"", 0
            room = memoryview(bytearray(min(ROOM, size)))
            while have := fill(fd, room[: size - offset], offset):
                self.made.update(room[:have])
                offset += have

    def digest(self) -> bytes:
        """Of all of it."""
        return self._twin or self.made.digest()
