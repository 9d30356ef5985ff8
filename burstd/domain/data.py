"""Files on their way: what is sent, what comes back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class InputFile:
    """A file as it was read: absolute path, bytes, BLAKE3 in hex, modification time, mode."""

    path: str
    size: int
    blake3: str
    mtime_ns: int
    mode: int


@dataclass(frozen=True)
class OutputFile:
    """A result as the far end lists it. ``kind``: file, dir, symlink, or what is never landed;
    ``target``: a symlink's text."""

    path: str
    kind: str
    size: int = 0
    blake3: str = ""
    mtime_ns: int = 0
    mode: int = 0o644
    target: str = ""


@dataclass(frozen=True)
class Mark:
    """How a name looked on-prem when the inputs were taken: enough to see a later change."""

    size: int
    mtime_ns: int
    inode: int
