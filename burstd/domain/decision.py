"""One decision: everything that it was made from, and what it came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from burstd.domain.jobs import CoreHours
from burstd.domain.plan import Plan, Snapshot
from burstd.domain.policy import BurstPolicy, Ledger, Mode
from burstd.domain.targets import Money


@dataclass(frozen=True)
class Decision:
    """What ``core.decide.decide`` was given, and the plan that it gave."""

    snapshot: Snapshot
    policy: BurstPolicy
    ledger: Ledger
    plan: Plan

    @property
    def at(self) -> datetime:
        """When the queue was seen."""
        return self.snapshot.queue.taken_at


@dataclass(frozen=True)
class Outline:
    """A decision in one line."""

    at: datetime
    mode: Mode
    backlog: CoreHours
    surging: frozenset[str]  #: names of the pressures that do
    leave: int = 0  #: jobs; each task of an array is one
    stay: Mapping[str, int] = field(default_factory=dict)  #: jobs by reason, most of them first
    reserved: Money = field(default=Money(Decimal(0)))  #: for those that leave
    currency: str = "EUR"
