"""The decision: which pending jobs go where, now. Pure; the same inputs give the same plan."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from burstd.core.breaker import Aside, aside
from burstd.core.data import classes, targets_of
from burstd.core.eligible import Case, objection, rulings, script_objection
from burstd.core.licences import Desk, ask_of, never
from burstd.core.money import price, worst_case
from burstd.core.purse import Pot, Purse
from burstd.core.worth import price as price_at
from burstd.core.worth import worths
from burstd.domain.budgets import Budget
from burstd.domain.jobs import CoreHours, JobKey, JobState, QueuedJob
from burstd.domain.plan import (
    Decline,
    Objection,
    Placement,
    Plan,
    Reason,
    Ruling,
    Snapshot,
)
from burstd.domain.policy import BurstPolicy, Ledger, Mode
from burstd.domain.targets import Money, TargetName, TargetView


@dataclass(frozen=True)
class Candidate:
    """A line of the queue that may leave, with the elements of it that are not yet bursts."""

    job: QueuedJob
    elements: tuple[JobKey, ...]
    wish: bool
    each: float  #: core-hours that one of them is expected to use

    @property
    def core_hours(self) -> float:
        return self.each * len(self.elements)


@dataclass
class _Session:
    """What changes while one plan is made."""

    frozen: str
    purse: Purse
    free: int
    paced: int
    backlog: float
    licences: Desk
    placements: list[Placement] = field(default_factory=list)
    declined: list[Decline] = field(default_factory=list)
    aside: Mapping[TargetName, Aside] = field(default_factory=dict)
    probed: set[TargetName] = field(default_factory=set)
    _said: dict[Reason, Objection] = field(default_factory=dict)

    def decline(self, candidate: Candidate, why: Reason, numbers: Mapping[str, str]) -> None:
        """All of it stays."""
        identity, wish = candidate.job.identity, candidate.wish
        self.declined.append(Decline(identity, why, numbers, wish, candidate.elements))

    def is_aside(self, target: TargetName) -> bool:
        """It takes nothing, or has its one job of this plan."""
        found = self.aside.get(target)
        return found is not None and (not found.probe or target in self.probed)

    def once(self, why: Reason, numbers: Callable[[], dict[str, str]]) -> Objection:
        """From the first that nothing can leave any more on, the rest hears the same."""
        if why not in self._said:
            self._said[why] = why, numbers()
        return self._said[why]


def decide(snapshot: Snapshot, policy: BurstPolicy, ledger: Ledger) -> Plan:
    """Give every pending job a placement or a decline.

    While the backlog (core-hours that the jobs that may leave are expected to use) surges, jobs
    leave, by what each is worth to those who wait, until what remains is below the low-water
    mark. Wishes (jobs in the burst partition) count like any other job and obey the same policy.
    """
    session = _Session(
        ledger.frozen,
        purse_of(policy, ledger, snapshot.queue.taken_at),
        max(0, policy.max_open_bursts - len(ledger.open)),
        policy.max_new_per_tick,
        0.0,
        Desk.opened(snapshot, ledger),
        aside=aside(ledger.ends, ledger.open_at, snapshot.queue.taken_at),
    )
    least = price_at(policy, ledger, snapshot.queue.taken_at)
    worth = worths(snapshot, policy, least)
    candidates = sorted(
        _candidates(snapshot, policy, ledger, session),
        key=lambda c: (
            not c.wish,
            -worth.get(c.job.identity, 0.0),
            c.job.identity.submitted_at,
            c.job.key.job_id,
        ),
    )
    backlog = CoreHours(sum(c.core_hours for c in candidates))
    session.backlog = backlog
    surging = is_surging(backlog, policy, was=ledger.surging)
    for candidate in candidates:
        value = worth.get(candidate.job.identity, math.inf)
        if surging and least and value <= least and not candidate.wish:
            session.decline(candidate, Reason.BELOW_PRICE, _hours(value, least))
            continue
        _place_elements(candidate, snapshot, policy, session, surging=surging)
    return Plan(backlog, surging, tuple(session.placements), tuple(session.declined))


def purse_of(policy: BurstPolicy, ledger: Ledger, now: datetime) -> Purse:
    """The site's monthly budget, whose sums are the ledger's, and every other one."""
    purse = Purse(policy.budgets, ledger.charges, now, policy.currency)
    site = Budget("policy.budget", policy.budget)
    purse.pots.insert(0, Pot(site, ledger.spent + ledger.reserved))
    return purse


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


def rulings_on(job: QueuedJob, snapshot: Snapshot, policy: BurstPolicy) -> tuple[Ruling, ...]:
    """What every rule says of one job of the snapshot."""
    return rulings(_case(job, snapshot, policy))


def _considered(job: QueuedJob, policy: BurstPolicy) -> bool:
    return job.state is JobState.PENDING or (wishes(job, policy) and job.state is JobState.RUNNING)


def _is_open(job: QueuedJob, ledger: Ledger) -> bool:
    return not job.tasks and job.key in ledger.open


def _case(job: QueuedJob, snapshot: Snapshot, policy: BurstPolicy) -> Case:
    facts = snapshot.scripts.get(job.identity)
    return Case(job, policy, snapshot.queue.taken_at, wishes(job, policy), facts, snapshot.closed)


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
        case = _case(job, snapshot, policy)
        why = objection(case) or script_objection(case)
        if why is None and case.facts is not None:
            why = never(job, case.facts, snapshot.licences)
        if why is not None and elements:
            session.declined.append(
                Decline(job.identity, why[0], why[1], wish=wish, elements=elements)
            )
        elif why is None and elements:
            found.append(Candidate(job, elements, wish, snapshot.usage.core_hours(job)))
    return found


def _trips_before(
    elements: tuple[JobKey, ...], ledger: Ledger
) -> list[tuple[Reason, tuple[JobKey, ...]]]:
    """Elements whose trip is over for good, by what it came to."""
    if not (ledger.abandoned or ledger.returned):
        return []
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
        view = None if why else _target(candidate.job, snapshot, policy, session)
        if why is None and view is None:
            why = Reason.NO_TARGET_FITS, _ask(candidate.job)
        account, user = candidate.job.account, candidate.job.identity.user
        worst = Money(Decimal(0))
        if view is not None:
            limit = candidate.job.time_limit or timedelta()
            worst = worst_case(candidate.job.cpus, limit, view)
            why = session.purse.objection(account, user, worst)
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
                account,
                price(candidate.job.cpus, snapshot.usage.time(candidate.job), view.price),
                ask.booked,
            )
        )
        session.purse.take(account, user, worst)
        session.probed.add(view.name)
        session.free -= 1
        session.paced -= 1
        session.backlog -= candidate.each


def _hours(value: float, least: float) -> dict[str, str]:
    return {"worth": f"{value:.1f} h", "price": f"{least:.1f} h"}


def _pressure(policy: BurstPolicy, session: _Session, *, surging: bool) -> Objection | None:
    if session.frozen:
        return session.once(Reason.FROZEN, lambda: {"by": session.frozen})
    marks = policy.watermarks
    if surging and session.backlog >= marks.low:
        return None
    backlog = f"{session.backlog:.2f} core-hours"
    if surging:
        return session.once(Reason.DAMPED, lambda: {"backlog": backlog, "low": f"{marks.low:g}"})
    return session.once(
        Reason.BELOW_WATERMARK,
        lambda: {"backlog": backlog, "high": f"{marks.high:g}", "low": f"{marks.low:g}"},
    )


def _pace(policy: BurstPolicy, session: _Session) -> Objection | None:
    if session.free <= 0:
        most = str(policy.max_open_bursts)
        return session.once(Reason.TOO_MANY_OPEN, lambda: {"max_open_bursts": most})
    if session.paced <= 0:
        most = str(policy.max_new_per_tick)
        return session.once(Reason.PACED, lambda: {"max_new_per_tick": most})
    return None


def _target(
    job: QueuedJob, snapshot: Snapshot, policy: BurstPolicy, session: _Session
) -> TargetView | None:
    """The cheapest that fits, of those where its data may go and jobs don't fail at once."""
    named = snapshot.scripts[job.identity].classes
    allowed = targets_of(classes(job, policy.data, named))
    fitting = [
        view
        for view in snapshot.targets
        if not objection_to(job, view, policy, allowed) and not session.is_aside(view.name)
    ]
    return min(fitting, key=lambda v: (v.price, v.name), default=None)


def objection_to(
    job: QueuedJob, view: TargetView, policy: BurstPolicy, allowed: frozenset[TargetName] | None
) -> str:
    """Why this target can't run it, now or ever; empty if it can. ``allowed``: where its data may
    go; ``None``: anywhere."""
    can = view.capabilities
    limit = job.time_limit
    return next(
        (
            why
            for fails, why in (
                (not view.open, "it takes no work now"),
                (view.name not in policy.targets, "it is not one of the site's targets"),
                (allowed is not None and view.name not in allowed, "its data may not go there"),
                (
                    view.users is not None and job.identity.user not in view.users,
                    "its user has no account there",
                ),
                (job.cpus > can.max_cores, "it asks for too many cores"),
                (job.nodes > can.max_nodes, "it asks for too many nodes"),
                (limit is None or limit > can.max_time, "it asks for too much time"),
            )
            if fails
        ),
        "",
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
    return policy.mode is not Mode.OBSERVE
