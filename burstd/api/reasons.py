"""``burst why``: what can be said of one job, whether burstd ever touched it or not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from burstd.api.answers import iso
from burstd.api.desk import Desk
from burstd.api.moved import moved
from burstd.api.peers import Peer
from burstd.core.decide import decide
from burstd.core.explain import Verdict, explain, verdicts
from burstd.domain.burst import Burst, Stage
from burstd.domain.jobs import JobKey, JobState, QueuedJob, ranges
from burstd.domain.plan import Plan, Snapshot
from burstd.domain.reasons import Step
from burstd.ports.errors import PortError
from burstd.ports.store import Verdict as Said

#: A job's line in the queue, with the snapshot and the plan that go with it
Seen = tuple[QueuedJob, Snapshot, Plan]


def why(desk: Desk, key: JobKey, burst: Burst | None, peer: Peer) -> dict[str, Any] | None:
    """The chain of rules, the last verdict, and where its burst stands; ``None`` if nobody knows
    such a job, or the asking user may not see it. The rules speak of this moment; of a job that is
    away, or was and is over, as they did when it left; of one that never left and is over, as they
    did at the last verdict on it, for as long as decisions are kept."""
    verdict = desk.world.store.verdict(key)
    seen = _seen(desk, key)
    line = seen[0] if seen else None
    owner = _owner(line, burst, verdict)
    # Slurm has given its number out again: of an earlier job of it nothing is told.
    burst = burst if burst is not None and burst.identity.user == owner else None
    verdict = verdict if verdict is not None and verdict.user == owner else None
    if not peer.may_see(owner) or (burst is None and verdict is None and line is None):
        return None
    lines = _tasks(desk, key, owner)
    if lines and line is not None and line.state is JobState.PENDING:
        burst = verdict = None  # of one of the tasks that left: what is asked is why the rest waits
    if verdict is not None:
        lines.append(f"{iso(verdict.at)}  {_said(verdict, desk.world.policy.currency)}")
    if burst is not None:
        cause = f" ({burst.cause})" if burst.cause else ""
        lines.append(f"{iso(burst.stage_since)}  burst {burst.id} is {burst.stage.value}{cause}")
        if (going := moved(desk, burst)) is not None:
            lines.append(f"{iso(desk.world.clock.now())}  {going.words()}")
    steps, groups, when = _now(desk, seen, burst) or _then(desk, key, burst, verdict)
    if line is not None and burst is None and line.state is not JobState.PENDING:
        then = _then(desk, key, burst, verdict)
        lines.append(f"{iso(desk.world.clock.now())}  it is {line.state.value} on-prem")
        steps, groups, when = then if then[0] else (steps, groups, when)
    return {"job": str(key), "why": lines, **when, **told(groups, steps)}


def _said(verdict: Said, currency: str) -> str:
    """One that leaves ends with what it may cost."""
    return f"leaves: {verdict.text} {currency}" if verdict.placed else f"stays: {verdict.text}"


def _tasks(desk: Desk, key: JobKey, owner: str) -> list[str]:
    """Of an array that is named whole: where its tasks' bursts are, those of one stage together."""
    latest: dict[int, Burst] = {}
    for burst in desk.world.store.bursts(key) if key.array_task is None else ():
        if burst.job.array_task is not None and burst.identity.user == owner:
            latest.setdefault(burst.job.array_task, burst)
    stages: dict[Stage, list[int]] = defaultdict(list)
    for task, burst in latest.items():
        stages[burst.stage].append(task)
    now = iso(desk.world.clock.now())
    return [f"{now}  tasks {ranges(tasks)} have bursts: {s.value}" for s, tasks in stages.items()]


def _owner(line: QueuedJob | None, burst: Burst | None, verdict: Said | None) -> str:
    """The user of the job that has this number now, or had it last."""
    if line is not None:
        return line.identity.user
    if burst is None or verdict is None:
        return burst.identity.user if burst else verdict.user if verdict else ""
    later = burst.stage_since is None or burst.stage_since < verdict.at
    return verdict.user if later else burst.identity.user


#: Every rule's word, the plan's on groups, and of which moment they are
Told = tuple[tuple[Step, ...], tuple[Verdict, ...], dict[str, str | None]]


def _now(desk: Desk, seen: Seen | None, burst: Burst | None) -> Told | None:
    """Of one that is in the queue, and at home."""
    if seen is None or (burst is not None and not burst.stage.at_rest):
        return None
    job, snapshot, plan = seen
    steps = explain(job, snapshot, desk.world.policy, desk.world.store.ledger(), plan)
    return steps, verdicts(job, plan, desk.world.policy.currency), _moments()


def _then(desk: Desk, key: JobKey, burst: Burst | None, verdict: Said | None) -> Told:
    """Of one that is away, or is over: as it was when it left, or when it last was to stay."""
    if burst is not None and (verdict is None or verdict.placed):
        steps = desk.world.store.reasons(burst.id)
        return steps, (), _moments(left=burst.created_at if steps else None)
    kept, lost = desk.world.decisions, list[str]()
    if kept is None or verdict is None:
        return (), (), _moments()
    try:
        decision = kept.last(verdict.at, lost.append)
    except PortError:
        decision = None  # burst decisions tells what is wrong with them
    job = _line(decision.snapshot, key) if decision else None
    if decision is None or job is None or job.identity.user != verdict.user:
        return (), (), _moments()
    plan = decision.plan
    steps = explain(job, decision.snapshot, decision.policy, decision.ledger, plan)
    return steps, (), _moments(decided=decision.at)


def _moments(
    left: datetime | None = None, decided: datetime | None = None
) -> dict[str, str | None]:
    return {"left_at": iso(left), "decided_at": iso(decided)}


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


def is_unseen(desk: Desk, key: JobKey) -> bool:
    """Neither the last cycle saw it, nor any before: it may have come since."""
    memory, store = desk.memory, desk.world.store
    if memory.snapshot is not None and _line(memory.snapshot, key) is not None:
        return False
    return desk.burst_of(key) is None and store.verdict(key) is None


def _seen(desk: Desk, key: JobKey) -> Seen | None:
    """Its line in the queue, with the snapshot and the plan that go with it. One that came after
    the last tick is looked for now."""
    memory = desk.memory
    if memory.snapshot is not None and memory.plan is not None:
        line = _line(memory.snapshot, key)
        if line is not None:
            return line, memory.snapshot, memory.plan
    if not is_unseen(desk, key):
        return None
    fresh = desk.looks.now(desk.world, memory)
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
