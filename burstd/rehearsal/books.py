"""The ledger of a rehearsal: what is promised when a job leaves, and settled when it has ended."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from burstd.domain.budgets import Charge, Period, Term
from burstd.domain.jobs import JobKey
from burstd.domain.plan import Placement
from burstd.domain.policy import BurstPolicy, Ledger, Stand
from burstd.domain.targets import Money, TargetName

_NOTHING = Decimal(0)
PARTS = 50  #: of a term, in which a rehearsal's outlays are summed up


@dataclass(frozen=True, slots=True)
class Trip:
    """A burst, from when it began. ``cost``: what it will turn out to have cost."""

    placed: Placement
    began: datetime
    cost: Money


@dataclass(frozen=True, slots=True)
class Payer:
    """Whose money, and the day on which it was promised: every period is one of whole days."""

    day: datetime
    account: str
    user: str


class Books:
    """Money counts in the term of the policy's budget, or in the month that its burst began in."""

    def __init__(self, policy: BurstPolicy) -> None:
        self.surging: frozenset[str] = frozenset()
        self.spent: dict[Term, Decimal] = defaultdict(Decimal)
        self.bursts: Counter[Term] = Counter()
        self._policy = policy
        self._paid: dict[Payer, Decimal] = defaultdict(Decimal)
        self._outlays: dict[datetime, Decimal] = defaultdict(Decimal)
        self._cores: Counter[TargetName] = Counter()
        self._reserved, self._likely = _NOTHING, _NOTHING
        self._open: dict[JobKey, Trip] = {}
        self._ends: list[tuple[datetime, JobKey]] = []
        self._begun_at: datetime | None = None

    def begin(self, trip: Trip, over: datetime) -> None:
        """Its worst case is promised, until it is ``over``."""
        placed, key = trip.placed, trip.placed.identity.key
        self._open[key], self._begun_at = trip, trip.began
        heapq.heappush(self._ends, (over, key))
        self.bursts[self._term(trip.began)] += 1
        self._outlays[self._part(trip.began)] += placed.likely
        self._count(placed, 1)

    def ledger(self, now: datetime) -> Ledger:
        """As it is at this moment: what is over by then is settled."""
        while self._ends and self._ends[0][0] <= now:
            self._settle(self._open.pop(heapq.heappop(self._ends)[1]))
        return Ledger(
            surging=self.surging,
            spent=Money(self.spent[self._term(now)]),
            reserved=Money(self._reserved),
            likely=Money(self._likely),
            charges=self._charges(now),
            open_at={target: Stand(cores) for target, cores in self._cores.items()},
            begun_at=self._begun_at,
            open=frozenset(self._open),
        )

    @property
    def settled(self) -> dict[Term, Decimal]:
        """What each term will have cost when all is over."""
        found = self.spent.copy()
        for trip in self._open.values():
            found[self._term(trip.began)] += trip.cost
        return found

    def _settle(self, trip: Trip) -> None:
        self._count(trip.placed, -1)
        self.spent[self._term(trip.began)] += trip.cost
        self._paid[_payer(trip)] += trip.cost
        self._outlays[self._part(trip.began)] += trip.cost - trip.placed.likely

    def _count(self, placed: Placement, sign: int) -> None:
        self._reserved += sign * placed.reserved
        self._likely += sign * placed.likely
        self._cores[placed.target] += sign * placed.cores

    def _term(self, now: datetime) -> Term:
        return self._policy.term or Term.month(now)

    def _charges(self, now: datetime) -> tuple[Charge, ...]:
        """As far as the policy asks for them. With budgets of their own: of this month and week,
        those of a day together, and whatever is open. Steered: of a part of the term together."""
        if self._policy.budgets:
            since = min(Period.MONTH.began(now), Period.WEEK.began(now))
            paid = [(payer, amount) for payer, amount in self._paid.items() if payer.day >= since]
            return (
                *(
                    Charge(p.day, p.account, p.user, Money(amount), open=False)
                    for p, amount in paid
                ),
                *map(_promised, self._open.values()),
            )
        if not self._policy.steer:
            return ()
        since, outlays = self._term(now).began, self._outlays.items()
        return tuple(Charge(at, "", "", Money(a), open=False) for at, a in outlays if at >= since)

    def _part(self, at: datetime) -> datetime:
        """Where that part of its term begins: as fine as steering needs it."""
        term = self._term(at)
        part = term.length / PARTS
        return term.began + (at - term.began) // part * part


def _promised(trip: Trip) -> Charge:
    placed = trip.placed
    return Charge(trip.began, placed.account, placed.identity.user, placed.reserved, open=True)


def _payer(trip: Trip) -> Payer:
    day, placed = Period.DAY.began(trip.began), trip.placed
    return Payer(day, placed.account, placed.identity.user)
