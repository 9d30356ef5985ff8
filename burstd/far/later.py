"""Files that wait for chunks which other conversations bring."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from burstd.far.errors import REFUSED, FarError
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

    @property
    def lacking(self) -> set[bytes]:
        """All that any of them lacks."""
        return set[bytes]().union(*(file.lacking for file in self._files.values()))

    def add(self, parts: Iterable[Part], lacking: Collection[bytes]) -> None:
        """They are of one file, the next ones in their order. Raises FarError(refused)."""
        for part in parts:
            if part.offset == 0:
                self._files[part.path] = _Waiting([], set())
            if part.path not in self._files:
                raise FarError(REFUSED, f"a part out of its turn: {part.path!r} {part.offset}")
            self._files[part.path].parts.append(part)
            self._files[part.path].lacking.update(lacking)

    def forget(self, path: str) -> None:
        """It was built, or begun anew."""
        self._files.pop(path, None)

    def ready(self, came: Collection[bytes]) -> list[tuple[str, list[Part]]]:
        """Those that lack nothing any more once these are there, and their parts."""
        for file in self._files.values():
            file.lacking.difference_update(came)
        return [(path, file.parts) for path, file in self._files.items() if not file.lacking]

    def without(self, gone: Collection[bytes]) -> list[str]:
        """The files that wait for chunks which nobody brings; they wait no more."""
        found = [path for path, file in self._files.items() if not file.lacking.isdisjoint(gone)]
        for path in found:
            del self._files[path]
        return found
