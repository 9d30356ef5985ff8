"""Which lines of the queue may leave, and why the others may not. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

from burstd.core.eligible import Court, case_of, rulings
from burstd.core.licences import never
from burstd.core.pressure import Load
from burstd.domain.directives import Directives, JobMode
from burstd.domain.jobs import JobKey, JobState, QueuedJob
from burstd.domain.plan import Decline, Reason, Ruling, ScriptFacts, Snapshot
from burstd.domain.policy import BurstPolicy, Ledger

_RUNS = frozenset({JobState.RUNNING, JobState.COMPLETING, JobState.SUSPENDED})


@dataclass(slots=True)
class Candidate:
    """A line that may leave, with the elements of it that are not yet bursts. ``run``: that one of
    them is expected to run."""

    job: QueuedJob
    elements: tuple[JobKey, ...]
    wish: bool
    run: timedelta
    facts: ScriptFacts
    asked: Directives
    worth: float | None = None  #: hours; ``None``: it is not in the line whose jobs are compared

    @property
    def each(self) -> float:
        """Core-hours that one of them is expected to use."""
        return self.job.cpus * self.run.total_seconds() / 3600

    @property
    def gpus(self) -> int:
        """Of one of them."""
        return self.facts.shape.gpus if self.facts.shape else 0

    @property
    def load(self) -> Load:
        """What one of them is to its pressures."""
        return Load(self.job, self.each, self.gpus * self.run.total_seconds() / 3600)

    @property
    def first(self) -> bool:
        """It leaves before others, whatever its leaving spares."""
        return self.wish or self.asked.mode in {JobMode.PREFER, JobMode.REQUIRE}

    @property
    def pressed(self) -> bool:
        """It leaves under pressure only."""
        return self.asked.mode is not JobMode.REQUIRE


def candidates(
    snapshot: Snapshot, policy: BurstPolicy, ledger: Ledger
) -> tuple[list[Candidate], list[Decline]]:
    """Those that may leave, in the order of the queue, and a word on all others."""
    found: list[Candidate] = []
    declined: list[Decline] = []
    court = Court(policy)
    busy: Mapping[int, set[JobKey]] | None = None
    for job in snapshot.queue.jobs:
        if not considered(job, policy):
            continue
        elements = job.elements
        if ledger.open:
            elements = tuple(key for key in elements if key not in ledger.open)
        case = case_of(job, snapshot, policy)
        for reason, gone in _trips_before(job, elements, ledger):
            declined.append(Decline(job.identity, reason, wish=case.wish, elements=gone))
            over = frozenset(gone)
            elements = tuple(key for key in elements if key not in over)
        if not elements:
            continue
        why = court.objection(case)
        if why is None and case.facts is not None:
            why = never(job, case.facts, snapshot.licences)
        if why is not None or case.facts is None:
            reason, numbers = why or (Reason.SCRIPT_UNREAD, {})
            declined.append(Decline(job.identity, reason, numbers, case.wish, elements))
            continue
        if job.throttle is not None:
            busy = _busy(snapshot, ledger) if busy is None else busy
            elements, kept = _throttled(job, elements, busy.get(job.key.job_id, ()))
            declined += kept
        if elements:
            run = snapshot.usage.time(job)
            found.append(Candidate(job, elements, case.wish, run, case.facts, case.asked))
    return found, declined


def _busy(snapshot: Snapshot, ledger: Ledger) -> Mapping[int, set[JobKey]]:
    """What runs, here or elsewhere, by the number of its array."""
    found: dict[int, set[JobKey]] = defaultdict(set)
    for key in ledger.open:
        found[key.job_id].add(key)
    for job in snapshot.queue.jobs:
        if job.state in _RUNS:
            found[job.key.job_id].add(job.key)
    return found


def _throttled(
    job: QueuedJob, elements: tuple[JobKey, ...], busy: Collection[JobKey]
) -> tuple[tuple[JobKey, ...], list[Decline]]:
    """As many as its array lets run beside those that do; the rest stays, and is no pressure: a
    stand-in of theirs would not start."""
    most = job.throttle or 0
    room = max(0, most - len(busy))
    if room >= len(elements):
        return elements, []
    numbers = {"at_once": str(most), "running": str(len(busy))}
    rest = Decline(job.identity, Reason.THROTTLED, numbers, elements=elements[room:])
    return elements[:room], [rest]


def considered(job: QueuedJob, policy: BurstPolicy) -> bool:
    """It waits, or its user submitted it straight to the burst partition."""
    if job.state is JobState.PENDING:
        return True
    return job.state is JobState.RUNNING and wishes(job, policy)


def wishes(job: QueuedJob, policy: BurstPolicy) -> bool:
    """True for a job that its user submitted straight to the burst partition."""
    return job.partition == policy.burst_partition


def needs_script(snapshot: Snapshot, policy: BurstPolicy, ledger: Ledger) -> tuple[QueuedJob, ...]:
    """The jobs whose script must be read before ``decide`` can judge them."""
    court = Court(policy)
    return tuple(
        job
        for job in snapshot.queue.jobs
        if considered(job, policy)
        and job.identity not in snapshot.scripts
        and (job.tasks or job.key not in ledger.open)
        and court.before_reading(case_of(job, snapshot, policy)) is None
    )


def rulings_on(job: QueuedJob, snapshot: Snapshot, policy: BurstPolicy) -> tuple[Ruling, ...]:
    """What every rule says of one job of the snapshot."""
    return rulings(case_of(job, snapshot, policy))


def _trips_before(
    job: QueuedJob, elements: tuple[JobKey, ...], ledger: Ledger
) -> list[tuple[Reason, tuple[JobKey, ...]]]:
    """Elements whose trip is over for good, or for a while, by what it came to. A requeue changes
    the time of a job's submission, its user stays: another's trip was that of an earlier job of
    this number."""
    if not (ledger.abandoned or ledger.returned or ledger.refused):
        return []
    user, owners = job.identity.user, ledger.owners
    own = tuple(key for key in elements if owners.get(key, user) == user)
    over = {Reason.ABANDONED: ledger.abandoned, Reason.RETURNED_BEFORE: ledger.returned}
    over[Reason.REFUSED_LATELY] = ledger.refused
    found = {why: tuple(k for k in own if k in keys) for why, keys in over.items()}
    return [(why, keys) for why, keys in found.items() if keys]
