"""Where a job may go, what that costs, and when it would be over there. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from statistics import median_high

from burstd.core.breaker import Aside, aside
from burstd.core.data import classes, targets_of
from burstd.core.money import egress, price, taken, worst_case
from burstd.core.speeds import Speeds, measured, speed
from burstd.domain.directives import Directives
from burstd.domain.jobs import QueuedJob, Shape
from burstd.domain.plan import Objection, Reason, Snapshot
from burstd.domain.policy import BurstPolicy, Ledger, Order, Stand
from burstd.domain.spans import spoken
from burstd.domain.targets import Capabilities, Money, TargetName, TargetView

RECENT = 20  #: of a target's runs that tell how long it takes to begin there
_NOWHERE = Stand(0)


@dataclass(frozen=True)
class Ask:
    """A job as targets see it: ``application`` may be unknown yet."""

    job: QueuedJob
    asked: Directives
    application: str = ""
    shape: Shape | None = None

    @property
    def gpus(self) -> int:
        return self.shape.gpus if self.shape else 0

    def cores(self, view: TargetView) -> int:
        """That it takes there."""
        return taken(self.job.cpus, self.shape, view.capabilities)


@dataclass(frozen=True)
class Offer:
    """One target for one job. ``lead``: until it has begun there; ``run``: that it is expected to
    run there."""

    view: TargetView
    worst: Money
    likely: Money
    lead: timedelta
    run: timedelta

    @property
    def over(self) -> timedelta:
        """From now on."""
        return self.lead + self.run


class Places:
    """The targets while one plan is made; each ``take`` fills one of them."""

    def __init__(self, snapshot: Snapshot, policy: BurstPolicy, ledger: Ledger) -> None:
        self._snapshot, self._policy, self._ledger = snapshot, policy, ledger
        self.now = snapshot.queue.taken_at
        self._aside = aside(ledger.ends, ledger.open_at, self.now)
        self._leads = _leads(ledger)
        self._taken: Counter[TargetName] = Counter()
        self._gpus: Counter[TargetName] = Counter()
        self._probed: set[TargetName] = set()

    def offers(self, ask: Ask) -> list[Offer]:
        """Of every target that takes it now, the best first."""
        allowed = self.allowed(ask)
        found = [
            self.offer(ask, view)
            for view in self._snapshot.targets
            if not self.refusal(ask, view, allowed)
        ]
        return sorted(found, key=self._rank(ask.asked.deadline))

    def offer(self, ask: Ask, view: TargetView) -> Offer:
        """What it would cost there, and how long it would take."""
        job, usage = ask.job, self._snapshot.usage
        run = usage.time(job) / speed(view, ask.application, self._speeds)
        most = self._policy.most_output
        cores = ask.cores(view)
        worst = worst_case(cores, ask.gpus, job.time_limit or timedelta(), view, most)
        comes = egress(self._outputs.get(ask.application, most), view.egress)
        likely = Money(min(worst, price(cores, ask.gpus, run, view) + comes))
        return Offer(view, worst, likely, self._leads.get(view.name, self._policy.start_delay), run)

    def take(self, view: TargetView, ask: Ask) -> None:
        """It goes there."""
        self._taken[view.name] += ask.cores(view)
        self._gpus[view.name] += ask.gpus
        self._probed.add(view.name)

    def allowed(self, ask: Ask) -> frozenset[TargetName] | None:
        """Where its data may go; ``None``: anywhere."""
        return targets_of(classes(ask.job, self._policy.data, ask.asked.classes))

    def refusals(self, ask: Ask) -> dict[str, str]:
        """Why none of them takes it."""
        allowed = self.allowed(ask)
        return {str(v.name): self.refusal(ask, v, allowed) for v in self._snapshot.targets}

    def refusal(self, ask: Ask, view: TargetView, allowed: frozenset[TargetName] | None) -> str:
        """Why this one does not take it now; empty: it does."""
        unfit = _unfit(ask, view, self._policy, allowed) or self._slow(ask, view)
        return unfit or self._full(ask, view)

    def _slow(self, ask: Ask, view: TargetView) -> str:
        """It would be ended at its limit there: so much do runs like it use of that here."""
        factor, limit = speed(view, ask.application, self._speeds), ask.job.time_limit
        if factor >= 1 or limit is None:
            return ""
        found = self._snapshot.usage.expected(ask.job)
        if found is None or not found.runs or found.time / factor <= limit:
            return ""
        return (
            f"it is too slow: expected to run {spoken(found.time / factor)} there, with a limit of "
            f"{spoken(limit)}"
        )

    def _full(self, ask: Ask, view: TargetView) -> str:
        found = self._aside.get(view.name)
        if found is not None and (not found.probe or view.name in self._probed):
            return _told(found)
        stand = self._ledger.open_at.get(view.name, _NOWHERE)
        for what, gone, more, most in (
            ("cores", stand.cores + self._taken[view.name], ask.cores(view), view.cores),
            ("GPUs", stand.gpus + self._gpus[view.name], ask.gpus, view.gpus),
        ):
            if most is not None and more and gone + more > most:
                return f"{gone} of {most} {what} there are taken"
        since = stand.queued_since
        if since is not None and self.now - since > self._policy.sold_out_after:
            return f"it is sold out: a job of ours has waited there since {since:%Y-%m-%dT%H:%MZ}"
        return ""

    @cached_property
    def _outputs(self) -> Mapping[str, int]:
        """Bytes of results by application: as many as half of its last runs had."""
        found: dict[str, list[int]] = {}
        for end in sorted(self._ledger.ends, key=lambda end: end.at):
            if end.output is not None:
                found.setdefault(end.application, []).append(end.output)
        return {name: median_high(sizes[-RECENT:]) for name, sizes in found.items()}

    @cached_property
    def _speeds(self) -> Speeds:
        return measured(self._ledger.ends, self._snapshot.usage)

    def _rank(self, deadline: datetime | None) -> _Rank:
        return _Rank(self._policy.order, deadline - self.now if deadline else None)


@dataclass(frozen=True)
class _Rank:
    """A key to sort by. ``within``: until the job's deadline."""

    order: Order
    within: timedelta | None

    def __call__(self, offer: Offer) -> tuple[bool, timedelta, Decimal, str]:
        cost, name = Decimal(offer.likely), str(offer.view.name)
        if self.order is Order.TIME:
            return False, offer.over, cost, name
        late = self.order is Order.DEADLINE and self.within is not None and offer.over > self.within
        return late, offer.over if late else timedelta(), cost, name


def _leads(ledger: Ledger) -> Mapping[TargetName, timedelta]:
    """Half of the last runs at a target had begun within this time after they left."""
    found: dict[TargetName, list[timedelta]] = {}
    for end in sorted(ledger.ends, key=lambda end: end.at):
        if end.lead is not None:
            found.setdefault(end.target, []).append(end.lead)
    return {target: median_high(leads[-RECENT:]) for target, leads in found.items()}


def _unfit(
    ask: Ask, view: TargetView, policy: BurstPolicy, allowed: frozenset[TargetName] | None
) -> str:
    """Why it can't run there, however empty the target may be."""
    job, can, theirs = ask.job, view.capabilities, ask.asked.targets
    limit = job.time_limit
    reasons: Iterable[tuple[bool, str]] = (
        (not view.open, "it takes no work now"),
        (view.name not in policy.targets, "it is not one of the site's targets"),
        (allowed is not None and view.name not in allowed, "its data may not go there"),
        (theirs is not None and view.name not in theirs, "its user wants another target"),
        (
            view.users is not None and job.identity.user not in view.users,
            "its user has no account there",
        ),
        (job.cpus > can.max_cores, "it asks for too many cores"),
        (job.nodes > can.max_nodes, "it asks for too many nodes"),
        (limit is None or limit > can.max_time, "it asks for too much time"),
    )
    found = next((why for fails, why in reasons if fails), "")
    return found or (ask.shape is not None and too_large(ask.shape, can)) or ""


def too_large(shape: Shape, can: Capabilities) -> str:
    """Why its nodes are not enough, by what the queue's list does not show; empty: they are."""
    reasons: Iterable[tuple[bool, str]] = (
        (bool(shape.other_gres), "it asks for other generic resources than GPUs"),
        (shape.gpus > can.max_gpus, "it asks for too many GPUs"),
        (not shape.gpu_types <= can.gpu_types, "it asks for GPUs of another type"),
        (
            can.node_cores is not None and shape.cpus_per_node > can.node_cores,
            "it asks for too many cores on a node",
        ),
        (
            can.node_memory is not None and shape.memory > can.node_memory,
            "it asks for too much memory on a node",
        ),
    )
    return next((why for fails, why in reasons if fails), "")


def _told(found: Aside) -> str:
    return f"{found.why}, and one is on its way" if found.probe else found.why


def cheap_enough(offers: Sequence[Offer], asked: Directives) -> list[Offer]:
    """Those whose worst case its user allows."""
    most = asked.most_cost
    return [offer for offer in offers if most is None or offer.worst <= most]


def too_dear(offer: Offer, asked: Directives, currency: str) -> Objection:
    """What its user hears where none is ``cheap_enough``."""
    numbers = {"worst_case": f"{offer.worst}", "max_cost": f"{asked.most_cost}"}
    return Reason.TOO_DEAR, {name: f"{amount} {currency}" for name, amount in numbers.items()}
