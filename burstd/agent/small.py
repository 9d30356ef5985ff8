"""Small files, read many in one call: what a program does around the system calls of each of tens
of thousands takes longer than these."""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from burstd.agent.index import Stamp
from burstd.far import chunks

AT_ONCE, ROOM = 64, 2**19  #: files and bytes in one call
_STAMP = struct.Struct("=5q")  #: native/native.h


class Small(NamedTuple):
    """A file of at most ``chunks.ALONE`` bytes: as it was, its digest and all that is in it."""

    stamp: Stamp
    mode: int
    digest: bytes
    content: memoryview | bytes


def read_small(paths: Sequence[str]) -> Iterator[Small | None]:
    """All of them, in their order; nothing for one that is larger, can't be read, or changed while
    it was. They are read when they are asked for, some in advance."""
    at = 0
    while at < len(paths):
        found = _some(paths[at : at + AT_ONCE])
        at += len(found)
        yield from found


def _some(paths: Sequence[str]) -> list[Small | None]:
    """As many of the first as there is room for."""
    into, digests = bytearray(ROOM), bytearray(len(paths) * chunks.DIGEST)
    stamps = array("q", bytes(_STAMP.size * len(paths)))
    raw = b"".join(os.fsencode(path) + b"\0" for path in paths)
    count = chunks.small_files(raw, len(paths), into, stamps, digests)
    content, start, found = memoryview(into), 0, list[Small | None]()
    facts = _STAMP.iter_unpack(stamps)
    for (*stamp, mode), digest in islice(zip(facts, chunks.each(digests), strict=True), count):
        size = stamp[0]
        if size < 0:
            found.append(None)
            continue
        found.append(Small(Stamp._make(stamp), mode, digest, content[start : start + size]))
        start += size
    return found
