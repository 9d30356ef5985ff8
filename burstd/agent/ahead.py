"""Small results, many at once, before they are asked for: the line's latency counts once for some
hundreds of files, and files that are alike are compressed together."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from burstd.domain.data import OutputFile
from burstd.far.client import Client, Pending, gathered

SMALL = 256 * 2**10  #: bytes; larger ones fill the line by themselves
GROUP_BYTES, GROUP_FILES = 4 * 2**20, 400
UNDER_WAY = 3  #: groups


@dataclass
class Ahead:
    """``expect`` says what will be taken, and in which order."""

    client: Client
    _groups: deque[Sequence[str]] = field(default_factory=deque)
    _coming: deque[tuple[Sequence[str], Pending]] = field(default_factory=deque)
    #: Of the last groups: those who take them do so nearly in order.
    _here: deque[dict[str, bytes | None]] = field(default_factory=lambda: deque(maxlen=2))

    def expect(self, entries: Iterable[OutputFile]) -> None:
        """In place of what was expected before."""
        self._groups = deque(_groups(entries))
        self._here.clear()
        self._ask()

    def take(self, path: str) -> bytes | None:
        """All bytes of a file; nothing where it was not expected, or could not be read with
        others. Raises what the client raises."""
        found = self._there(path)
        while found is None and any(path in paths for paths, _ in self._coming):
            paths, pending = self._coming.popleft()
            self._here.append(dict(zip(paths, gathered(pending, len(paths)), strict=True)))
            self._ask()
            found = self._there(path)
        return found.pop(path) if found is not None else None

    def _there(self, path: str) -> dict[str, bytes | None] | None:
        return next((group for group in self._here if path in group), None)

    def _ask(self) -> None:
        while self._groups and len(self._coming) < UNDER_WAY:
            paths = self._groups.popleft()
            self._coming.append((paths, self.client.gather(paths, GROUP_BYTES)))


def _groups(entries: Iterable[OutputFile]) -> Iterator[Sequence[str]]:
    group, size = list[str](), 0
    for entry in entries:
        if entry.kind != "file" or not 0 < entry.travels <= SMALL:
            continue
        if group and (size + entry.size > GROUP_BYTES or len(group) >= GROUP_FILES):
            yield group
            group, size = [], 0
        group.append(entry.path)
        size += entry.size
    if group:
        yield group
