"""Rules for who has no configuration: a strategy, and a budget of core-hours for the whole past."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from burstd.core.worth import OLDEST_FIRST, lasting
from burstd.domain.budgets import Term
from burstd.domain.classes import OPEN
from burstd.domain.jobs import CoreHours
from burstd.domain.policy import BurstPolicy, Ledger, Mode, Watermarks
from burstd.domain.targets import Capabilities, Money, TargetName, TargetView
from burstd.rehearsal.decided import Rule
from burstd.rehearsal.history import History
from burstd.rehearsal.measures import BILLED

DELAY = 300  #: seconds until a job that leaves has begun elsewhere
SHARE = 0.05  #: of all core-hours: the budget of who names none
THETA = BurstPolicy.theta  #: between each job's hour (0) and each core-hour's (1)
#: When the first job comes where the history does not tell: a Monday, and the first of a year.
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
CYCLE = timedelta(minutes=5)  #: from one decision to the next, in a dense history
MANY, A_DAY = 10_000, 500  #: jobs: one with more of them is dense
PRICE = Money(Decimal(1))  #: of a core-hour: the budget is one of core-hours
_MOST = 10**9
_CLOUD = TargetName("cloud")
#: Where there is always room.
CLOUD = TargetView(
    _CLOUD,
    Capabilities(_MOST, _MOST, timedelta.max),
    PRICE,
    overhead=timedelta(seconds=BILLED),
)


def epoch(history: History) -> datetime:
    """The world's time at the history's moment 0."""
    if history.epoch is None:
        return EPOCH - timedelta(seconds=history.jobs[0].submitted)
    return datetime.fromtimestamp(history.epoch, UTC)


def dense(history: History) -> bool:
    """To decide whenever a job comes or ends would take minutes, and come to the same
    (docs/policy.md)."""
    jobs = len(history.jobs)
    return jobs > MANY and jobs * 86400 > A_DAY * history.seconds


def budgeted(history: History, strategy: str, share: float, theta: float = THETA) -> Rule:
    """This part of all core-hours may be bought; the price is steered so that they last."""
    budget = Money(Decimal(str(share * history.core_hours)))
    policy = replace(_policy(history, strategy, budget), theta=theta, steer=True)
    if strategy == OLDEST_FIRST:
        cores = history.cores
        return SteeredMark(policy, (CLOUD,), epoch(history), _cycle(history), cores=cores)
    return Rule(policy, (CLOUD,), epoch(history), _cycle(history))


def marked(history: History, mark: float) -> Rule:
    """The oldest leave while so many core-hours wait, at any cost."""
    policy = _policy(history, OLDEST_FIRST, Money(Decimal("Infinity")))
    return Rule(_at_mark(policy, mark), (CLOUD,), epoch(history), _cycle(history))


@dataclass(frozen=True)
class SteeredMark(Rule):
    """The oldest first, under a budget: it is the mark that moves with the price at which the
    budget lasts, times the ``cores`` of the cluster."""

    cores: int = 0

    def at(self, now: datetime, ledger: Ledger) -> BurstPolicy:
        return _at_mark(self.policy, lasting(self.policy, ledger, now).price() * self.cores)


def _cycle(history: History) -> int:
    return int(CYCLE.total_seconds()) if dense(history) else 0


def _policy(history: History, strategy: str, budget: Money) -> BurstPolicy:
    """Nothing keeps a job but its worth and the money."""
    first = epoch(history) + timedelta(seconds=history.jobs[0].submitted)
    return BurstPolicy(
        mode=Mode.AUTO,
        watermarks=Watermarks(CoreHours(0), CoreHours(0)),
        partitions=frozenset(name for job in history.jobs for name in job.queue.split(",")),
        burst_partition="-",
        targets=(_CLOUD,),
        budget=budget,
        term=Term(first, timedelta(seconds=max(1, history.seconds))),
        strategy=strategy,
        start_delay=timedelta(seconds=DELAY),
        data=OPEN,
        max_open_bursts=_MOST,
        max_new_per_tick=_MOST,
    )


def _at_mark(policy: BurstPolicy, mark: float) -> BurstPolicy:
    return replace(policy, watermarks=Watermarks(CoreHours(mark), CoreHours(mark)))
