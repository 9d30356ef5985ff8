"""Decisions one after the other, each as what differs from the one before. Pure.

An entry is three lines of JSON: a head with the outline, the plan, and what it was made from. The
first of a chain says everything; every other one names the checksum of the one that it continues.
A chain ends where its other entries are longer than its first: to read one entry is never much more
than to read two of those, and all of them together take at most twice the room.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from operator import attrgetter
from typing import Any

from burstd.core.codec import Unfit, codec, parts, text
from burstd.core.delta import Fields, FieldsCell, node
from burstd.core.table import NOTHING
from burstd.domain.decision import Decision, Outline
from burstd.domain.plan import Decline, Placement, Plan, Snapshot
from burstd.domain.targets import Money

FORMAT = 1
SHORT = 1 << 20  #: characters; a chain may grow to that whatever its first entry has
_DECISION = Fields(Decision, {name: node(hint) for name, hint in parts(Decision).items()})
_PLAN = Fields(Decision, {"plan": _DECISION.nodes["plan"]})
_GIVEN = Fields(Decision, {n: inner for n, inner in _DECISION.nodes.items() if n != "plan"})
_OUTLINE = codec(Outline)
_JOB = attrgetter("identity.key.job_id", "identity.key.array_task")


def in_queue_order(plan: Plan, snapshot: Snapshot) -> Plan:
    """The same plan; in which order it declines means nothing, and moves with every worth."""
    jobs = snapshot.queue.jobs
    places: dict[Any, int] = {id(job.identity): place for place, job in enumerate(jobs)}
    found = [places.get(id(one.identity), -1) for one in plan.declined]
    if -1 in found:  # not the very objects of this snapshot: the slow way
        places = {key: place for place, key in enumerate(map(_JOB, jobs))}
        found = [places.get(_JOB(one), -1) for one in plan.declined]
    in_order = sorted(range(len(found)), key=found.__getitem__)
    return replace(plan, declined=tuple(plan.declined[n] for n in in_order))


def outline(decision: Decision) -> Outline:
    """A decision in one line."""
    plan, policy = decision.plan, decision.policy
    whole = Outline(decision.at, policy.mode, plan.backlog, plan.surging, currency=policy.currency)
    return counted(whole, plan)


def counted(found: Outline, plan: Plan) -> Outline:
    """The outline with the numbers of this plan, or of this part of it."""
    stay: Counter[str] = Counter()
    for one in plan.declined:
        stay[one.reason.name.lower()] += len(one.elements)
    reserved = Money(sum((p.reserved for p in plan.placements), Decimal(0)))
    leave = len(plan.placements)
    return replace(found, leave=leave, stay=dict(stay.most_common()), reserved=reserved)


class Writer:
    """Remembers the decision that it wrote last. ``version``: burstd's."""

    def __init__(self, version: str) -> None:
        self._version = version
        self.begin()

    def begin(self) -> None:
        """The next entry says everything: what was written last may be lost."""
        self._before: Any = NOTHING
        self._sum: int | None = None
        self._room = 0  #: characters, until the chain ends

    def entry(self, decision: Decision) -> str:
        """Its text; what it continues must have been kept, or ``begin`` said."""
        if self._room < 0:
            self.begin()
        decision = replace(decision, plan=in_queue_order(decision.plan, decision.snapshot))
        head = {
            "format": FORMAT,
            "burstd": self._version,
            "after": self._sum,
            "outline": _OUTLINE.encode(outline(decision)),
        }
        plan, given = (part.diff(self._before, decision) or "{}" for part in (_PLAN, _GIVEN))
        entry = f"{text(head)}\n{plan}\n{given}\n"
        self._room = max(len(entry), SHORT) if self._sum is None else self._room - len(entry)
        self._before, self._sum = decision, zlib.crc32(entry.encode())
        return entry


class Kept:
    """An entry as it is read; good until the next one is."""

    def __init__(self, found: Outline, version: str, cell: FieldsCell) -> None:
        self.outline = found
        self.version = version  #: burstd's, that wrote it
        self._cell = cell

    def plan(self) -> Plan:
        """Its declines are in the order of the queue. Raises ``Unfit``."""
        with _fitting():
            plan: Plan = self._cell.cells["plan"].value()
            return plan

    def verdicts(self, job_id: int) -> tuple[Placement | Decline, ...]:
        """Those on one job, or on an array's tasks; much quicker than ``plan``."""
        with _fitting():
            cells: Any = self._cell.cells["plan"]
            placed = cells.cells["placements"].where("identity.key.job_id", job_id)
            declined = cells.cells["declined"].where("identity.key.job_id", job_id)
            return (*placed, *declined)

    def decision(self) -> Decision:
        """All of it, if the reader reads all. Raises ``Unfit``."""
        with _fitting():
            decision: Decision = self._cell.value()
            return decision


def outline_of(entry: str) -> Outline:
    """By its head alone. Raises ``Unfit``."""
    return start_of(entry)[0]


def start_of(entry: str) -> tuple[Outline, bool]:
    """By its head alone: the outline, and whether a chain begins with it. Raises ``Unfit``."""
    with _fitting():
        head = _head(entry.partition("\n")[0])
        return _OUTLINE.decode(head["outline"]), head["after"] is None


class Reader:
    """Reads entries in their order. ``whole``: with what the plans were made from."""

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole
        self._cell: FieldsCell | None = None
        self._sum = 0

    def take(self, entry: str) -> Kept | None:
        """The next one; ``None`` where that before it was not read. Raises ``Unfit``."""
        with _fitting():
            first, plan, given, *_ = entry.split("\n")
            head = _head(first)
            if head["after"] is None:
                self._cell = FieldsCell(_DECISION)
            elif self._cell is None or head["after"] != self._sum:
                self._cell = None
                return None
            self._sum = zlib.crc32(entry.encode())
            self._cell.take(json.loads(plan))
            if self._whole:
                self._cell.take(json.loads(given))
            return Kept(_OUTLINE.decode(head["outline"]), head["burstd"], self._cell)


def _head(line: str) -> dict[str, Any]:
    head: dict[str, Any] = json.loads(line)
    if head["format"] != FORMAT:
        raise Unfit(
            f"its form is {head['format']}, and this burstd reads form {FORMAT}: read it with "
            f"burstd {head.get('burstd', 'of its time')}"
        )
    return head


@contextmanager
def _fitting() -> Iterator[None]:
    """What does not fit shows in many ways."""
    try:
        yield
    except Unfit:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Unfit(f"not a decision: {error!r}") from error
