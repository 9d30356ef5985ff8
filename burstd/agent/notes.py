"""What was read of files on its way into the index, and which file another one may be like."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from burstd.agent.index import Index, Known, alike
from burstd.agent.trail import ROOM, Trail
from burstd.far.chunks import ALONE

UNKEPT = 2**20  #: bytes of names of files that the index does not know yet
RECENT = 2**20  #: bytes of names of large files that were read a moment ago


@dataclass
class Notes:
    """Of one reader of many files."""

    index: Index
    _fresh: list[Known] = field(default_factory=list)
    _size: int = 0  #: bytes of names of those
    _began: int = 0  #: nanoseconds since 1970; they were read since then
    _recent: dict[str, Known] = field(default_factory=dict)  #: by the names of their files
    _held: int = 0  #: bytes of names of those
    _room: memoryview = field(default_factory=lambda: memoryview(bytearray(ROOM)))

    def known(self, paths: list[str]) -> dict[str, Known]:
        """Those of the next files that were read before."""
        self.keep()
        self._began = time.time_ns()
        return self.index.known(paths)

    def add(self, known: Known) -> None:
        """A file that has been read."""
        self._fresh.append(known)
        self._size += len(known.names)
        if self._size > UNKEPT:
            self.keep()
        if known.stamp.size > ALONE and known.parts is None and len(known.names) <= RECENT:
            self._remember(known.path.rpartition("/")[2], known)

    def _remember(self, name: str, known: Known) -> None:
        if (earlier := self._recent.pop(name, None)) is not None:
            self._held -= len(earlier.names)
        self._recent[name] = known
        self._held += len(known.names)
        while self._held > RECENT:
            self._held -= len(self._recent.pop(next(iter(self._recent))).names)

    def keep(self) -> None:
        """The index knows all of them."""
        self.index.keep(self._fresh, self._began)
        self._fresh, self._size = [], 0

    def trails(self, path: str, size: int, before: Known | None) -> Iterator[Trail]:
        """Of large files that this one may be like: itself as it was ``before``; or those of its
        name, the last one that was read, and of all the one that is as large, or whose path ends
        as its own does."""
        if before is not None and before.stamp.size > ALONE:
            yield Trail(self.index, before, self._room)
            return
        recent = self._recent.get(path.rpartition("/")[2])
        if recent is not None:
            yield Trail(self.index, recent, self._room)
        others = self.index.alike(path)
        best = max(others, key=lambda one: (one[1] == size, alike(one[0], path)), default=None)
        if best is None or (recent is not None and best[0] == recent.path):
            return
        for known in self.index.known([best[0]]).values():
            yield Trail(self.index, known, self._room)
