"""What all bursts of late come to: money, licences, ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal

from burstd.domain.budgets import Charge
from burstd.domain.burst import ZERO, Burst, Stage
from burstd.domain.jobs import JobKey
from burstd.domain.policy import End, Ledger, Stand
from burstd.domain.targets import Money, TargetName


def ledger_of(bursts: Sequence[Burst], month: str) -> Ledger:
    """The sums of all that began of late, or binds a job or money yet."""
    going = [burst for burst in bursts if not burst.stage.final]
    charges = tuple(charge for burst in bursts for charge in _charges(burst))
    return Ledger(
        spent=Money(sum((c.amount for c in charges if _spent(c, month)), Decimal(0))),
        reserved=Money(sum((b.reserved for b in going), Decimal(0))),
        likely=Money(sum((b.likely for b in going), Decimal(0))),
        charges=charges,
        ends=tuple(end for burst in bursts if (end := _end(burst)) is not None),
        open_at=_stands(going),
        begun_at=max((b.created_at for b in bursts if b.target), default=None),
        booked=sum((Counter(burst.licences) for burst in going), Counter[str]()),
        open=frozenset(burst.job for burst in going),
        abandoned=frozenset(abandoned(bursts)),
    )


def abandoned(bursts: Iterable[Burst]) -> dict[JobKey, str]:
    """Jobs that an operator has taken out of our hands, with their users."""
    return {b.job: b.identity.user for b in bursts if b.stage is Stage.ABANDONED}


def _charges(burst: Burst) -> Iterator[Charge]:
    """Its own, and those of what was fetched behind its end, each of its own moment."""
    over, who = burst.stage.final, (burst.account, burst.identity.user)
    amount = (burst.cost or ZERO) if over else burst.reserved
    yield Charge(burst.created_at, *who, amount, not over, burst.currency)
    for fetch in burst.fetches:
        yield Charge(fetch.at, *who, fetch.cost, open=False, currency=burst.currency)


def _spent(charge: Charge, month: str) -> bool:
    return not charge.open and charge.at.strftime("%Y-%m") == month


def _end(burst: Burst) -> End | None:
    """``None`` while it runs, and for what somebody has ended or stopped: it tells nothing."""
    outcome = burst.outcome
    if outcome is None or burst.stage_since is None:
        return None
    if outcome.reason == "cancelled" or burst.stopping:
        return None
    failed = not (outcome.reason == "exited" and outcome.exit_code == 0)
    limit = burst.record.time_limit if burst.record else None
    return End(
        burst.target,
        burst.identity.user,
        burst.stage_since,
        outcome.elapsed,
        failed,
        burst.identity.name,
        burst.application,
        limit or timedelta(),
        _lead(burst),
        burst.output,
    )


def _lead(burst: Burst) -> timedelta | None:
    """``None`` where it was not seen, or a clock was set meanwhile."""
    if burst.started_at is None or burst.started_at < burst.created_at:
        return None
    return burst.started_at - burst.created_at


def _stands(going: Iterable[Burst]) -> dict[TargetName, Stand]:
    """What is open at each target; a twin that was let go and has not been seen to run waits."""
    found: dict[TargetName, Stand] = {}
    for burst in going:
        if not burst.target:
            continue
        was = found.get(burst.target, Stand(0))
        waits = burst.stage is Stage.RUNNING and burst.started_at is None
        since = [was.queued_since, burst.stage_since if waits else None]
        oldest = min((moment for moment in since if moment is not None), default=None)
        gpus = was.gpus + burst.gpus
        found[burst.target] = Stand(was.cores + burst.cores, oldest, gpus)
    return found


def month_of(burst: Burst) -> str:
    """The one that its money belongs to."""
    return burst.created_at.strftime("%Y-%m")
