"""Why one job leaves or stays: what every rule says of it, with its numbers, where the rule stands,
and what would have to change. Pure, and by the same rules as the decision itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from burstd.core.breaker import aside
from burstd.core.data import classes, targets_of
from burstd.core.decide import is_surging, objection_to, purse_of, rulings_on, wishes
from burstd.core.licences import Desk, ask_of, never
from burstd.core.money import worst_case
from burstd.core.worth import price, worths
from burstd.domain.jobs import JobKey, JobState, QueuedJob
from burstd.domain.plan import Plan, Reason, Snapshot
from burstd.domain.policy import BurstPolicy, Ledger
from burstd.domain.targets import TargetView

#: What would have to change. What is not here nobody can change.
CURES: Mapping[Reason, str] = {
    Reason.BELOW_WATERMARK: "more of the queue has to wait, or lower policy.high",
    Reason.BELOW_PRICE: "wait: its worth grows, and the price falls as the month goes on",
    Reason.DAMPED: "nothing: it will start here soon enough; or lower policy.low",
    Reason.NOT_WAITING: "wait until Slurm says Resources or Priority, or add to policy.reasons",
    Reason.HELD: "release it: scontrol release",
    Reason.DEPENDENT: "the job that it waits for must end",
    Reason.OTHER_PARTITION: "submit it to one of policy.partitions, or add its partition there",
    Reason.OTHER_USER: "add its user to policy.users",
    Reason.OTHER_ACCOUNT: "add its account to policy.accounts",
    Reason.HETEROGENEOUS: "submit its components as jobs of their own",
    Reason.NO_TIME_LIMIT: "submit it with --time",
    Reason.NO_SCRIPT: "submit it with sbatch",
    Reason.SCRIPT_UNREAD: "wait for the next cycle",
    Reason.NO_APPLICATION: "name a profile in the script: #BURST app=NAME",
    Reason.USER_FORBIDS: "its user must take back that wish",
    Reason.UNLABELLED: "add a [[policy.labels]] that covers it, or set policy.unlabelled",
    Reason.UNKNOWN_CLASS: "name one of [policy.classes]",
    Reason.DATA_STAYS: "nothing, as long as its data are of these classes",
    Reason.OUTSIDE_WINDOW: "wait until bursting opens, or change policy.windows or blackouts",
    Reason.TOO_SMALL: "lower policy.min_core_hours",
    Reason.TOO_LARGE: "ask for less, or raise policy.max_cores or max_time",
    Reason.TOO_YOUNG: "wait, or lower policy.min_age",
    Reason.NO_TARGET_FITS: "ask for less, or add a target where it fits",
    Reason.NO_BUDGET: "wait for running bursts to settle or the next month; or raise policy.budget",
    Reason.SOFT_MARK: "wait for bursts to settle or the next period, or raise its soft mark",
    Reason.TOO_MANY_OPEN: "wait until bursts end, or raise policy.max_open_bursts",
    Reason.FROZEN: "an operator must say burst thaw",
    Reason.PACED: "wait for the next cycle, or raise policy.max_new_per_tick",
    Reason.ABANDONED: "submit it again",
    Reason.RETURNED_BEFORE: "submit it again",
    Reason.LICENCES: "wait until they are given back, or ask for fewer",
    Reason.LICENCES_UNSEEN: "its licence server must answer: burst doctor",
    Reason.GPUS: "submit it without generic resources",
}


@dataclass(frozen=True)
class Step:
    """One line of an explanation. ``place``: file and line of ``setting``; empty: its default."""

    rule: str
    holds: bool
    text: str
    numbers: Mapping[str, str] = field(default_factory=dict)
    setting: str = ""
    place: str = ""
    cure: str = ""


@dataclass(frozen=True)
class Verdict:
    """What the plan says of some of a job's elements (of an array, a group of its tasks)."""

    elements: tuple[JobKey, ...]
    leaves: bool
    text: str
    cure: str = ""


def explain(
    job: QueuedJob, snapshot: Snapshot, policy: BurstPolicy, ledger: Ledger, plan: Plan
) -> tuple[Step, ...]:
    """Every rule's word on a pending job, whatever the others say."""
    if job.state is not JobState.PENDING and not wishes(job, policy):
        text = f"it is {job.state.value} on-prem: burstd considers jobs that are pending"
        return (Step("state", False, text),)
    steps = [
        Step(
            ruling.rule,
            ruling.objection is None,
            ruling.objection.value if ruling.objection else "no objection",
            ruling.numbers,
            ruling.setting,
            ruling.place,
            CURES.get(ruling.objection, "") if ruling.objection else "",
        )
        for ruling in rulings_on(job, snapshot, policy)
    ]
    steps += [_licences(job, snapshot, ledger), _run_time(job, snapshot)]
    steps.append(_worth(job, snapshot, policy, ledger))
    return (*steps, _pressure(policy, ledger, plan), *_targets(job, snapshot, policy, ledger))


def verdicts(job: QueuedJob, plan: Plan) -> tuple[Verdict, ...]:
    """What the plan says, by groups of elements."""
    mine = set(job.elements)
    found = [
        Verdict((p.identity.key,), True, f"leaves for {p.target}, at most {p.reserved}")
        for p in plan.placements
        if p.identity.key in mine
    ]
    return (
        *found,
        *(
            Verdict(kept, False, d.text, CURES.get(d.reason, ""))
            for d in plan.declined
            if (kept := tuple(key for key in d.elements if key in mine))
        ),
    )


def _licences(job: QueuedJob, snapshot: Snapshot, ledger: Ledger) -> Step:
    """Whether all are free now, by those that no older job of this plan is about to take."""
    facts, pools = snapshot.scripts.get(job.identity), snapshot.licences
    if facts is None:
        return Step("licences", True, "", {"asked": "not known before its script is read"})
    against = never(job, facts, pools)
    if against is None:
        ask = ask_of(job, facts, pools)
        against = Desk.opened(snapshot, ledger).take(job, ask)
    if against is None:
        asked = ", ".join(f"{name}:{count}" for name, count in ask.all)
        return Step("licences", True, "", {"asked": asked or "none"})
    reason, numbers = against
    return Step("licences", False, reason.value, numbers, cure=CURES[reason])


def _worth(job: QueuedJob, snapshot: Snapshot, policy: BurstPolicy, ledger: Ledger) -> Step:
    """What its leaving would spare those who wait, and what it must be worth at this moment."""
    setting = "policy.strategy"
    place = policy.places.get(setting, "")
    least = price(policy, ledger, snapshot.queue.taken_at)
    value = worths(snapshot, policy, least).get(job.identity)
    numbers = {"strategy": policy.strategy}
    if value is not None:
        numbers["worth"] = f"{value:.1f} h"
    if not least or wishes(job, policy) or value is None or value > least:
        return Step("worth", True, "", numbers, setting, place)
    why, numbers["price"] = Reason.BELOW_PRICE, f"{least:.1f} h"
    return Step("worth", False, why.value, numbers, setting, place, CURES[why])


def _run_time(job: QueuedJob, snapshot: Snapshot) -> Step:
    """What its pressure is reckoned by; what it may cost is reckoned by its limit."""
    found = snapshot.usage.expected(job)
    if found is None:
        return Step("run time", True, "", {})
    hours = snapshot.usage.core_hours(job)
    numbers = {"expected": str(found.time), "core_hours": f"{hours:.2f}", "by": found.by}
    return Step("run time", True, "", numbers)


def _pressure(policy: BurstPolicy, ledger: Ledger, plan: Plan) -> Step:
    marks, setting = policy.watermarks, "policy.high"
    numbers = {
        "backlog": f"{plan.backlog:.2f} core-hours", "high": f"{marks.high:g}",
        "low": f"{marks.low:g}",
    }  # fmt: skip
    place = policy.places.get(setting, "")
    if ledger.frozen:
        cure = CURES[Reason.FROZEN]
        return Step("pressure", False, Reason.FROZEN.value, {"by": ledger.frozen}, cure=cure)
    if is_surging(plan.backlog, policy, was=ledger.surging):
        return Step("pressure", True, "the queue surges", numbers, setting, place)
    why = Reason.BELOW_WATERMARK
    return Step("pressure", False, why.value, numbers, setting, place, CURES[why])


def _targets(
    job: QueuedJob, snapshot: Snapshot, policy: BurstPolicy, ledger: Ledger
) -> Iterator[Step]:
    facts = snapshot.scripts.get(job.identity)
    allowed = targets_of(classes(job, policy.data, facts.classes if facts else ()))
    purse = purse_of(policy, ledger, snapshot.queue.taken_at)
    shut = aside(ledger.ends, ledger.open_at, snapshot.queue.taken_at)
    fits = False
    for view in snapshot.targets:
        name, why = f"target {view.name}", objection_to(job, view, policy, allowed)
        found = shut.get(view.name)
        why = why or (found.why if found is not None and not found.probe else "")
        if why:
            yield Step(name, False, why, _offers(view))
            continue
        fits = True
        worst = worst_case(job.cpus, job.time_limit or timedelta(), view)
        against = purse.objection(job.account, job.identity.user, worst)
        if against is None:
            yield Step(name, True, "it fits", {"worst_case": f"{worst} {policy.currency}"})
            continue
        reason, numbers = against
        setting = "policy.budget" if numbers["budget"] == "policy.budget" else "policy.budgets"
        place = policy.places.get(setting, "")
        yield Step(name, False, reason.value, numbers, setting, place, CURES[reason])
    if not fits:
        yield Step("targets", False, "no target fits", cure=CURES[Reason.NO_TARGET_FITS])


def _offers(view: TargetView) -> dict[str, str]:
    can = view.capabilities
    return {
        "nodes": str(can.max_nodes), "cores": str(can.max_cores), "time": str(can.max_time),
    }  # fmt: skip
