"""What the checker may know of the ledger: its rows and its chain, read past burstd's own code."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

from sqlalchemy import Engine

from burstd.core.audit import chained
from burstd.core.lifecycle import TRANSITIONS
from burstd.domain.audit import NOTHING, AuditHead, AuditRecord
from burstd.domain.burst import Stage
from burstd.testing.simulators import SteppedClock, memory, picture_of, store_in

#: How a burst begins: in which stage, on which word.
BEGINNINGS = {"Planned": "planned", "Declined": "returning"}


_RECORDS = (
    "select seq, at, actor, action, subject, version, detail, prev, digest"
    " from audit where seq > ? order by seq"
)


@dataclass(frozen=True)
class Row:
    """One burst."""

    id: str
    stage: str
    version: int
    month: str
    reserved: Decimal
    cost: Decimal | None
    face: tuple[str, str, str, str]  #: key, submit time, user, name
    cause: str
    came_back: bool  #: its job had left, or was touched, or somebody wanted it here
    target: str  #: empty: a declined wish
    booked: int  #: licences
    remains: bool  #: at the target, behind its end

    @property
    def open(self) -> bool:
        return not Stage(self.stage).final

    @property
    def key(self) -> str:
        """The work key."""
        return f"b-{self.id}"


@dataclass
class LedgerWatch:
    """Reads what is new after each event. ``permits``: bursts that have theirs; ``asked``: those
    that an operator wants back."""

    permits: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    rows: dict[str, Row] = field(default_factory=dict)
    head: AuditHead = NOTHING
    told: dict[str, tuple[int, str]] = field(default_factory=dict)  #: last record of each burst
    seen: int = -1  #: SQLite's count of changes

    def news(self, database: Engine) -> Iterator[str]:
        """What is wrong with all that was written since."""
        db = connection_of(database)
        if db.total_changes == self.seen:
            return
        self.seen = db.total_changes
        for record in db.execute(_RECORDS, (self.head.seq,)):
            yield from self._record(record)
        for id_, version, month, body in db.execute("select id, version, month, body from bursts"):
            if id_ not in self.rows or self.rows[id_].version != version:
                yield from self._row(_row(id_, version, month, json.loads(body)))

    def _record(self, row: tuple[Any, ...]) -> Iterator[str]:
        seq, at, actor, action, subject, version, detail, prev, digest = row
        record = AuditRecord(
            seq,
            datetime.fromisoformat(at),
            actor,
            action,
            subject,
            json.loads(detail),
            prev,
            digest,
        )
        if chained(self.head, record) != record:
            yield f"17: record {seq} does not continue the chain"
        self.head = AuditHead(seq, digest)
        if action == "permit":
            if subject in self.permits:
                yield f"3: burst {subject} has a second permit"
            if subject in self.asked:
                yield f"3: burst {subject} has a permit though it was asked back"
            self.permits.add(subject)
        if action in {"operator.return", "policy.return"}:
            self.asked.add(subject)
        if action.startswith("burst."):
            yield from self._move(subject, version, action[6:], str(record.detail["stage"]))

    def _move(self, burst: str, version: int, event: str, stage: str) -> Iterator[str]:
        was = self.told.get(burst)
        self.told[burst] = (version, stage)
        if was is None:
            if (version, BEGINNINGS.get(event)) != (0, stage):
                yield f"18: burst {burst} begins with {event} at {stage}"
            return
        if version != was[0] + 1:
            yield f"17: burst {burst}: record {version} follows {was[0]}"
        if event == "Deferred":
            allowed = was[1]
        else:
            moves = {e.__name__: s.value for e, s in TRANSITIONS[Stage(was[1])].items()}
            allowed = moves.get(event, "nowhere")
        if allowed != stage:
            yield f"18: burst {burst} went from {was[1]} to {stage} on {event}"

    def _row(self, row: Row) -> Iterator[str]:
        self.rows[row.id] = row
        if self.told.get(row.id) != (row.version, row.stage):
            yield f"17: burst {row.id} is {row.stage} in version {row.version}, told {self.told}"
        if row.cost is not None and row.cost > row.reserved:
            yield f"12: burst {row.id} cost {row.cost} of {row.reserved} reserved"

    def money(self, budget: Decimal) -> Iterator[str]:
        """12: of no month is more promised and spent than its budget."""
        totals: dict[str, Decimal] = {}
        for row in self.rows.values():
            bound = row.open or row.stage == Stage.QUARANTINED.value
            amount = row.reserved if bound else (row.cost or Decimal(0))
            totals[row.month] = totals.get(row.month, Decimal(0)) + amount
        for month, amount in totals.items():
            if amount > budget:
                yield f"12: {amount} promised and spent of {budget} in {month}"

    def licences(self, total: int) -> Iterator[str]:
        """24: no more are booked by what is under way than there are."""
        booked = sum(row.booked for row in self.rows.values() if row.open)
        if booked > total:
            yield f"24: {booked} licences are booked of {total}"


def _row(id_: str, version: int, month: str, body: dict[str, Any]) -> Row:
    who, key = body["identity"], body["identity"]["key"]
    task = "" if key["array_task"] is None else f"_{key['array_task']}"
    cost = body["cost"]
    return Row(
        id_, body["stage"], version, month, Decimal(body["reserved"]),
        None if cost is None else Decimal(cost),
        (f"{key['job_id']}{task}", _moment(who["submitted_at"]), who["user"], who["name"]),
        body["cause"], bool(body["record"] or body["asked_back"]) and body["stage"] == "returned",
        body["target"], sum(body["licences"].values()), bool(body.get("remains")),
    )  # fmt: skip


def _moment(text: str) -> str:
    return datetime.fromisoformat(text).isoformat()


def connection_of(database: Engine) -> sqlite3.Connection:
    """SQLite's own connection of an in-memory database."""
    found = database.raw_connection().driver_connection
    assert isinstance(found, sqlite3.Connection)
    return found


@cache
def empty() -> bytes:
    """The picture of a ledger that burstd has just made."""
    database = memory()
    store_in(database, SteppedClock())
    return picture_of(database)
