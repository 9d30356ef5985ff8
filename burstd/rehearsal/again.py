"""Decisions that were kept, decided again from what they were made from: by the policy that they
were made by, which must give the same, or by another one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from burstd.core.chronicle import in_queue_order
from burstd.core.decide import decide
from burstd.domain.decision import Decision
from burstd.domain.jobs import JobIdentity, JobKey
from burstd.domain.plan import Decline, Placement, Plan, Reason
from burstd.domain.policy import BurstPolicy
from burstd.domain.usage import Usage

MOST = 20  #: differences that are told of one decision

#: Why no job may leave by this policy at this moment; empty: they may.
Closed = Callable[[BurstPolicy, datetime], str]


@dataclass
class Reproduced:
    """How many came out as they were. ``first``: what differs in the first that did not."""

    decisions: int = 0
    same: int = 0
    first_at: datetime | None = None
    first: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        at = self.first_at.isoformat() if self.first_at else None
        first = {"at": at, "differences": list(self.first)} if at else None
        return {"decisions": self.decisions, "same": self.same, "first": first}


def reproduced(decisions: Iterable[Decision]) -> Reproduced:
    """Each by its own policy."""
    found = Reproduced()
    for one in decisions:
        found.decisions += 1
        plan = in_queue_order(decide(one.snapshot, one.policy, one.ledger), one.snapshot)
        if plan == one.plan:
            found.same += 1
        elif found.first_at is None:
            found.first_at, found.first = one.at, tuple(differences(one.plan, plan))
    return found


def differences(kept: Plan, now: Plan) -> Iterator[str]:
    """In words, the first ``MOST`` of them."""
    told = list(_differences(kept, now))
    yield from told[:MOST]
    if len(told) > MOST:
        yield f"and {len(told) - MOST} more"


def _differences(kept: Plan, now: Plan) -> Iterator[str]:
    for name in ("backlog", "surging"):
        was, became = getattr(kept, name), getattr(now, name)
        if was != became:
            yield f"{name}: {was} then, {became} now"
    was_said, is_said = _verdicts(kept), _verdicts(now)
    for key in sorted({**was_said, **is_said}, key=str):
        before, after = was_said.get(key), is_said.get(key)
        if before != after:
            yield f"{key}: {_change(before, after)}"
    order = [[p.identity.key for p in plan.placements] for plan in (kept, now)]
    if order[0] != order[1] and sorted(map(str, order[0])) == sorted(map(str, order[1])):
        yield "they leave in another order"


Verdict = Placement | Decline


def _verdicts(plan: Plan) -> dict[JobKey, Verdict]:
    """By job, and task of an array."""
    stays = {key: replace(d, elements=()) for d in plan.declined for key in d.elements}
    return {**stays, **{p.identity.key: p for p in plan.placements}}


def _change(before: Verdict | None, after: Verdict | None) -> str:
    if before is None or after is None or type(before) is not type(after):
        return f"{_word(before)} then, {_word(after)} now"
    changed = (
        f"{one.name} {was} then, {became} now"
        for one in fields(before)
        if (was := getattr(before, one.name)) != (became := getattr(after, one.name))
    )
    return "; ".join(changed)


def _word(verdict: Verdict | None) -> str:
    if verdict is None:
        return "no verdict"
    if isinstance(verdict, Placement):
        return f"leaves to {verdict.target} for at most {verdict.reserved}"
    return f"stays, {verdict.text}"


@dataclass(frozen=True)
class Gone:
    """A job that left under one policy and not under the other; why it stayed under that."""

    account: str
    reason: str


@dataclass
class Compared:
    """What another policy would have decided at each of the moments.

    ``differ``: decisions in which some job gets another verdict; ``others_leave``: in which others
    leave. ``more``: jobs that would have left at some moment and never did, ``fewer``: that left
    and would not have. ``unread``: jobs whose script nobody had read, as their policy kept them.
    """

    decisions: int = 0
    differ: int = 0
    others_leave: int = 0
    more: dict[JobIdentity, Gone] = field(default_factory=dict)
    fewer: dict[JobIdentity, Gone] = field(default_factory=dict)
    unread: set[JobIdentity] = field(default_factory=set)

    def as_json(self) -> dict[str, Any]:
        return {
            "decisions": self.decisions,
            "differ": self.differ,
            "others_leave": self.others_leave,
            "would_have_left": _told(self.more),
            "would_have_stayed": _told(self.fewer),
            "scripts_unread": len(self.unread),
        }


def compared(decisions: Iterable[Decision], policy: BurstPolicy, closed: Closed) -> Compared:
    """Each by this policy, from the ledger of its moment: nothing follows from one for the next,
    but whether the queue surges."""
    found = Compared()
    surging: frozenset[str] | None = None
    left: set[JobIdentity] = set()
    would: set[JobIdentity] = set()
    for one in decisions:
        snapshot = replace(
            one.snapshot,
            closed=closed(policy, one.at),
            usage=one.snapshot.usage if policy.history else Usage(),
        )
        ledger = one.ledger if surging is None else replace(one.ledger, surging=surging)
        plan = decide(snapshot, policy, ledger)
        surging = plan.surging
        _count(found, one.plan, plan)
        left |= {p.identity for p in one.plan.placements}
        would |= {p.identity for p in plan.placements}
    found.more = {who: gone for who, gone in found.more.items() if who not in left}
    found.fewer = {who: gone for who, gone in found.fewer.items() if who not in would}
    return found


def _count(found: Compared, kept: Plan, other: Plan) -> None:
    was_said, is_said = _reasons(kept), _reasons(other)
    before = {p.identity: p for p in kept.placements}
    after = {p.identity: p for p in other.placements}
    found.decisions += 1
    found.others_leave += before.keys() != after.keys()
    found.differ += (was_said, _targets(kept)) != (is_said, _targets(other))
    for who in after.keys() - before.keys():
        found.more.setdefault(who, Gone(after[who].account, was_said.get(who.key, "")))
    for who in before.keys() - after.keys():
        found.fewer.setdefault(who, Gone(before[who].account, is_said.get(who.key, "")))
    unread = Reason.SCRIPT_UNREAD
    found.unread |= {
        d.identity
        for d in other.declined
        if d.reason is unread and was_said.get(d.identity.key) != unread.name.lower()
    }


def _reasons(plan: Plan) -> dict[JobKey, str]:
    return {key: d.reason.name.lower() for d in plan.declined for key in d.elements}


def _targets(plan: Plan) -> dict[JobKey, str]:
    return {p.identity.key: p.target for p in plan.placements}


def _told(jobs: Mapping[JobIdentity, Gone]) -> list[dict[str, Any]]:
    """By account and reason, the most first."""
    counts = Counter(jobs.values())
    return [
        {"account": gone.account, "reason": gone.reason, "jobs": count}
        for gone, count in counts.most_common()
    ]
