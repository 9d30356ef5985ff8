"""The decision: which pending jobs go where, now. Pure; the same inputs give the same plan."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

from burstd.core.candidates import Candidate, candidates
from burstd.core.licences import Desk, ask_of
from burstd.core.line import Line
from burstd.core.place import Ask, Offer, Places, cheap_enough, too_dear
from burstd.core.pressure import Gauges
from burstd.core.purse import Purse
from burstd.core.steering import Tariff
from burstd.core.veto import objection as veto
from burstd.core.worth import OLDEST_FIRST, tariff, worths
from burstd.domain.budgets import Budget
from burstd.domain.jobs import JobKey
from burstd.domain.licences import LicenceAsk
from burstd.domain.plan import Decline, Objection, Placement, Plan, Reason, Snapshot
from burstd.domain.policy import BurstPolicy, Ledger, Mode


def decide(snapshot: Snapshot, policy: BurstPolicy, ledger: Ledger) -> Plan:
    """Give every pending job a placement or a decline.

    While the queue surges, or a part of it with marks of its own, jobs leave, by what each is worth
    to those who wait, until what remains is below the low-water mark. Wishes (jobs in the burst
    partition) count like any other job and obey the same policy.
    """
    found, declined = candidates(snapshot, policy, ledger)
    gauges = Gauges([(c.load, len(c.elements)) for c in found], policy, ledger.surging)
    prices = tariff(policy, ledger, snapshot.queue.taken_at)
    session = _Session(snapshot, policy, ledger, gauges, declined, prices)
    least = prices.price() if prices else 0.0
    if found and policy.strategy != OLDEST_FIRST:
        worth = worths(session.line, policy, least)
        for candidate in found:
            candidate.worth = worth.get(candidate.job.identity)
    found.sort(key=_rank)
    for candidate in found:
        why = session.below(candidate) if gauges.surging else None
        if why is not None:
            session.decline(candidate, why, candidate.elements)
        else:
            _place_elements(candidate, session)
    placed, stay = tuple(session.placements), tuple(declined)
    return Plan(gauges.backlog, gauges.surging, placed, stay, gauges.backlogs, policy.currency)


def _rank(candidate: Candidate) -> tuple[bool, bool, float, datetime, int, int]:
    """Who leaves first: the oldest of those that are worth the same."""
    worth, who = candidate.worth or 0.0, candidate.job.identity
    task = candidate.elements[0].array_task
    place = who.submitted_at, who.key.job_id, -1 if task is None else task
    return not candidate.wish, not candidate.first, -worth, *place


def purse_of(policy: BurstPolicy, ledger: Ledger, now: datetime) -> Purse:
    """The site's monthly budget, whose sums are the ledger's, and every other one."""
    site = Budget("policy.budget", policy.budget)
    purse = Purse((site, *policy.budgets), ledger.charges, now, policy.currency)
    purse.pots[0].taken = ledger.spent + ledger.reserved
    return purse


def acts(policy: BurstPolicy) -> bool:
    """False in mode observe: decide and record, touch nothing."""
    return policy.mode is not Mode.OBSERVE


def cooling(policy: BurstPolicy, ledger: Ledger, now: datetime) -> Objection | None:
    """The last bursts must have shown what they change before others begin. What began in the
    future began before the clock was set back: nobody knows when."""
    if ledger.begun_at is None or not timedelta() <= now - ledger.begun_at < policy.cooldown:
        return None
    return Reason.COOLING, {
        "since": f"{(now - ledger.begun_at).total_seconds():.0f}s",
        "cooldown": f"{policy.cooldown.total_seconds():.0f}s",
    }


@dataclass
class _Session:
    """What changes while one plan is made."""

    snapshot: Snapshot
    policy: BurstPolicy
    ledger: Ledger
    gauges: Gauges
    declined: list[Decline]
    prices: Tariff | None
    placements: list[Placement] = field(default_factory=list)
    _said: dict[Reason, Objection] = field(default_factory=dict)

    def __post_init__(self) -> None:
        now = self.snapshot.queue.taken_at
        self.purse = purse_of(self.policy, self.ledger, now)
        self.licences = Desk.opened(self.snapshot, self.ledger)
        self.places = Places(self.snapshot, self.policy, self.ledger)
        self._cooling = cooling(self.policy, self.ledger, now)

    @cached_property
    def line(self) -> Line:
        """Only where somebody asks for it."""
        return Line.of(self.snapshot, self.policy)

    def decline(self, candidate: Candidate, why: Objection, rest: tuple[JobKey, ...]) -> None:
        """All of these stay."""
        self.declined.append(Decline(candidate.job.identity, *why, candidate.wish, rest))

    def below(self, candidate: Candidate, cost: float = 0.0) -> Objection | None:
        """It is worth no more than the price of what will cost so much."""
        value = candidate.worth
        if self.prices is None or value is None or candidate.first:
            return None
        least = self.prices.price(cost)
        return _below(value, least) if value <= least else None

    def shut(self, candidate: Candidate) -> Objection | None:
        """What keeps everybody here, or all who are under the same pressure."""
        if self.ledger.frozen:
            return self._once(Reason.FROZEN, lambda: {"by": self.ledger.frozen})
        if candidate.pressed and (why := self.gauges.objection(candidate.load)) is not None:
            return why
        policy = self.policy
        if len(self.ledger.open) + len(self.placements) >= policy.max_open_bursts:
            most = str(policy.max_open_bursts)
            return self._once(Reason.TOO_MANY_OPEN, lambda: {"max_open_bursts": most})
        if self._cooling is not None:
            return self._cooling
        if len(self.placements) >= policy.max_new_per_tick:
            most = str(policy.max_new_per_tick)
            return self._once(Reason.PACED, lambda: {"max_new_per_tick": most})
        return None

    def _once(self, why: Reason, numbers: Callable[[], dict[str, str]]) -> Objection:
        """From the first that nothing can leave any more on, the rest hears the same."""
        if why not in self._said:
            self._said[why] = why, numbers()
        return self._said[why]


def _place_elements(candidate: Candidate, session: _Session) -> None:
    """Place as many elements of one line as pressure, pace, targets and money allow."""
    licences: LicenceAsk | None = None
    elements, at, here = candidate.elements, 0, 0
    while at < len(elements):
        why = session.shut(candidate)
        if why is None:
            if licences is None:
                pools = session.snapshot.licences
                licences = ask_of(candidate.job, candidate.facts, pools)
            offer = _offer(candidate, session, here)
            if isinstance(offer, Offer):
                why = session.below(candidate, float(offer.likely))
                why = why or session.licences.take(candidate.job, licences)
                if why is None:
                    _take(candidate, elements[at], offer, licences, session)
                    at += 1
                    continue
            else:
                why = offer
        stay = len(elements) - at
        if why[0] is Reason.SOONER_HERE:
            stay = _soon(candidate, session, here, stay)
            here += stay
        session.decline(candidate, why, elements[at : at + stay])
        at += stay


def _soon(candidate: Candidate, session: _Session, here: int, most: int) -> int:
    """How many of an array's tasks, behind those that stay here, will be over sooner here too:
    who comes later starts later."""

    def leaves(ahead: int) -> bool:
        found = _offer(candidate, session, here + ahead)
        return isinstance(found, Offer) or found[0] is not Reason.SOONER_HERE

    return 1 + bisect_left(range(1, most), True, key=leaves)


def _offer(candidate: Candidate, session: _Session, ahead: int) -> Offer | Objection:
    """The best that a budget covers, or what the best of them falls short of; for a task that so
    many others of its array will start here before."""
    job, asked, ask = candidate.job, candidate.asked, _ask(candidate)
    offers = session.places.offers(ask)
    if not offers:
        return Reason.NO_TARGET_FITS, session.places.refusals(ask)
    if not cheap_enough(offers, asked):
        return too_dear(offers[0], asked, session.policy.currency)
    objections = []
    for offer in cheap_enough(offers, asked):
        why = session.purse.objection(job.account, job.identity.user, offer.worst)
        why = why or _sooner_here(candidate, offer, session, ahead)
        if why is None:
            return offer
        objections.append(why)
    return objections[0]


def _ask(candidate: Candidate) -> Ask:
    facts = candidate.facts
    return Ask(candidate.job, candidate.asked, facts.application or "", facts.shape)


def _sooner_here(
    candidate: Candidate, offer: Offer, session: _Session, ahead: int
) -> Objection | None:
    if not session.policy.veto or candidate.first:
        return None
    return veto(offer, candidate.run, session.line.start(candidate.job, ahead))


def _take(
    candidate: Candidate, key: JobKey, offer: Offer, licences: LicenceAsk, session: _Session
) -> None:
    job = candidate.job
    session.placements.append(
        Placement(
            replace(job.identity, key=key),
            offer.view.name,
            candidate.facts.application or "",
            _ask(candidate).cores(offer.view),
            offer.worst,
            candidate.wish,
            job.account,
            offer.likely,
            licences.booked,
            session.policy.most_output if offer.view.egress else None,
            candidate.gpus,
            candidate.asked.checkpoint,
        )
    )
    session.purse.take(job.account, job.identity.user, offer.worst)
    session.places.take(offer.view, _ask(candidate))
    session.gauges.take(candidate.load)
    if session.prices is not None:
        session.prices = session.prices.behind(float(offer.likely))


def _below(value: float, least: float) -> Objection:
    return Reason.BELOW_PRICE, {"worth": f"{value:.1f} h", "price": f"{least:.1f} h"}
