"""The audit log's table: one writer at a time adds the next link in its own transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from burstd.adapters.store import facts
from burstd.adapters.store import schema as t
from burstd.adapters.store.database import Database
from burstd.core.audit import canonical, chained
from burstd.domain.audit import DAEMON, NOTHING, AuditHead, AuditRecord
from burstd.domain.reasons import Step

#: Action of a burst's own events: they are its journal.
EVENT = "burst."
#: Names of facts: heads that others remember, by witness; where the lost branch ended that an
#: operator has given up (others may remember an earlier record of it).
_SUSPECT, _GIVEN_UP = "suspect", "given_up"
_LAST = select(t.audit.c.seq, t.audit.c.digest).order_by(t.audit.c.seq.desc()).limit(1)


class Audit:
    """The log, read and judged; ``add`` writes it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def records(self, after: int, most: int) -> tuple[AuditRecord, ...]:
        """From ``after`` on, oldest first."""
        asked = select(t.audit).where(t.audit.c.seq > after).order_by(t.audit.c.seq).limit(most)
        return tuple(map(read, self._database.read(asked)))

    def head(self) -> AuditHead:
        """Where it ends."""
        return _head_of(self._database.read(_LAST))

    def vouches(self, head: AuditHead) -> bool:
        """On the chain, or of the branch that an operator has given up."""
        on_it = select(t.audit.c.digest).where(t.audit.c.seq == head.seq)
        digests = {row.digest for row in self._database.read(on_it)}
        given_up = select(t.facts.c.value).where(t.facts.c.name == _GIVEN_UP)
        end = max((int(row.value) for row in self._database.read(given_up)), default=0)
        return head.seq <= end or head.digest in digests

    def suspect(self, db: Connection, witness: str, head: AuditHead, now: datetime) -> None:
        """Write the suspicion down."""
        held: dict[str, str] = json.loads(facts.get(db, _SUSPECT) or "{}")
        if held.get(witness) != str(head):
            facts.put(db, _SUSPECT, json.dumps({**held, witness: str(head)}))
            detail = {"witness": witness, "remembers": str(head)}
            add(db, AuditRecord(0, now, DAEMON, "ledger.suspected", "", detail))

    def accept(self, db: Connection, by: str, now: datetime) -> None:
        """End it: what was remembered is no news any more."""
        held: dict[str, str] = json.loads(facts.get(db, _SUSPECT) or "{}")
        if held:
            ends = [AuditHead.parse(head).seq for head in held.values()]
            facts.put(db, _GIVEN_UP, str(max(ends)))
            facts.drop(db, _SUSPECT)
            add(db, AuditRecord(0, now, by, "operator.accept", "", {"remembered": held}))


def suspicion(held: str) -> str:
    """For people: who remembers what."""
    said = json.loads(held) if held else {}
    return ", ".join(
        f"{witness} remembers record {head.partition(':')[0]} of the audit log"
        for witness, head in said.items()
    )


def add(db: Connection, record: AuditRecord, version: int | None = None) -> None:
    """Append ``record``; its number and digests are made here."""
    link = chained(_head_of(list(db.execute(_LAST))), record)
    db.execute(
        insert(t.audit).values(
            seq=link.seq,
            at=link.at.isoformat(),
            actor=link.actor,
            action=link.action,
            subject=link.subject,
            version=version,
            detail=canonical(link.detail),
            prev=link.prev,
            digest=link.digest,
        )
    )


def _head_of(last: list[Row[Any]]) -> AuditHead:
    return AuditHead(last[0].seq, last[0].digest) if last else NOTHING


def read(row: Row[Any]) -> AuditRecord:
    """The record of one row."""
    at = datetime.fromisoformat(row.at)
    detail = json.loads(row.detail)
    return AuditRecord(
        row.seq, at, row.actor, row.action, row.subject, detail, row.prev, row.digest
    )


def rules(steps: Sequence[Step]) -> Mapping[str, object]:
    """Every rule's word, for the detail of a record; nothing where nobody has said any. Numbers are
    pairs: the order in which they are told is lost in a table of a record's."""
    said = [{**vars(step), "numbers": [*map(list, step.numbers.items())]} for step in steps]
    return {"rules": said} if said else {}


def steps(record: AuditRecord) -> tuple[Step, ...]:
    """The same, read."""
    said: Any = record.detail.get("rules", ())
    return tuple(Step(**{**step, "numbers": dict(step["numbers"])}) for step in said)
