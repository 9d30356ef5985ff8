"""Inputs that an earlier conversation of this burst has brought already: those that have not
changed since they were read are asked about by their digests, and nobody reads them once more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from burstd.agent.index import Index, unchanged
from burstd.domain.data import InputFile
from burstd.far.client import Client, Pending, missing

LOOKED_UP = 500  #: files at once
ASKED = 2000  #: files in one question


def standing(
    client: Client, index: Index, paths: Iterable[str]
) -> tuple[list[InputFile], list[str]]:
    """Those that are there, and the others. Raises what the client raises."""
    there, others = list[InputFile](), list[str]()
    asked = list[tuple[list[InputFile], Pending]]()

    def ask(group: list[InputFile]) -> None:
        asked.append((group, client.standing(group)))

    group = list[InputFile]()
    for found in _unchanged(index, paths):
        if isinstance(found, str):
            others.append(found)
            continue
        group.append(found)
        if len(group) == ASKED:
            ask(group)
            group = []
    if group:
        ask(group)
    for group, pending in asked:
        lacking = set(missing(pending.result()[1], len(group)))
        for number, entry in enumerate(group):
            if number in lacking:
                others.append(entry.path)
            else:
                there.append(entry)
    return there, others


def _unchanged(index: Index, paths: Iterable[str]) -> Iterator[InputFile | str]:
    """The entries of those that are as they were when they were read; others as they are."""
    coming = iter(paths)
    while some := list(islice(coming, LOOKED_UP)):
        known = index.known(some)
        same = unchanged(known)
        for path in some:
            fact = same.get(path)
            yield path if fact is None else fact.entry(path, known[path].digest)
