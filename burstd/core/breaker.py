"""A target where jobs fail as soon as they start is a black hole: it looks free, and takes all.

It is put aside, and tried again with one job (Nygard, *Release It!*, circuit breaker). Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from burstd.domain.policy import End
from burstd.domain.targets import TargetName

FAST = timedelta(minutes=1)  #: who fails within this time has hardly computed
FAILURES = 5  #: in a row, of two users at least: a user's own mistakes are no black hole
USERS = 2
ASIDE = timedelta(minutes=30)


@dataclass(frozen=True)
class Aside:
    """Nothing goes there, or (``probe``) one job, to see whether it is well again."""

    why: str
    probe: bool


def aside(
    ends: Iterable[End], open_at: Iterable[TargetName], now: datetime
) -> dict[TargetName, Aside]:
    """The targets to which nothing, or one job, may go. ``open_at``: where open bursts are."""
    by_target: dict[TargetName, list[End]] = defaultdict(list)
    for end in sorted(ends, key=lambda end: end.at):
        by_target[end.target].append(end)
    busy = set(open_at)
    found: dict[TargetName, Aside] = {}
    for target, mine in by_target.items():
        last = mine[-FAILURES:]
        failing = len(last) == FAILURES and all(e.failed and e.ran < FAST for e in last)
        if not failing or len({end.user for end in last}) < USERS:
            continue
        until = last[-1].at + ASIDE
        why = f"the last {FAILURES} jobs there failed within {FAST.seconds} s"
        if now < until:
            found[target] = Aside(f"{why}: aside until {until:%Y-%m-%dT%H:%MZ}", probe=False)
        else:
            probed = target in busy
            found[target] = Aside(f"{why}: one job tries it", probe=not probed)
    return found
