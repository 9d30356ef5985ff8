"""Large inputs that were read before, and that the far end has built before, for whichever job:
where its file system can, they are there again without a byte being read or sent."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence

from burstd.agent.index import Index, Known, Stamp
from burstd.domain.data import InputFile
from burstd.far import models
from burstd.far.client import Client, missing

AT_ONCE = 500  #: files in one question


def cloned(client: Client, index: Index, paths: Iterable[str]) -> tuple[list[InputFile], list[str]]:
    """Those that are there by now, and the others. Raises what the client raises, and ``OSError``
    for a file that can't be read."""
    made, others, large = list[InputFile](), list[str](), list[str]()
    for path in paths:
        (large if os.stat(path).st_size >= models.LEAST else others).append(path)  # noqa: PTH116
    known = index.known(large)
    asked: list[tuple[str, InputFile, str]] = []
    for path in large:
        found = _unchanged(path, known.get(path), index)
        if found is None:
            others.append(path)
        else:
            asked.append((path, *found))
    for at in range(0, len(asked), AT_ONCE):
        group = asked[at : at + AT_ONCE]
        lacking = set(_lacking(client, group))
        for number, (path, entry, _) in enumerate(group):
            if number in lacking:
                others.append(path)
            else:
                made.append(entry)
    return made, others


def _lacking(client: Client, group: Sequence[tuple[str, InputFile, str]]) -> list[int]:
    rows = [
        models.row(entry.path, key, entry.size, entry.mtime_ns, entry.mode)
        for _, entry, key in group
    ]
    return missing(client.clone(rows).result()[1], len(group))


def _unchanged(path: str, known: Known | None, index: Index) -> tuple[InputFile, str] | None:
    if known is None:
        return None
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fact = os.fstat(fd)  # of an open file: NFS may tell of another one from memory (nfs(5))
    finally:
        os.close(fd)
    if Stamp.of(fact) != known.stamp:
        return None
    mode = fact.st_mode & 0o777
    entry = InputFile(path, fact.st_size, known.digest.hex(), fact.st_mtime_ns, mode)
    size = 0

    def names() -> Iterator[bytes]:
        nonlocal size
        for sizes, some in index.pieces(known):
            size += sum(array("I", sizes))
            yield some

    key = models.key_of(names())
    return (entry, key) if size == fact.st_size else None
