"""Files on their way: what is sent, what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class InputFile(NamedTuple):  # a job may have a hundred thousand of these
    """A file as it was read: absolute path, bytes, BLAKE3 in hex, modification time, mode."""

    path: str
    size: int
    blake3: str
    mtime_ns: int
    mode: int


@dataclass(frozen=True)
class OutputFile:
    """A result as the far end lists it. ``kind``: file, dir, symlink, or what is never landed;
    ``target``: a symlink's text, or another result of which this file is one more name."""

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


_MOST = 2**63  #: no file is larger, or later
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
    return bool(0 <= size < _MOST and abs(mtime_ns) < _MOST and 0 <= mode < 2**12)


class Mark(NamedTuple):
    """How a name looked on-prem when the inputs were taken: enough to see a later change."""

    size: int
    mtime_ns: int
    inode: int
