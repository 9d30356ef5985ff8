"""Bursts in a ledger, for suites that need some: planned, moved, settled."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from burstd.core.lifecycle import advance
from burstd.domain import events as ev
from burstd.domain.burst import Burst, Stage
from burstd.domain.events import Event
from burstd.domain.jobs import CoreHours, JobIdentity, JobKey, JobRecord, Shape
from burstd.domain.plan import Placement, Plan
from burstd.domain.policy import QUEUE
from burstd.domain.targets import Money, TargetName
from burstd.ports.store import BurstStore
from burstd.testing.clock import SteppedClock

CLOUD = TargetName("cloud")


def identity(job: int, task: int | None = None, name: str = "beam") -> JobIdentity:
    """A job that was submitted when the stepped clock began."""
    return JobIdentity(JobKey("onprem", job, task), SteppedClock().now(), "alice", name)


def plan(*who: JobIdentity, euros: str = "0.10", surging: bool = True, **licences: int) -> Plan:
    """All of them leave; each books these licences."""
    worst = Money(Decimal(euros))
    placements = tuple(
        Placement(one, CLOUD, "calculix", 1, worst, licences=licences) for one in who
    )
    return Plan(CoreHours(2.0), frozenset({QUEUE} if surging else ()), placements)


def record(who: JobIdentity) -> JobRecord:
    fields = {"partition": "cae", "timelimit": "01:00:00"}
    return JobRecord(who, Shape(2, 8, 8, 1, 4, 2000, None), timedelta(hours=1), fields)


def move(store: BurstStore, burst: Burst, event: Event) -> Burst:
    return store.append(burst, event, advance(burst, event))


def money(store: BurstStore) -> tuple[Decimal, Decimal]:
    ledger = store.ledger()
    return ledger.spent, ledger.reserved


def settled(store: BurstStore, burst: Burst, clock: SteppedClock, euros: str) -> None:
    """Straight to the end; the way there is the lifecycle's business."""
    nearly = replace(burst, stage=Stage.SETTLING)
    event = ev.Settled(0.6, Money(Decimal(euros)))
    store.append(burst, event, advance(nearly, event))
