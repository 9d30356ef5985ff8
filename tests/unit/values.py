"""Plain values for the unit tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from burstd.core.eligible import Case, case_of
from burstd.domain.burst import Burst, BurstId, Stage
from burstd.domain.classes import OPEN
from burstd.domain.jobs import (
    CoreHours,
    JobIdentity,
    JobKey,
    JobState,
    QueuedJob,
    QueueSnapshot,
)
from burstd.domain.plan import ScriptFacts, Snapshot
from burstd.domain.policy import BurstPolicy, Mode, Watermarks
from burstd.domain.targets import Capabilities, Money, TargetName, TargetView

NOW = datetime(2030, 1, 15, 12, tzinfo=UTC)
CLOUD = TargetName("cloud")
POLICY = BurstPolicy(
    mode=Mode.AUTO,
    watermarks=Watermarks(CoreHours(10), CoreHours(4)),
    partitions=frozenset({"cae"}),
    burst_partition="burst",
    targets=(CLOUD,),
    budget=Money(Decimal(1000)),
    data=OPEN,
    strategy="threshold",
)
VIEW = TargetView(CLOUD, Capabilities(16, 1024, timedelta(days=2)), Money(Decimal("0.05")))
CALCULIX = ScriptFacts(True, "calculix")


def identity(number: int = 1, task: int | None = None, **changes: Any) -> JobIdentity:
    given = {"submitted_at": NOW - timedelta(hours=1), "user": "alice", "name": "beam", **changes}
    return JobIdentity(JobKey("onprem", number, task), **given)


def queued(number: int = 1, **changes: Any) -> QueuedJob:
    """A job of two core-hours that waits for resources."""
    given: dict[str, Any] = {
        "identity": identity(number), "state": JobState.PENDING, "reason": "Resources",
        "partition": "cae", "account": "phys", "qos": "normal", "cpus": 2, "nodes": 1,
        "time_limit": timedelta(hours=1), "priority": 1000,
    }  # fmt: skip
    return QueuedJob(**{**given, **changes})


def snapshot(
    *jobs: QueuedJob, views: tuple[TargetView, ...] = (VIEW,), facts: ScriptFacts = CALCULIX
) -> Snapshot:
    queue = QueueSnapshot("onprem", NOW, jobs)
    return Snapshot(queue, views, {job.identity: facts for job in jobs})


def case(job: QueuedJob, policy: BurstPolicy = POLICY, facts: ScriptFacts | None = None) -> Case:
    """Before the court of eligibility; without ``facts`` its script has not been read."""
    scripts = {} if facts is None else {job.identity: facts}
    return case_of(job, Snapshot(QueueSnapshot("onprem", NOW, (job,)), (VIEW,), scripts), policy)


def burst(stage: Stage = Stage.PLANNED, **changes: Any) -> Burst:
    given: dict[str, Any] = {
        "id": BurstId("000000000001"), "identity": identity(), "target": CLOUD,
        "application": "calculix", "cores": 2, "reserved": Money(Decimal("0.1")),
        "created_at": NOW, "stage": stage,
    }  # fmt: skip
    return Burst(**{**given, **changes})
