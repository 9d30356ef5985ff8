"""What the parsers of all status commands have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Count:
    """So many of a feature are there, so many of them can't be had now."""

    total: int
    used: int

    @property
    def free(self) -> int:
        return self.total - self.used


#: From the whole answer to its features. Lines that are not exactly as they must be tell nothing.
Parser = Callable[[str], Mapping[str, Count]]


def scarcest(found: Iterable[tuple[str, Count]]) -> dict[str, Count]:
    """A feature may be told of several times: by server, version or pool. One checkout is served
    from one of them, and which one is not known: so the one that has least counts."""
    counts: dict[str, Count] = {}
    for feature, count in found:
        known = counts.get(feature)
        counts[feature] = min(known, count, key=lambda c: (c.free, c.total)) if known else count
    return counts
