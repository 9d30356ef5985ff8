"""A burst: one job's trip to a target and back.

Stages ending in -ING record an intent: we may or may not have caused the effect.
Every other stage records a fact for which we hold evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import NewType, Self

from burstd.domain.jobs import JobIdentity, JobKey, JobRecord
from burstd.domain.targets import Generation, Money, Outcome, RemoteId, TargetName, WorkKey

BurstId = NewType("BurstId", str)


class Stage(Enum):
    """Where a burst is. ``core.lifecycle.TRANSITIONS`` says what may follow."""

    PLANNED = "planned"
    CLAIMING = "claiming"
    CLAIMED = "claimed"
    STAGING_IN = "staging_in"
    STAGED_IN = "staged_in"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    PERMITTING = "permitting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    ENDED = "ended"
    STAGING_OUT = "staging_out"
    STAGED_OUT = "staged_out"
    SETTLING = "settling"
    SETTLED = "settled"
    RETURNING = "returning"
    RETURNED = "returned"
    QUARANTINED = "quarantined"
    ABANDONED = "abandoned"

    @property
    def final(self) -> bool:
        """Nothing leads out of it, though what remains behind its end may still go."""
        return self in {Stage.SETTLED, Stage.RETURNED, Stage.ABANDONED}

    @property
    def at_rest(self) -> bool:
        """burstd does nothing about it by itself: it is final, or waits for an operator."""
        return self.final or self is Stage.QUARANTINED


@dataclass(frozen=True)
class Uptime:
    """Time that no one can set: seconds since ``machine``'s start, sleep included."""

    machine: str  #: this boot of this machine (Linux's boot_id)
    seconds: float


@dataclass(frozen=True)
class Epoch:
    """Evidence of a moment: what a controller's boot time was when we looked, and when.

    An acknowledged change is durable once ``since`` is old enough and the boot time unchanged.
    Age is measured on this machine's uptime: a wall clock that is set proves nothing.
    """

    boot: str
    since: Uptime


@dataclass(frozen=True)
class Remains:
    """Results that stay at the target behind a job's end, for whom asks for them ``until`` then."""

    until: datetime
    files: int
    size: int  #: bytes
    #: All of its results: its stand-in ended before they were home, and nobody has counted them.
    unlanded: bool = False


@dataclass(frozen=True)
class Fetch:
    """Some of those were brought; what that cost is of its own moment."""

    at: datetime
    by: str
    files: int
    size: int  #: bytes
    cost: Money


@dataclass(frozen=True)
class Burst:
    """One row of the ledger. ``version`` grows by one with every event (compare-and-swap)."""

    id: BurstId
    identity: JobIdentity
    target: TargetName
    application: str
    cores: int
    reserved: Money  #: worst case: the whole time limit
    created_at: datetime
    likely: Money = field(default=Money(Decimal(0)))  #: by what it is expected to run
    account: str = ""  #: Slurm's, whose money it is
    currency: str = ""  #: of its amounts; empty: an older burstd has not written it down
    stage: Stage = Stage.PLANNED
    stage_since: datetime | None = None
    record: JobRecord | None = None
    claim: Epoch | None = None
    remote_id: RemoteId | None = None
    remote: Epoch | None = None
    started_at: datetime | None = None  #: when its twin was seen to run
    submit_intended: bool = False  #: from here on a twin may exist at the target
    outcome: Outcome | None = None
    over: Epoch | None = None  #: when we first saw its job over on-prem, or home again
    cost: Money | None = None
    core_hours: float | None = None
    output: int | None = None  #: bytes of its results
    most_output: int | None = None  #: bytes that its reservation pays for; ``None``: any
    cause: str = ""  #: why it was deferred, refused, recalled or broken last
    quarantined_at: Stage | None = None  #: where it was when a human had to look
    attempt: int = 0
    due_at: datetime | None = None
    version: int = 0
    licences: Mapping[str, int] = field(default_factory=dict)  #: booked until it is over
    gpus: int = 0
    checkpoint: str = ""  #: the signal at which its script saves its state and stops
    stopping: bool = False  #: it has been sent
    asked_back: bool = False  #: by its user or an operator
    remains: Remains | None = None
    fetches: tuple[Fetch, ...] = ()

    @property
    def job(self) -> JobKey:
        return self.identity.key

    @property
    def paid(self) -> Decimal:
        """Its cost, and that of what was fetched behind its end."""
        return Decimal(self.cost or 0) + sum(fetch.cost for fetch in self.fetches)

    @property
    def came_back(self) -> bool:
        """Its job was given back; or stopped to go on at home, unless it ended all the same. One
        that was refused before anything was touched has never left."""
        if self.stage is Stage.RETURNED:
            return self.record is not None or self.asked_back
        return self.stage is Stage.SETTLED and self.stopping

    def offers(self, now: datetime) -> bool:
        """Something of it can still be fetched."""
        return self.remains is not None and now < self.remains.until

    @property
    def work_key(self) -> WorkKey:
        return WorkKey(f"b-{self.id}")

    def moved_to(self, stage: Stage) -> Self:
        cause = "" if self.attempt else self.cause  # what has deferred it is over
        moved = replace(self, stage=stage, attempt=0, due_at=None, cause=cause)
        return replace(moved, version=self.version + 1)

    def delayed_until(self, due_at: datetime, cause: str) -> Self:
        return replace(
            self, attempt=self.attempt + 1, due_at=due_at, cause=cause, version=self.version + 1
        )

    @property
    def may_stop(self) -> bool:
        """It runs, and can save its state and go on at home."""
        return self.stage is Stage.RUNNING and bool(self.checkpoint)

    @property
    def generation(self) -> Generation | None:
        return Generation(self.remote.boot) if self.remote else None


ZERO = Money(Decimal(0))
