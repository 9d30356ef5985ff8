"""From the checked ``Config`` to the value that ``decide`` takes."""

from __future__ import annotations

from burstd.config.model import Config
from burstd.domain.jobs import CoreHours
from burstd.domain.policy import BurstPolicy, Watermarks
from burstd.domain.targets import Money, TargetName


def policy_of(config: Config) -> BurstPolicy:
    """The site's rules."""
    p = config.policy
    amount, currency = p.budget
    return BurstPolicy(
        mode=p.mode,
        watermarks=Watermarks(CoreHours(p.high), CoreHours(p.low)),
        partitions=frozenset(p.partitions),
        burst_partition=config.site.burst_partition,
        targets=tuple(TargetName(name) for name in config.targets),
        budget=Money(amount),
        currency=currency,
        reasons=frozenset(p.reasons),
        users=frozenset(p.users),
        accounts=frozenset(p.accounts),
        min_age=p.min_age,
        lost_after=config.site.lost_after,
        max_open_bursts=p.max_open_bursts,
        max_new_per_tick=p.max_new_per_tick,
    )
