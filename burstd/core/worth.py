"""In which order jobs leave: by what each is worth, as the site's strategy sees it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from burstd.core.line import Line
from burstd.core.selection import STRATEGIES
from burstd.core.steering import Steering, Tariff
from burstd.domain.budgets import Term
from burstd.domain.jobs import JobIdentity
from burstd.domain.policy import BurstPolicy, Ledger

OLDEST_FIRST = "threshold"  #: from the head of the line: its worth is its place


def tariff(policy: BurstPolicy, ledger: Ledger, now: datetime) -> Tariff | None:
    """What jobs must be worth at this moment for the budget to last its term; ``None``: any."""
    if not policy.steer or policy.strategy == OLDEST_FIRST:
        return None
    return lasting(policy, ledger, now)


def lasting(policy: BurstPolicy, ledger: Ledger, now: datetime) -> Tariff:
    """The prices at which the budget lasts its term."""
    term = policy.term or Term.month(now)
    steering = Steering(float(policy.budget), term.length.total_seconds())
    outlays = [
        (max(0.0, (charge.at - term.began).total_seconds()), float(charge.amount))
        for charge in ledger.charges
        if charge.open or charge.at >= term.began
    ]
    elapsed = (now - term.began).total_seconds()
    return steering.tariff(elapsed, float(ledger.spent + ledger.likely), sorted(outlays))


def worths(line: Line, policy: BurstPolicy, price: float = 0.0) -> Mapping[JobIdentity, float]:
    """What each job of the line is worth."""
    if line.outlook is None:
        return {}
    found = STRATEGIES[policy.strategy](line.waiters, line.outlook, price)
    return {
        job.identity: worth for same, worth in zip(line.groups, found, strict=True) for job in same
    }
