"""``burst why``: what can be said of one job, whether burstd ever touched it or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from burstd.api.answers import iso
from burstd.api.desk import Desk
from burstd.api.peers import Peer
from burstd.core.decide import decide
from burstd.core.explain import Verdict, explain, verdicts
from burstd.domain.burst import Burst
from burstd.domain.jobs import JobKey, JobState, QueuedJob
from burstd.domain.plan import Plan, Snapshot
from burstd.domain.reasons import Step
from burstd.shell.tick import look


def why(desk: Desk, key: JobKey, burst: Burst | None, peer: Peer) -> dict[str, Any] | None:
    """The chain of rules, the last verdict, and where its burst stands; ``None`` if nobody knows
    such a job, or the asking user may not see it. The rules speak of this moment; of a job that is
    away, or was and is over, as they did when it left."""
    verdict = desk.world.store.verdict(key)
    seen = _seen(desk, key)
    line = seen[0] if seen else None
    owner = burst.identity.user if burst else verdict.user if verdict else ""
    owner = line.identity.user if line else owner
    if not peer.may_see(owner) or (burst is None and verdict is None and line is None):
        return None
    lines = []
    if verdict is not None:
        word = "leaves" if verdict.placed else "stays"
        lines.append(f"{iso(verdict.at)}  {word}: {verdict.text}")
    if burst is not None:
        cause = f" ({burst.cause})" if burst.cause else ""
        lines.append(f"{iso(burst.stage_since)}  burst {burst.id} is {burst.stage.value}{cause}")
    if seen is not None and (burst is None or burst.stage.at_rest):
        job, snapshot, plan = seen
        ledger, left = desk.world.store.ledger(), None
        steps = explain(job, snapshot, desk.world.policy, ledger, plan)
        groups = verdicts(job, plan)
    else:
        steps, groups = desk.world.store.reasons(burst.id) if burst else (), ()
        left = burst.created_at if burst and steps else None
    return {
        "job": str(key),
        "why": lines,
        "left_at": iso(left),
        **told(groups, steps),
    }


def told(groups: Sequence[Verdict], steps: Sequence[Step]) -> dict[str, Any]:
    """What the plan says of a job, and every rule."""
    return {
        "groups": [
            {
                "jobs": [str(element) for element in group.elements],
                "leaves": group.leaves,
                "text": group.text,
                "cure": group.cure,
            }
            for group in groups
        ],
        "steps": [
            {
                "rule": step.rule,
                "holds": step.holds,
                "text": step.text,
                "numbers": dict(step.numbers),
                "setting": step.setting,
                "place": step.place,
                "cure": step.cure,
            }
            for step in steps
        ],
    }


def _seen(desk: Desk, key: JobKey) -> tuple[QueuedJob, Snapshot, Plan] | None:
    """Its line in the queue, with the snapshot and the plan that go with it. One that came after
    the last tick is looked for now."""
    memory = desk.memory
    if memory.snapshot is not None and memory.plan is not None:
        line = _line(memory.snapshot, key)
        if line is not None:
            return line, memory.snapshot, memory.plan
    fresh = look(desk.world, memory.apart(), desk.world.store.ledger())
    if fresh is None or (line := _line(fresh, key)) is None:
        return None
    return line, fresh, decide(fresh, desk.world.policy, desk.world.store.ledger())


def _line(snapshot: Snapshot, key: JobKey) -> QueuedJob | None:
    """The line of this job; an array's where only that is named, and it still waits."""
    lines = [job for job in snapshot.queue.jobs if job.key.job_id == key.job_id]
    for job in lines:
        if key == job.key or key in job.elements:
            return job
    whole = [job for job in lines if key == replace(job.key, array_task=None)]
    return next((job for job in whole if job.state is JobState.PENDING), next(iter(whole), None))
