"""Which lines of the queue may leave, and why the others may not. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    load: Load = field(init=False)  #: what one of them is to its pressures

    def __post_init__(self) -> None:
        hours = self.run.total_seconds() / 3600
        self.load = Load(self.job, self.job.cpus * hours, self.gpus * hours)

    @property
    def gpus(self) -> int:
        """Of one of them."""
        return self.facts.shape.gpus if self.facts.shape else 0

    @property
    def first(self) -> bool:
        """It leaves before others, whatever its leaving spares."""
        mode = self.asked.mode
        return self.wish or mode is JobMode.PREFER or mode is JobMode.REQUIRE

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
        run = snapshot.usage.time(job)
        found.append(Candidate(job, elements, case.wish, run, case.facts, case.asked))
    declined += _throttled(found, snapshot, ledger)
    return [candidate for candidate in found if candidate.elements], declined


def _throttled(found: Sequence[Candidate], snapshot: Snapshot, ledger: Ledger) -> list[Decline]:
    """As many of each array as it lets run beside those that do; the rest stays, and is no
    pressure: a stand-in of theirs would not start. A task with a line of its own is one of its
    array's."""
    jobs = snapshot.queue.jobs
    most = {job.key.job_id: job.throttle for job in jobs if job.throttle is not None}
    if not most:
        return []
    arrays: dict[int, list[Candidate]] = defaultdict(list)
    for candidate in found:
        if candidate.job.key.job_id in most:
            arrays[candidate.job.key.job_id].append(candidate)
    declined, busy = list[Decline](), _busy(snapshot, ledger)
    for number, lines in arrays.items():
        at_once, running = most[number], len(busy.get(number, ()))
        room = max(0, at_once - running)
        numbers = {"at_once": str(at_once), "running": str(running)}
        for one in sorted(lines, key=lambda one: one.elements[0]):
            over, one.elements = one.elements[room:], one.elements[:room]
            room -= len(one.elements)
            if over:
                why = Reason.THROTTLED
                declined.append(Decline(one.job.identity, why, numbers, elements=over))
    return declined


def _busy(snapshot: Snapshot, ledger: Ledger) -> Mapping[int, set[JobKey]]:
    """What runs, here or elsewhere, by the number of its array."""
    found: dict[int, set[JobKey]] = defaultdict(set)
    for key in ledger.open:
        found[key.job_id].add(key)
    for job in snapshot.queue.jobs:
        if job.state in _RUNS:
            found[job.key.job_id].add(job.key)
    return found


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
