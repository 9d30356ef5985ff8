"""How fast an application runs at a target, against here: by what is configured, else by what was
measured. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import median

from burstd.domain.policy import End
from burstd.domain.targets import TargetName, TargetView
from burstd.domain.usage import Usage

LIKE = 3  #: runs of a kind here, below which nothing is compared with them
RUNS = 5  #: compared, below which nothing is said
SLOWEST, FASTEST = 0.2, 5.0  #: what is beyond is no speed but another job

Speeds = Mapping[tuple[TargetName, str], float]


def measured(ends: Iterable[End], usage: Usage) -> Speeds:
    """Of every (target, application) with enough runs: the median of how much longer runs of the
    same user and kind took here, as a part of their limits."""
    found: dict[tuple[TargetName, str], list[float]] = defaultdict(list)
    for end in ends:
        if end.failed or not end.application or not end.ran or not end.limit:
            continue
        here = usage.used(end.user, end.name)
        if len(here) >= LIKE:
            there = end.ran / end.limit
            found[end.target, end.application].append(median(here) / there)
    return {
        key: min(FASTEST, max(SLOWEST, median(ratios)))
        for key, ratios in found.items()
        if len(ratios) >= RUNS
    }


def speed(view: TargetView, application: str, known: Speeds) -> float:
    """1.0: as fast as here, or nobody knows."""
    return view.speeds.get(application) or known.get((view.name, application), 1.0)
