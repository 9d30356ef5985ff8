"""Large inputs that were read before, and that the far end has built before, for whichever job:
where its file system can, they are there again without a byte being read or sent."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

from burstd.agent.facts import sizes
from burstd.agent.index import Index, Known, unchanged
from burstd.domain.data import InputFile
from burstd.far import models
from burstd.far.client import Client, missing

AT_ONCE = 500  #: files in one question


def cloned(client: Client, index: Index, paths: Sequence[str]) -> tuple[list[InputFile], list[str]]:
    """Those that are there by now, and the others. Raises what the client raises."""
    made, others, large = list[InputFile](), list[str](), list[str]()
    for path, size in zip(paths, sizes(paths), strict=True):
        (large if size >= models.LEAST else others).append(path)
    known = index.known(large)
    same = unchanged(known)
    asked: list[tuple[InputFile, str]] = []
    for path in large:
        fact = same.get(path)
        key = None if fact is None else _key(known[path], index)
        if fact is None or key is None:
            others.append(path)
        else:
            asked.append((fact.entry(path, known[path].digest), key))
    for at in range(0, len(asked), AT_ONCE):
        group = asked[at : at + AT_ONCE]
        lacking = set(_lacking(client, group))
        for number, (entry, _) in enumerate(group):
            if number in lacking:
                others.append(entry.path)
            else:
                made.append(entry)
    return made, others


def _lacking(client: Client, group: Sequence[tuple[InputFile, str]]) -> list[int]:
    rows = [
        models.row(entry.path, key, entry.size, entry.mtime_ns, entry.mode) for entry, key in group
    ]
    return missing(client.clone(rows).result()[1], len(group))


def _key(known: Known, index: Index) -> str | None:
    """What the far end calls one of the same chunks; nothing where the index lacks some."""
    size = 0

    def names() -> Iterator[bytes]:
        nonlocal size
        for raw, some in index.pieces(known):
            size += sum(array("I", raw))
            yield some

    key = models.key_of(names())
    return key if size == known.stamp.size else None
