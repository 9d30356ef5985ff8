"""LM-X: ``lmxendutil -licstat``, as Altair's and other products come with it."""

from __future__ import annotations

import re

from burstd.adapters.licences.counts import Count, scarcest

_FEATURE = re.compile(r"^Feature: (\S+) Version: \S+ Vendor: \S", re.ASCII)
_COUNT = re.compile(r"^(\d{1,12}) of (\d{1,12}) license\(s\) used:?\s*$", re.ASCII)
_END = "-" * 40


def parse(text: str) -> dict[str, Count]:
    """Every feature with its counts; one whose counts do not stand in its own section has none."""
    found: list[tuple[str, Count]] = []
    feature = None
    for line in text.splitlines():
        if opened := _FEATURE.match(line):
            feature = opened[1]
        elif feature is not None and (counts := _COUNT.match(line)):
            found.append((feature, Count(int(counts[2]), int(counts[1]))))
            feature = None
        elif line.startswith(_END):
            feature = None
    return scarcest(found)
