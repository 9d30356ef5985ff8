"""The decision: which pending jobs go where, now. Pure; the same inputs give the same plan."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

from burstd.core.eligible import Case, Objection, objection, script_objection
from burstd.core.licences import Desk, ask_of, never
from burstd.core.money import worst_case
from burstd.domain.jobs import CoreHours, JobKey, JobState, QueuedJob
from burstd.domain.plan import Decline, Placement, Plan, Reason, Snapshot
from burstd.domain.policy import BurstPolicy, Ledger, Mode
from burstd.domain.targets import Money, TargetView


@dataclass(frozen=True)
class Candidate:
    """A line of the queue that may leave, with the elements of it that are not yet bursts."""

    job: QueuedJob
    elements: tuple[JobKey, ...]
    wish: bool

    @property
    def core_hours(self) -> float:
        return self.job.core_hours * len(self.elements)


@dataclass
class _Session:
    """What changes while one plan is made."""

    frozen: str
    money: Money
    free: int
    paced: int
    backlog: float
    licences: Desk
    placements: list[Placement] = field(default_factory=list)
    declined: list[Decline] = field(default_factory=list)


def decide(snapshot: Snapshot, policy: BurstPolicy, ledger: Ledger) -> Plan:
    """Give every pending job a placement or a decline.

    While the backlog (core-hours of the jobs that may leave) surges, jobs leave oldest first
    until what remains is below the low-water mark. Wishes (jobs in the burst partition) count
    like any other job and obey the same policy.
    """
    session = _Session(
        ledger.frozen,
        ledger.left(policy.budget),
        max(0, policy.max_open_bursts - len(ledger.open)),
        policy.max_new_per_tick,
        0.0,
        Desk.opened(snapshot, ledger),
    )
    candidates = sorted(
        _candidates(snapshot, policy, ledger, session),
        key=lambda c: (not c.wish, c.job.identity.submitted_at, c.job.key.job_id),
    )
    backlog = CoreHours(sum(c.core_hours for c in candidates))
    session.backlog = backlog
    surging = is_surging(backlog, policy, was=ledger.surging)
    for candidate in candidates:
        _place_elements(candidate, snapshot, policy, session, surging=surging)
    return Plan(backlog, surging, tuple(session.placements), tuple(session.declined))


def is_surging(backlog: CoreHours, policy: BurstPolicy, *, was: bool) -> bool:
    """Start at the high-water mark; stop only below the low one."""
    marks = policy.watermarks
    return backlog >= (marks.low if was else marks.high)


def wishes(job: QueuedJob, policy: BurstPolicy) -> bool:
    """True for a job that its user submitted straight to the burst partition."""
    return job.partition == policy.burst_partition


def needs_script(snapshot: Snapshot, policy: BurstPolicy, ledger: Ledger) -> tuple[QueuedJob, ...]:
    """The jobs whose script must be read before ``decide`` can judge them."""
    return tuple(
        job
        for job in snapshot.queue.jobs
        if _considered(job, policy)
        and job.identity not in snapshot.scripts
        and not _is_open(job, ledger)
        and objection(_case(job, snapshot, policy)) is None
    )


def _considered(job: QueuedJob, policy: BurstPolicy) -> bool:
    return job.state is JobState.PENDING or (wishes(job, policy) and job.state is JobState.RUNNING)


def _is_open(job: QueuedJob, ledger: Ledger) -> bool:
    return not job.tasks and job.key in ledger.open


def _case(job: QueuedJob, snapshot: Snapshot, policy: BurstPolicy) -> Case:
    return Case(job, policy, snapshot.queue.taken_at, wishes(job, policy))


def _candidates(
    snapshot: Snapshot, policy: BurstPolicy, ledger: Ledger, session: _Session
) -> list[Candidate]:
    """Sort out what may not leave; record why."""
    found = []
    for job in snapshot.queue.jobs:
        if not _considered(job, policy) or _is_open(job, ledger):
            continue
        wish = wishes(job, policy)
        elements = tuple(k for k in job.elements if k not in ledger.open)
        for reason, gone in _trips_before(elements, ledger):
            session.declined.append(Decline(job.identity, reason, wish=wish, elements=gone))
            elements = tuple(k for k in elements if k not in gone)
        facts = snapshot.scripts.get(job.identity)
        why: Objection | None = objection(_case(job, snapshot, policy)) or script_objection(facts)
        if why is None and facts is not None:
            why = never(job, facts, snapshot.licences)
        if why is not None and elements:
            session.declined.append(
                Decline(job.identity, why[0], why[1], wish=wish, elements=elements)
            )
        elif why is None and elements:
            found.append(Candidate(job, elements, wish))
    return found


def _trips_before(
    elements: tuple[JobKey, ...], ledger: Ledger
) -> list[tuple[Reason, tuple[JobKey, ...]]]:
    """Elements whose trip is over for good, by what it came to."""
    over = {Reason.ABANDONED: ledger.abandoned, Reason.RETURNED_BEFORE: ledger.returned}
    found = {why: tuple(k for k in elements if k in keys) for why, keys in over.items()}
    return [(why, keys) for why, keys in found.items() if keys]


def _place_elements(
    candidate: Candidate,
    snapshot: Snapshot,
    policy: BurstPolicy,
    session: _Session,
    *,
    surging: bool,
) -> None:
    """Place as many elements of one line as pressure, pace, targets and money allow."""
    facts = snapshot.scripts[candidate.job.identity]
    ask = ask_of(candidate.job, facts, snapshot.licences)
    for count, key in enumerate(candidate.elements):
        why = _pressure(policy, session, surging=surging) or _pace(policy, session)
        view = None if why else _target(candidate.job, snapshot.targets, policy)
        if why is None and view is None:
            why = Reason.NO_TARGET_FITS, _ask(candidate.job)
        worst = Money(session.money)
        if view is not None:
            limit = candidate.job.time_limit or timedelta()
            worst = worst_case(candidate.job.cpus, limit, view)
            if worst > session.money:
                why = (
                    Reason.NO_BUDGET,
                    {
                        "worst_case": f"{worst} {policy.currency}",
                        "left": f"{session.money} {policy.currency}",
                    },
                )
        why = why or session.licences.take(candidate.job, ask)
        if why is not None or view is None:
            reason, numbers = why or (Reason.NO_TARGET_FITS, {})
            rest = candidate.elements[count:]
            session.declined.append(
                Decline(candidate.job.identity, reason, numbers, candidate.wish, rest)
            )
            return
        session.placements.append(
            Placement(
                replace(candidate.job.identity, key=key),
                view.name,
                facts.application or "",
                candidate.job.cpus,
                worst,
                candidate.wish,
                ask.booked,
            )
        )
        session.money = Money(session.money - worst)
        session.free -= 1
        session.paced -= 1
        session.backlog -= candidate.job.core_hours


def _pressure(policy: BurstPolicy, session: _Session, *, surging: bool) -> Objection | None:
    if session.frozen:
        return Reason.FROZEN, {"by": session.frozen}
    marks = policy.watermarks
    numbers = {"backlog": f"{session.backlog:.2f} core-hours"}
    if not surging:
        return Reason.BELOW_WATERMARK, {
            **numbers,
            "high": f"{marks.high:g}",
            "low": f"{marks.low:g}",
        }
    if session.backlog < marks.low:
        return Reason.DAMPED, {**numbers, "low": f"{marks.low:g}"}
    return None


def _pace(policy: BurstPolicy, session: _Session) -> Objection | None:
    if session.free <= 0:
        return Reason.TOO_MANY_OPEN, {"max_open_bursts": str(policy.max_open_bursts)}
    if session.paced <= 0:
        return Reason.PACED, {"max_new_per_tick": str(policy.max_new_per_tick)}
    return None


def _target(
    job: QueuedJob, views: tuple[TargetView, ...], policy: BurstPolicy
) -> TargetView | None:
    fitting = [v for v in views if v.open and v.name in policy.targets and fits(job, v)]
    return min(fitting, key=lambda v: (v.price, v.name), default=None)


def fits(job: QueuedJob, view: TargetView) -> bool:
    """Could the target ever run it?"""
    can = view.capabilities
    return (
        (view.users is None or job.identity.user in view.users)
        and job.cpus <= can.max_cores
        and job.nodes <= can.max_nodes
        and job.time_limit is not None
        and job.time_limit <= can.max_time
    )


def _ask(job: QueuedJob) -> dict[str, str]:
    return {
        "user": job.identity.user,
        "nodes": str(job.nodes),
        "cpus": str(job.cpus),
        "time_limit": str(job.time_limit),
    }


def acts(policy: BurstPolicy) -> bool:
    """False in mode observe: decide and record, touch nothing."""
    return policy.mode is Mode.AUTO
