"""Files on their way: what is sent, what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol


class InputFile(NamedTuple):  # a job may have a hundred thousand of these
    """A file as it was read: absolute path, bytes, BLAKE3 in hex, modification time, mode."""

    path: str
    size: int
    blake3: str
    mtime_ns: int
    mode: int


@dataclass(frozen=True)
class OutputFile:
    """A result as the far end lists it. ``kind``: file, dir, symlink, unreadable, or what is never
    landed; ``target``: a symlink's text, or another result of which this file is one more name, or
    why it can't be read."""

    path: str
    kind: str
    size: int = 0
    blake3: str = ""
    mtime_ns: int = 0
    mode: int = 0o644
    target: str = ""

    @property
    def travels(self) -> int:
        """Bytes that come for it."""
        return 0 if self.kind == "file" and self.target else self.size


MOST_COUNTED = 2**53  #: bytes that anybody believes to have been moved; a double counts them still
MOST = 2**63 - 1  #: bytes or nanoseconds: no file is larger, or later
_ROW = (str, int, str, int, int)


def row_of(file: OutputFile) -> list[object]:
    """A file as a report has it."""
    return [file.path, file.size, file.blake3, file.mtime_ns, file.mode]


def from_rows(said: object) -> list[OutputFile]:
    """The files of a report; what is none is left out: it is a user's program that speaks."""
    rows = [found for found in said if _is_row(found)] if isinstance(said, list) else []
    return [OutputFile(path, "file", *facts) for path, *facts in rows]


def _is_row(said: object) -> bool:
    if not isinstance(said, list) or tuple(map(type, said)) != _ROW:
        return False
    _, size, _, mtime_ns, mode = said
    return bool(0 <= size <= MOST and abs(mtime_ns) <= MOST and 0 <= mode < 2**12)


class Fact(Protocol):
    """As much as is asked of what stat(2) says."""

    @property
    def st_size(self) -> int: ...
    @property
    def st_mtime_ns(self) -> int: ...
    @property
    def st_ino(self) -> int: ...


def signed(number: int) -> int:
    """As 64 bits with a sign have it, in C and in SQLite: BeeGFS and others number inodes beyond
    2**63."""
    return (number + 2**63) % 2**64 - 2**63


class Mark(NamedTuple):
    """How a name looked on-prem when the inputs were taken: enough to see a later change."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, fact: Fact) -> Mark:
        """How it looks now."""
        return cls(fact.st_size, signed(fact.st_mtime_ns), signed(fact.st_ino))
