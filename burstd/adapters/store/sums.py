"""What all bursts of late come to: money, licences, ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from burstd.domain.budgets import Charge
from burstd.domain.burst import ZERO, Burst, Stage
from burstd.domain.policy import End, Ledger
from burstd.domain.targets import Money


def ledger_of(bursts: Sequence[Burst], month: str) -> Ledger:
    """The sums of all that began in this month or week, or binds a job or money yet."""
    going = [burst for burst in bursts if not burst.stage.final]
    ended = [b for b in bursts if b.stage.final and month_of(b) == month]
    return Ledger(
        spent=Money(sum((b.cost or ZERO for b in ended), Decimal(0))),
        reserved=Money(sum((b.reserved for b in going), Decimal(0))),
        likely=Money(sum((b.likely for b in going), Decimal(0))),
        charges=tuple(map(_charge, bursts)),
        ends=tuple(end for burst in bursts if (end := _end(burst)) is not None),
        open_at=frozenset(burst.target for burst in going),
        booked=sum((Counter(burst.licences) for burst in going), Counter[str]()),
        open=frozenset(burst.job for burst in going),
        abandoned=frozenset(b.job for b in bursts if b.stage is Stage.ABANDONED),
    )


def _charge(burst: Burst) -> Charge:
    over = burst.stage.final
    amount = (burst.cost or ZERO) if over else burst.reserved
    return Charge(burst.created_at, burst.account, burst.identity.user, amount, not over)


def _end(burst: Burst) -> End | None:
    """``None`` while it runs, and for what a user or an operator has ended: it tells nothing."""
    outcome = burst.outcome
    if outcome is None or outcome.reason == "cancelled" or burst.stage_since is None:
        return None
    failed = not (outcome.reason == "exited" and outcome.exit_code == 0)
    return End(burst.target, burst.identity.user, burst.stage_since, outcome.elapsed, failed)


def month_of(burst: Burst) -> str:
    """The one that its money belongs to."""
    return burst.created_at.strftime("%Y-%m")
