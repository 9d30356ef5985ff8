"""Why one job leaves or stays: what every rule says of it, with its numbers, where the rule stands,
and what would have to change. Pure, and by the same rules as the decision itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from burstd.core.candidates import rulings_on, wishes
from burstd.core.cures import CURES, cure
from burstd.core.decide import cooling, purse_of
from burstd.core.eligible import case_of
from burstd.core.licences import Desk, ask_of, never
from burstd.core.line import Line
from burstd.core.place import Ask, Offer, Places, cheap_enough, too_dear
from burstd.core.pressure import pressures
from burstd.core.purse import Purse
from burstd.core.steering import Tariff
from burstd.core.veto import objection as veto
from burstd.core.veto import told
from burstd.core.worth import OLDEST_FIRST, tariff, worths
from burstd.domain.directives import JobMode
from burstd.domain.jobs import JobIdentity, JobKey, JobState, QueuedJob
from burstd.domain.plan import Objection, Plan, Reason, Snapshot
from burstd.domain.policy import QUEUE, BurstPolicy, Ledger, Pressure
from burstd.domain.reasons import Step
from burstd.domain.spans import between, spoken
from burstd.domain.targets import TargetView


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
    return _explained(job, _Scene(snapshot, policy, ledger), plan)


def departures(
    snapshot: Snapshot, policy: BurstPolicy, ledger: Ledger, plan: Plan
) -> Mapping[JobKey, tuple[Step, ...]]:
    """The same of each that leaves by this plan: tasks of one line of the queue share it."""
    scene, found = _Scene(snapshot, policy, ledger), dict[JobKey, tuple[Step, ...]]()
    leaving = {placed.identity.key for placed in plan.placements}
    for job in snapshot.queue.jobs if leaving else ():
        if mine := leaving.intersection(job.elements):
            found |= dict.fromkeys(mine, _explained(job, scene, plan))
    return found


def _explained(job: QueuedJob, scene: _Scene, plan: Plan) -> tuple[Step, ...]:
    snapshot, policy = scene.snapshot, scene.policy
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
            cure((ruling.objection, dict(ruling.numbers))) if ruling.objection else "",
        )
        for ruling in rulings_on(job, snapshot, policy)
    ]
    case = _Asked(job, scene)
    steps += [_licences(case), _run_time(job, snapshot), _worth(case)]
    return (*steps, *_pressure(case, plan), *_targets(case), _here(case))


@dataclass(frozen=True)
class _Scene:
    """What a plan is made from, and what all of its jobs share of it."""

    snapshot: Snapshot
    policy: BurstPolicy
    ledger: Ledger

    @cached_property
    def line(self) -> Line:
        return Line.of(self.snapshot, self.policy)

    @cached_property
    def places(self) -> Places:
        return Places(self.snapshot, self.policy, self.ledger)

    @cached_property
    def purse(self) -> Purse:
        return purse_of(self.policy, self.ledger, self.snapshot.queue.taken_at)

    @cached_property
    def prices(self) -> Tariff | None:
        return tariff(self.policy, self.ledger, self.snapshot.queue.taken_at)

    @cached_property
    def worths(self) -> Mapping[JobIdentity, float]:
        return worths(self.line, self.policy, self.prices.price() if self.prices else 0.0)


@dataclass(frozen=True)
class _Asked:
    """One job before all that."""

    job: QueuedJob
    scene: _Scene

    @property
    def snapshot(self) -> Snapshot:
        return self.scene.snapshot

    @property
    def policy(self) -> BurstPolicy:
        return self.scene.policy

    @property
    def ledger(self) -> Ledger:
        return self.scene.ledger

    @cached_property
    def ask(self) -> Ask:
        case = case_of(self.job, self.snapshot, self.policy)
        if case.facts is None:
            return Ask(self.job, case.asked)
        return Ask(self.job, case.asked, case.facts.application or "", case.facts.shape)

    @property
    def first(self) -> bool:
        """It leaves before others, whatever its leaving spares."""
        eager = {JobMode.PREFER, JobMode.REQUIRE}
        return wishes(self.job, self.policy) or self.ask.asked.mode in eager

    @cached_property
    def paid(self) -> list[Offer]:
        """Offers of targets that it fits, the best first; those that nobody can pay only where
        there is no other."""
        offers = self.scene.places.offers(self.ask)
        return [offer for offer in offers if self.too_dear(offer) is None] or offers[:1]

    @cached_property
    def best(self) -> Offer | None:
        """The one that it would leave for."""
        if not self.paid or not self.policy.veto or self.first:
            return self.paid[0] if self.paid else None
        run, start = self.snapshot.usage.time(self.job), self.scene.line.start(self.job)
        sooner = (offer for offer in self.paid if veto(offer, run, start) is None)
        return next(sooner, self.paid[0])

    def too_dear(self, offer: Offer) -> Objection | None:
        """For its user, or for a budget."""
        if not cheap_enough([offer], self.ask.asked):
            return too_dear(offer, self.ask.asked, self.policy.currency)
        return self.scene.purse.objection(self.job.account, self.job.identity.user, offer.worst)


def verdicts(job: QueuedJob, plan: Plan, currency: str) -> tuple[Verdict, ...]:
    """What the plan says, by groups of elements."""
    mine = set(job.elements)
    found = [
        Verdict((p.identity.key,), True, f"leaves for {p.target}, at most {p.reserved} {currency}")
        for p in plan.placements
        if p.identity.key in mine
    ]
    return (
        *found,
        *(
            Verdict(kept, False, d.text, cure((d.reason, dict(d.numbers))))
            for d in plan.declined
            if (kept := tuple(key for key in d.elements if key in mine))
        ),
    )


def _licences(case: _Asked) -> Step:
    """Whether all are free now, by those that no older job of this plan is about to take."""
    job, pools = case.job, case.snapshot.licences
    facts = case_of(job, case.snapshot, case.policy).facts
    if facts is None:
        return Step("licences", True, "", {"asked": "not known before its script is read"})
    against = never(job, facts, pools)
    if against is None:
        ask = ask_of(job, facts, pools)
        against = Desk.opened(case.snapshot, case.ledger).take(job, ask)
    if against is None:
        asked = ", ".join(f"{name}:{count}" for name, count in ask.all)
        return Step("licences", True, "", {"asked": asked or "none"})
    reason, numbers = against
    return Step("licences", False, reason.value, numbers, cure=cure(against))


def _worth(case: _Asked) -> Step:
    """What its leaving would spare those who wait, and what it must be worth at this moment."""
    policy, setting = case.policy, "policy.strategy"
    place = policy.places.get(setting, "")
    numbers = {"strategy": policy.strategy}
    if policy.strategy == OLDEST_FIRST:
        return Step("worth", True, "", numbers, setting, place)
    prices, value = case.scene.prices, case.scene.worths.get(case.job.identity)
    if value is not None:
        numbers["worth"] = f"{value:.1f} h"
    if prices is None or case.first or value is None:
        return Step("worth", True, "", numbers, setting, place)
    least = prices.price(float(case.best.likely) if case.best else 0.0)
    why, numbers["price"] = Reason.BELOW_PRICE, f"{least:.1f} h"
    if value > least:
        return Step("worth", True, "", numbers, setting, place)
    return Step("worth", False, why.value, numbers, setting, place, CURES[why])


def _run_time(job: QueuedJob, snapshot: Snapshot) -> Step:
    """What its pressure is reckoned by; what it may cost is reckoned by its limit."""
    found = snapshot.usage.expected(job)
    if found is None:
        return Step("run time", True, "", {})
    hours = snapshot.usage.core_hours(job)
    numbers = {"expected": spoken(found.time), "core_hours": f"{hours:.2f}", "by": found.by}
    return Step("run time", True, "", numbers)


def _pressure(case: _Asked, plan: Plan) -> Iterator[Step]:
    policy, ledger = case.policy, case.ledger
    if ledger.frozen:
        cure = CURES[Reason.FROZEN]
        yield Step("pressure", False, Reason.FROZEN.value, {"by": ledger.frozen}, cure=cure)
    if case.ask.asked.mode is JobMode.REQUIRE:
        yield Step("pressure", True, "", {"mode": "require"})
    else:
        gpus = case.ask.gpus > 0
        covering = (p for p in pressures(policy) if p.covers(case.job, gpus=gpus))
        yield from (_one_pressure(pressure, policy, plan) for pressure in covering)
    if (why := cooling(policy, ledger, case.snapshot.queue.taken_at)) is not None:
        reason, numbers = why
        place = policy.places.get("policy.cooldown", "")
        cure = CURES[reason]
        yield Step("cool-down", False, reason.value, numbers, "policy.cooldown", place, cure)


def _one_pressure(pressure: Pressure, policy: BurstPolicy, plan: Plan) -> Step:
    marks, whole = pressure.marks, pressure.name == QUEUE
    setting = "policy.high" if whole else "policy.pressures"
    name = "pressure" if whole else f"pressure {pressure.name}"
    numbers = {"high": f"{marks.high:g}", "low": f"{marks.low:g}"}
    if pressure.gpus:
        numbers["of"] = "GPU-hours"
    if whole:
        numbers = {"backlog": f"{plan.backlog:.2f} core-hours", **numbers}
    elif (backlog := plan.backlogs.get(pressure.name)) is not None:
        numbers = {"backlog": f"{backlog:.2f}", **numbers}
    place = policy.places.get(setting, "")
    if pressure.name in plan.surging:
        return Step(
            name, True, "the queue surges" if whole else "it surges", numbers, setting, place
        )
    why, named = Reason.BELOW_WATERMARK, {} if whole else {"pressure": pressure.name}
    return Step(name, False, why.value, numbers, setting, place, cure((why, named)))


def _targets(case: _Asked) -> Iterator[Step]:
    """Each target, and what stands against it."""
    places = case.scene.places
    allowed = places.allowed(case.ask)
    fits = False
    for view in case.snapshot.targets:
        name, why = f"target {view.name}", places.refusal(case.ask, view, allowed)
        if why:
            elsewhere = allowed is not None and view.name not in allowed
            may_go = {"may_go": ", ".join(sorted(allowed or ())) or "nowhere"}
            yield Step(name, False, why, may_go if elsewhere else _offers(view))
            continue
        fits = True
        yield _one_target(name, places.offer(case.ask, view), case)
    if not fits:
        yield Step("targets", False, "no target fits", cure=CURES[Reason.NO_TARGET_FITS])


def _one_target(name: str, offer: Offer, case: _Asked) -> Step:
    policy = case.policy
    numbers = {
        "worst_case": f"{offer.worst} {policy.currency}",
        "expected": f"{offer.likely} {policy.currency}",
        "begins_in": spoken(offer.lead),
        "over_in": spoken(offer.over),
    }
    if (against := case.too_dear(offer)) is None:
        return Step(name, True, "it fits", numbers)
    reason, held = against
    setting = "policy.budget" if held.get("budget") == "policy.budget" else "policy.budgets"
    setting = "" if reason is Reason.TOO_DEAR else setting
    place = policy.places.get(setting, "")
    numbers |= held
    return Step(name, False, reason.value, numbers, setting, place, cure((reason, numbers)))


def _here(case: _Asked) -> Step:
    """When it starts here, and whether that is soon enough to stay."""
    last = max(0, len(case.job.tasks) - 1)  # of an array the first ones may stay all the same
    run, start = case.snapshot.usage.time(case.job), case.scene.line.start(case.job, last)
    setting = "policy.veto"
    place = case.policy.places.get(setting, "")
    if start is None:
        return Step("here", True, "nobody can tell when it starts here", {}, setting, place)
    if case.best is None:
        numbers = {"starts_here": between(start.early, start.late)}
        return Step("here", True, "", numbers, setting, place)
    numbers = told(case.best, run, start)
    if not case.policy.veto or case.first or veto(case.best, run, start) is None:
        return Step("here", True, "", numbers, setting, place)
    why, cure = Reason.SOONER_HERE.value, CURES[Reason.SOONER_HERE]
    return Step("here", False, why, numbers, setting, place, cure)


def _offers(view: TargetView) -> dict[str, str]:
    can = view.capabilities
    return {
        "nodes": str(can.max_nodes), "cores": str(can.max_cores), "time": spoken(can.max_time),
        **({"gpus": str(can.max_gpus)} if can.max_gpus else {}),
    }  # fmt: skip
