"""What the site allows: thresholds, eligibility and money; and the ledger it is held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum

from burstd.domain.budgets import Budget, Charge, Term
from burstd.domain.classes import DataRules
from burstd.domain.jobs import CoreHours, JobKey, QueuedJob
from burstd.domain.targets import Money, TargetName


class Mode(Enum):
    """How far burstd goes by itself. A fresh install observes."""

    OBSERVE = "observe"  #: decide and record, touch nothing
    APPROVE = "approve"  #: promise the money, and wait until an operator says so
    AUTO = "auto"


#: The whole queue as a pressure; its marks are ``policy.high`` and ``policy.low``.
QUEUE = "queue"


@dataclass(frozen=True)
class Watermarks:
    """Bursting starts at ``high`` and stops below ``low``; the gap is the hysteresis."""

    high: CoreHours
    low: CoreHours


@dataclass(frozen=True)
class Pressure:
    """A part of the queue with marks of its own: the jobs that meet everything that is given."""

    name: str
    marks: Watermarks
    partitions: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    qos: frozenset[str] = frozenset()
    gpus: bool = False  #: its marks are GPU-hours, of jobs that ask for GPUs

    def covers(self, job: QueuedJob, *, gpus: bool = False) -> bool:
        """True if its waiting is pressure here. ``gpus``: it asks for some."""
        return (
            (gpus or not self.gpus)
            and (not self.partitions or job.in_any(self.partitions))
            and (not self.accounts or job.account in self.accounts)
            and (not self.qos or job.qos in self.qos)
        )


class Order(Enum):
    """Which of the targets where a job fits it goes to."""

    COST = "cost"  #: the cheapest, by what it is expected to run there
    TIME = "time"  #: where it is expected to be over first
    DEADLINE = "deadline"  #: the cheapest where it meets its deadline; without one the cheapest


class HardMark(Enum):
    """What becomes of what runs when a budget no longer covers it."""

    FINISH = "finish"
    CHECKPOINT_AND_RETURN = "checkpoint-and-return"  #: of those that can; all others run on


@dataclass(frozen=True)
class Window:
    """Jobs may leave from each of these moments on (crontab(5), UTC), for so long."""

    start: str
    length: timedelta


@dataclass(frozen=True)
class BurstPolicy:
    """One site's rules. Empty ``users``/``accounts`` mean everyone."""

    mode: Mode
    watermarks: Watermarks
    partitions: frozenset[str]
    burst_partition: str
    targets: tuple[TargetName, ...]
    budget: Money  #: for its term, in the site's currency
    term: Term | None = None  #: none: each calendar month
    currency: str = "EUR"
    budgets: tuple[Budget, ...] = ()  #: beside that one: of some accounts, users, other periods
    hard: HardMark = HardMark.FINISH  #: of every budget
    history: timedelta = timedelta(days=30)  #: of users' runs, for forecasts; none: by limits
    pressures: tuple[Pressure, ...] = ()  #: parts of the queue, beside the whole
    cooldown: timedelta = timedelta()  #: after bursts began until others may
    step: float = 1.0  #: part of what is above the low mark that may leave in one cycle
    strategy: str = "marginal"  #: which of them leave: docs/policy.md
    order: Order = Order.COST
    sold_out_after: timedelta = timedelta(hours=1)  #: that a twin waits: nothing more goes there
    modes: frozenset[str] = frozenset({"prefer"})  #: that users may ask for
    most_output: int = 50 * 10**9  #: bytes that come home from where that costs
    links: bool = True  #: symbolic links among results come home, if they lead below their place
    veto: bool = False  #: who will be over sooner here stays
    steer: bool = False  #: nobody leaves below the price at which the budget lasts the month
    theta: float = 0.2  #: how much more a large job's hour of waiting counts: 0 to 1
    #: Until a job that leaves has begun elsewhere, as long as that was not measured.
    start_delay: timedelta = timedelta(minutes=5)
    reasons: frozenset[str] = frozenset({"Resources", "Priority"})
    users: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    min_age: timedelta = timedelta(0)
    lost_after: timedelta = timedelta(minutes=10)
    data: DataRules = field(default=DataRules())
    least_core_hours: CoreHours = field(default=CoreHours(0.0))
    most_cores: int | None = None
    longest: timedelta | None = None  #: time limit that a job may have
    windows: tuple[Window, ...] = ()  #: none: always
    blackouts: tuple[tuple[date, date], ...] = ()  #: first and last day, UTC
    #: Where each setting stands (file and line), by its dotted path; a default stands nowhere.
    places: Mapping[str, str] = field(default_factory=dict, compare=False)
    max_open_bursts: int = 1000
    max_new_per_tick: int = 50


@dataclass(frozen=True, slots=True)
class End:
    """How a burst's run at a target ended. ``lead``: from its burst's beginning to its own."""

    target: TargetName
    user: str
    at: datetime
    ran: timedelta
    failed: bool
    name: str = ""  #: the job's
    application: str = ""
    limit: timedelta = timedelta()
    lead: timedelta | None = None
    output: int | None = None  #: bytes of its results


@dataclass(frozen=True, slots=True)
class Stand:
    """What burstd has at one target now."""

    cores: int  #: of open bursts, and GPUs
    queued_since: datetime | None = None  #: the oldest twin that may run and has not begun
    gpus: int = 0


@dataclass(frozen=True)
class Ledger:
    """Money promised and spent this month, open bursts, and jobs that came back once."""

    surging: frozenset[str] = frozenset()  #: names of the pressures that do
    spent: Money = field(default=Money(Decimal(0)))
    reserved: Money = field(default=Money(Decimal(0)))
    likely: Money = field(default=Money(Decimal(0)))  #: what open bursts are expected to cost
    charges: tuple[Charge, ...] = ()  #: of the last 31 days, and whatever is open
    ends: tuple[End, ...] = ()  #: of the last 31 days
    open_at: Mapping[TargetName, Stand] = field(default_factory=dict)  #: where open bursts are
    begun_at: datetime | None = None  #: when the last of them did
    open: frozenset[JobKey] = frozenset()
    returned: frozenset[JobKey] = frozenset()
    refused: frozenset[JobKey] = frozenset()  #: could not be taken a while ago: not again yet
    abandoned: frozenset[JobKey] = frozenset()  #: an operator has taken them out of our hands
    #: Users of these; Slurm may have given a number to another since. Not there: anybody's.
    owners: Mapping[JobKey, str] = field(default_factory=dict)
    frozen: str = ""  #: who stopped new bursts, when and why; empty: nobody
    closed: bool = False  #: frozen, and wishes go home instead of waiting
    booked: Mapping[str, int] = field(default_factory=dict)  #: licences of bursts that are not over
    suspect: str = ""  #: safe mode: who remembers more than this ledger; empty: nobody

    def left(self, budget: Money) -> Money:
        return Money(max(Decimal(0), budget - self.spent - self.reserved))
