"""What the core decided, and why, for every job it looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from burstd.domain.directives import NONE, Directives
from burstd.domain.estimates import Accuracy, Source
from burstd.domain.jobs import CoreHours, JobIdentity, JobKey, QueueSnapshot, Shape
from burstd.domain.licences import PoolView, Tokens
from burstd.domain.targets import Money, TargetName, TargetView
from burstd.domain.usage import Usage


@dataclass(frozen=True, slots=True)
class ScriptFacts:
    """What a job's batch script says, and what the queue's list does not show of it.
    ``application`` is ``None`` where no profile matches."""

    present: bool
    application: str | None = None
    asked: Directives = NONE  #: by its user, in ``#BURST`` lines
    licences: Mapping[str, Tokens] = field(default_factory=dict)  #: by the application's profile
    shape: Shape | None = None  #: read with it; ``None``: it was not, for the job stays anyway


@dataclass(frozen=True)
class Snapshot:
    """All the core may know about the world at one moment."""

    queue: QueueSnapshot
    targets: tuple[TargetView, ...]
    scripts: Mapping[JobIdentity, ScriptFacts] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)  #: what the users' runs of the last weeks say
    closed: str = ""  #: why no job may leave at this time (a window, a blackout); empty: they may
    accuracy: Mapping[Source, Accuracy] = field(default_factory=dict)  #: of estimated starts
    licences: Mapping[str, PoolView] = field(default_factory=dict)  #: looked at after the queue


class Reason(Enum):
    """Why a job stays. The text is the first half of ``burst why``."""

    BELOW_WATERMARK = "the queue is below the high-water mark"
    BELOW_PRICE = "its leaving would spare less waiting than the budget can pay for just now"
    DAMPED = "the jobs placed before it already bring the queue below the low-water mark"
    NOT_WAITING = "it is not waiting for resources"
    HELD = "it is held"
    DEPENDENT = "it waits for another job"
    OTHER_PARTITION = "its partition is not one that bursts"
    OTHER_USER = "its user is not allowed to burst"
    OTHER_ACCOUNT = "its account is not allowed to burst"
    HETEROGENEOUS = "heterogeneous jobs are not bursted"
    THROTTLED = "its array lets no more of its tasks run at once"
    NO_TIME_LIMIT = "it has no time limit, so its cost has no bound"
    NO_SCRIPT = "it is interactive or has no batch script"
    SCRIPT_UNREAD = "its batch script has not been read yet"
    NO_APPLICATION = "no application profile matches its script"
    USER_FORBIDS = "its user forbids it"
    UNLABELLED = "nothing says of which class its data are, and such data stay"
    UNKNOWN_CLASS = "its user names a data class that the site does not know"
    DATA_STAYS = "its data may not leave"
    OUTSIDE_WINDOW = "bursting is closed at this time"
    TOO_SMALL = "it is too small to leave"
    TOO_LARGE = "it is too large to leave"
    TOO_YOUNG = "it has not waited long enough"
    BAD_DIRECTIVE = "what its user asks of burstd can't be read"
    NO_TARGET_FITS = "no target fits"
    SOONER_HERE = "it will be over sooner here"
    TOO_DEAR = "it may cost more than its user allows"
    NO_BUDGET = "a budget does not cover its worst case"
    SOFT_MARK = "a budget has reached its soft mark"
    TOO_MANY_OPEN = "too many bursts are open"
    FROZEN = "an operator has frozen bursting"
    PACED = "enough bursts were started in this cycle"
    STEP = "enough of the queue leaves in this cycle"
    COOLING = "bursts have begun a short while ago"
    RETURNED_BEFORE = "it was given back once"
    REFUSED_LATELY = "it could not be taken a while ago, and is tried again"
    ABANDONED = "an operator has abandoned its burst: burstd does not touch it any more"
    LICENCES = "not all its licences are free"
    LICENCES_UNSEEN = "it is not known whether its licences are free"
    GPUS = "it asks for generic resources no target offers"


#: Of jobs that may leave, and count as pressure whether or not they leave now.
PRESSING = frozenset(
    {
        Reason.BELOW_WATERMARK,
        Reason.BELOW_PRICE,
        Reason.DAMPED,
        Reason.STEP,
        Reason.PACED,
        Reason.COOLING,
        Reason.TOO_MANY_OPEN,
        Reason.FROZEN,
        Reason.NO_TARGET_FITS,
        Reason.TOO_DEAR,
        Reason.NO_BUDGET,
        Reason.SOFT_MARK,
        Reason.SOONER_HERE,
        Reason.LICENCES,
        Reason.LICENCES_UNSEEN,
    }
)

#: Why a job stays, and the numbers that decide it.
Objection = tuple[Reason, dict[str, str]]


@dataclass(frozen=True)
class Ruling:
    """What one rule says of one job. ``objection``: ``None`` if it has none. ``place``: file and
    line of its setting; empty: it is the default, or nothing that the site can set."""

    rule: str
    objection: Reason | None
    numbers: Mapping[str, str] = field(default_factory=dict)
    setting: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Placement:
    """This job leaves, to there, at no more than that."""

    identity: JobIdentity
    target: TargetName
    application: str
    cores: int
    reserved: Money
    wish: bool = False
    account: str = ""
    likely: Money = field(default=Money(Decimal(0)))  #: by what it is expected to run
    licences: Mapping[str, int] = field(default_factory=dict)  #: booked until its burst is over
    most_output: int | None = None  #: bytes that may come home for what is reserved; ``None``: all
    gpus: int = 0
    checkpoint: str = ""  #: its user's signal for that; empty: it can't be stopped and go on


@dataclass(frozen=True, slots=True)
class Decline:
    """This job stays, and why, with the numbers that decided it."""

    identity: JobIdentity
    reason: Reason
    numbers: Mapping[str, str] = field(default_factory=dict)
    wish: bool = False
    elements: tuple[JobKey, ...] = ()  #: the keys that this verdict is for

    @property
    def text(self) -> str:
        detail = ", ".join(f"{name} {value}" for name, value in self.numbers.items())
        return f"{self.reason.value} ({detail})" if detail else self.reason.value


@dataclass(frozen=True)
class Plan:
    """One decision: every pending job has a placement or a decline."""

    backlog: CoreHours
    surging: frozenset[str]  #: names of the pressures that do
    placements: tuple[Placement, ...] = ()
    declined: tuple[Decline, ...] = ()
    #: Of the parts of the queue, in the units of their marks; older decisions do not tell.
    backlogs: Mapping[str, float] = field(default_factory=dict, compare=False)
    currency: str = field(default="", compare=False)  #: of its amounts
