"""Files that wait for chunks which other conversations bring."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from burstd.far.parts import Part


class _Waiting(NamedTuple):
    parts: list[Part]
    lacking: set[bytes]


class Later:
    """Their parts, and what they lack."""

    def __init__(self) -> None:
        self._files: dict[str, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._files)

    def has(self, path: str) -> bool:
        """Whether this file waits already."""
        return path in self._files

    def add(self, parts: Iterable[Part], lacking: Collection[bytes]) -> None:
        """They are of one file, the next ones in their order."""
        for part in parts:
            if part.offset == 0:
                self._files[part.path] = _Waiting([], set())
            self._files[part.path].parts.append(part)
            self._files[part.path].lacking.update(lacking)

    def forget(self, path: str) -> None:
        """It was begun anew."""
        self._files.pop(path, None)

    def ready(self, came: Collection[bytes]) -> list[list[Part]]:
        """The parts of those that lack nothing any more once these are there; they wait no more."""
        for file in self._files.values():
            file.lacking.difference_update(came)
        found = [path for path, file in self._files.items() if not file.lacking]
        return [self._files.pop(path).parts for path in found]

    def without(self, gone: Collection[bytes]) -> list[str]:
        """The files that wait for chunks which nobody brings; they wait no more."""
        found = [path for path, file in self._files.items() if not file.lacking.isdisjoint(gone)]
        for path in found:
            del self._files[path]
        return found
