"""What of a burst and of a plan goes into which column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, select

from burstd.adapters.store import schema as t
from burstd.adapters.store import sums
from burstd.core.lifecycle import RETURNABLE
from burstd.domain.burst import Burst, BurstId
from burstd.domain.plan import Plan
from burstd.domain.requests import RequestKind

BURST = TypeAdapter(Burst)


def decision(plan: Plan, made: Sequence[Burst]) -> dict[str, object]:
    """What the audit log tells of a plan, and of the bursts that were made of it."""
    stays = Counter(d.reason.name.lower() for d in plan.declined for _ in d.elements)
    return {
        "backlog_core_hours": round(plan.backlog, 3),
        "surging": bool(plan.surging),
        "pressures": sorted(plan.surging),
        "placed": [burst.id for burst in made],
        "declined": dict(stays),
    }


def first_facts(burst: Burst) -> dict[str, object]:
    """What the audit log tells of a burst that begins."""
    return {
        "job": str(burst.job),
        "user": burst.identity.user,
        "target": burst.target,
        "application": burst.application,
        "cores": burst.cores,
        "reserved": str(burst.reserved),
    }


def may_ask(db: Connection, burst: Burst, kind: RequestKind) -> bool:
    """It is not too late for that, nor too early."""
    if kind is RequestKind.RETURN:
        return burst.stage in RETURNABLE and not _permitted(db, burst.id)
    if kind is RequestKind.CHECKPOINT:
        return burst.may_stop
    return not burst.stage.at_rest


def _permitted(db: Connection, burst: BurstId) -> bool:
    asked = select(t.permits.c.burst).where(t.permits.c.burst == burst)
    return db.execute(asked).first() is not None


def row_of(burst: Burst) -> dict[str, Any]:
    """Its columns, but for its id."""
    return {
        "job_id": burst.job.job_id,
        "array_task": burst.job.array_task,
        "target": burst.target,
        "stage": burst.stage.value,
        "open": not burst.stage.at_rest,
        # A declined wish has no target: its job may burst from its home partition later.
        "returned": burst.came_back and burst.target != "",
        "month": sums.month_of(burst),
        "fetched_at": burst.fetches[-1].at.isoformat() if burst.fetches else None,
        "remains": burst.remains is not None,
        "created_at": burst.created_at.isoformat(),
        "version": burst.version,
        "body": BURST.dump_json(burst).decode(),
    }
