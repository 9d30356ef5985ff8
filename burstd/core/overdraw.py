"""What a budget no longer covers. Pure.

No decision and no approval passes a cap, but one can be lowered below what is promised already. Of
what has not begun the youngest go home, until the rest fits again. What runs, runs on; unless that
is not enough, and the policy stops those that can save their state and go on at home.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from burstd.core.decide import purse_of
from burstd.core.lifecycle import RETURNABLE
from burstd.core.purse import Pot
from burstd.domain.audit import DAEMON
from burstd.domain.burst import ZERO, Burst, BurstId, Stage
from burstd.domain.policy import BurstPolicy, HardMark, Ledger
from burstd.domain.requests import Request, RequestKind
from burstd.domain.targets import Money

#: What is asked already, by burst.
Asked = Mapping[BurstId, frozenset[Request]]


def overdrawn(policy: BurstPolicy, ledger: Ledger, now: datetime) -> list[Pot]:
    """The budgets from which more is taken than they hold; the site's own last."""
    return [p for p in reversed(purse_of(policy, ledger, now).pots) if p.taken > p.budget.amount]


def not_covered(
    pots: Sequence[Pot],
    bursts: Sequence[Burst],
    asked: Asked,
    policy: BurstPolicy,
    now: datetime,
) -> Mapping[BurstId, Request]:
    """What is to be asked of which of the open ``bursts``. Of what is stopped that part comes free
    that its time limit leaves to run."""
    found: dict[BurstId, Request] = {}
    youngest = sorted(bursts, key=lambda burst: (burst.created_at, burst.id), reverse=True)
    free = {b.id: _left(b, now) for b in youngest if _stops(b, asked)}
    for pot in pots:
        budget = pot.budget
        mine = [b for b in youngest if budget.covers(b.account, b.identity.user)]
        over = pot.taken - budget.amount - sum(free.get(b.id, ZERO) for b in mine)
        why = f"{budget.name} ({budget.amount} {policy.currency}/{budget.period.value}) "
        for burst, kind in _ways(mine, policy):
            if over <= 0:
                break
            if burst.id not in free and (left := _left(burst, now)):
                found[burst.id] = Request(kind, DAEMON, f"{why}no longer covers it")
                free[burst.id] = left
                over -= left
    return found


def _ways(bursts: Sequence[Burst], policy: BurstPolicy) -> Iterator[tuple[Burst, RequestKind]]:
    """Who may be asked what, in this order."""
    yield from ((b, RequestKind.RETURN) for b in bursts if b.stage in RETURNABLE)
    if policy.hard is HardMark.CHECKPOINT_AND_RETURN:
        yield from ((b, RequestKind.CHECKPOINT) for b in bursts if b.may_stop)


def _stops(burst: Burst, asked: Asked) -> bool:
    """It is over, or about to be: goes home by somebody's wish, or was told to stop."""
    over = burst.stage is Stage.RETURNING or burst.stopping or burst.outcome is not None
    mine = asked.get(burst.id, frozenset())
    return over or any(r.kind in {RequestKind.RETURN, RequestKind.CHECKPOINT} for r in mine)


def _left(burst: Burst, now: datetime) -> Money:
    """Of what is promised to it, what it has not used so far: results may still cost."""
    limit = burst.record.time_limit if burst.record else None
    if burst.started_at is None or not limit:
        return burst.reserved
    ran = now - burst.started_at if burst.outcome is None else burst.outcome.elapsed
    part = 1 - min(1.0, max(timedelta(), ran) / limit)
    return Money(burst.reserved * Decimal(str(round(part, 6))))
