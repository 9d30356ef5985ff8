"""Small files, read many in one call: what a program does around the system calls of each of tens
of thousands takes longer than these."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from burstd.agent.facts import STAMP, Fact, each, raw
from burstd.far import chunks
from burstd.far.loader import library, pointer

AT_ONCE, ROOM = 64, 2**19  #: files and bytes in one call


class Small(NamedTuple):
    """A file of at most ``chunks.ALONE`` bytes: as it was, its digest and all that is in it."""

    fact: Fact
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
    stamps = array("q", bytes(8 * STAMP * len(paths)))
    count = library().burst_read(
        raw(paths), len(paths), chunks.ALONE,
        pointer(into), len(into), pointer(stamps), pointer(digests),
    )  # fmt: skip
    content, start, found = memoryview(into), 0, list[Small | None]()
    for fact, digest in islice(zip(each(stamps), chunks.each(digests), strict=True), count):
        if fact is None:
            found.append(None)
            continue
        end = start + fact.stamp.size
        found.append(Small(fact, digest, content[start:end]))
        start = end
    return found
