"""The audit log's table: one writer at a time adds the next link in its own transaction."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from burstd.adapters.store import schema as t
from burstd.core.audit import canonical, chained
from burstd.domain.audit import NOTHING, AuditHead, AuditRecord

#: Action of a burst's own events: they are its journal.
EVENT = "burst."


def add(db: Connection, record: AuditRecord, version: int | None = None) -> None:
    """Append ``record``; its number and digests are made here."""
    last = select(t.audit.c.seq, t.audit.c.digest).order_by(t.audit.c.seq.desc()).limit(1)
    found = db.execute(last).first()
    head = NOTHING if found is None else AuditHead(found.seq, found.digest)
    link = chained(head, record)
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


def read(row: Row[Any]) -> AuditRecord:
    """The record of one row."""
    at = datetime.fromisoformat(row.at)
    detail = json.loads(row.detail)
    return AuditRecord(
        row.seq, at, row.actor, row.action, row.subject, detail, row.prev, row.digest
    )
