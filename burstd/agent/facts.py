"""What is known of files without reading them, many in one call."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from burstd.domain.data import InputFile, signed
from burstd.far.loader import library, pointer

STAMP = 5  #: native/native.h


class Stamp(NamedTuple):
    """What changes with a file's content: bytes, nanoseconds, inode. A program can set the time of
    its last change back, but not that of its inode's."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, fact: os.stat_result) -> Stamp:
        """That of a file now."""
        times = signed(fact.st_mtime_ns), signed(fact.st_ctime_ns)
        return cls(fact.st_size, *times, signed(fact.st_ino))


class Fact(NamedTuple):
    """``mode``: type and permissions, as in ``stat_result.st_mode``."""

    stamp: Stamp
    mode: int

    def entry(self, path: str, digest: bytes) -> InputFile:
        """Of the manifest, for a file of that BLAKE3 digest."""
        size, mtime_ns, _, _ = self.stamp
        return InputFile(path, size, digest.hex(), mtime_ns, self.mode & 0o777)


def unreadable(paths: Sequence[str]) -> str | None:
    """The first that we may not read. One that is not there is none."""
    at = int(library().burst_readable(raw(paths), len(paths)))
    return paths[at] if at < len(paths) else None


def sizes(paths: Sequence[str]) -> list[int]:
    """In bytes; 0 where there is none: whoever reads it says so."""
    return [max(0, size) for size in _looked_at(paths, opened=False)[::STAMP]]


def opened(paths: Sequence[str]) -> list[Fact | None]:
    """Of open files: NFS may tell of another one from memory (nfs(5)). Nothing of one that can't be
    opened now."""
    return list(each(_looked_at(paths, opened=True)))


def each(found: array[int]) -> Iterator[Fact | None]:
    """Out of what native/native.h calls stamps, with a mode each; nothing where there is none."""
    columns = (found[at::STAMP] for at in range(STAMP))
    for size, mtime_ns, ctime_ns, inode, mode in zip(*columns, strict=True):
        yield Fact(Stamp(size, mtime_ns, ctime_ns, inode), mode) if size >= 0 else None


def raw(paths: Sequence[str]) -> bytes:
    """As native/native.h has them."""
    return os.fsencode("\0".join([*paths, ""]))


def _looked_at(paths: Sequence[str], *, opened: bool) -> array[int]:
    found = array("q", bytes(8 * STAMP * len(paths)))
    library().burst_stamps(raw(paths), len(paths), opened, pointer(found))
    return found
