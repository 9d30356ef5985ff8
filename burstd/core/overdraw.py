"""What a budget no longer covers. Pure.

No decision passes a cap, but one can be lowered below what is promised already, or an operator has
approved that more comes home than was put by for it. What runs, runs on; of what has not begun the
youngest go home, until the rest fits again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from burstd.core.decide import purse_of
from burstd.core.lifecycle import RETURNABLE
from burstd.core.purse import Pot
from burstd.domain.burst import Burst, BurstId, Stage
from burstd.domain.policy import BurstPolicy, Ledger


def overdrawn(policy: BurstPolicy, ledger: Ledger, now: datetime) -> list[Pot]:
    """The budgets from which more is taken than they hold; the site's own last."""
    return [p for p in reversed(purse_of(policy, ledger, now).pots) if p.taken > p.budget.amount]


def not_covered(
    pots: Sequence[Pot],
    bursts: Sequence[Burst],
    currency: str,
    going_home: Collection[BurstId] = (),
) -> Mapping[BurstId, str]:
    """Those of the open ``bursts`` that must go home, and why. ``going_home``: that do already, by
    somebody's wish; what they were promised is as good as free."""
    home = {b.id for b in bursts if b.id in going_home or b.stage is Stage.RETURNING}
    found: dict[BurstId, str] = {}
    youngest = sorted(bursts, key=lambda burst: (burst.created_at, burst.id), reverse=True)
    for pot in pots:
        budget = pot.budget
        mine = [b for b in youngest if budget.covers(b.account, b.identity.user)]
        over = pot.taken - budget.amount
        over -= sum(b.reserved for b in mine if b.id in home or b.id in found)
        for burst in mine:
            if over <= 0:
                break
            if burst.stage not in RETURNABLE or burst.id in home or burst.id in found:
                continue
            amount = f"{budget.amount} {currency}/{budget.period.value}"
            found[burst.id] = f"{budget.name} ({amount}) no longer covers it"
            over -= burst.reserved
    return found
