"""What was said of a burst from outside: agents' reports and people's requests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Double, cast, delete, func, insert, select

from burstd.adapters.store import chain
from burstd.adapters.store import schema as t
from burstd.adapters.store.database import Database
from burstd.domain.audit import DAEMON, AuditRecord
from burstd.domain.burst import BurstId
from burstd.domain.data import MOST_COUNTED
from burstd.domain.requests import Request, RequestKind
from burstd.ports.store import Report

EGRESS = "staged_in"  #: the report that all inputs have left
LEFT = "egress"  #: its record in the audit log
LISTS = 8  #: of inputs of one burst; one that several agents sent has several


class Reports:
    """The agents' words; a later report of a kind replaces the earlier."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(
        self, db: Connection, burst: BurstId, kind: str, body: Mapping[str, Any], at: datetime
    ) -> bool:
        """Write one down; False where it is there, or one list of inputs too many."""
        text, same = json.dumps(body), _named(burst, kind)
        if db.execute(select(t.reports.c.body).where(same)).scalar() == text:
            return False
        if kind == EGRESS:
            if _lists(db, burst) >= LISTS:
                return False  # what the audit log does not have is not what has left
            chain.add(db, AuditRecord(0, at, DAEMON, LEFT, burst, _egress(body)))
        db.execute(delete(t.reports).where(same))
        row: dict[str, Any] = {"burst": burst, "kind": kind, "body": text}
        row |= {"at": at.isoformat(), "bytes": _size(body.get("bytes"))}
        db.execute(insert(t.reports).values(**row))
        return True

    def text(self, burst: BurstId, kind: str) -> str | None:
        """The body of one as it was kept, JSON in ASCII."""
        rows = self._database.read(select(t.reports.c.body).where(_named(burst, kind)))
        return str(rows[0].body) if rows else None

    def of(self, burst: BurstId, kinds: Collection[str] = ()) -> Mapping[str, Report]:
        """With their bodies; all, or those of ``kinds``."""
        asked = select(t.reports).where(t.reports.c.burst == burst)
        rows = self._database.read(asked.where(t.reports.c.kind.in_(kinds)) if kinds else asked)
        return {
            r.kind: Report(r.kind, datetime.fromisoformat(r.at), json.loads(r.body)) for r in rows
        }

    def kinds(self, burst: BurstId) -> frozenset[str]:
        """Without the bodies."""
        asked = select(t.reports.c.kind).where(t.reports.c.burst == burst)
        return frozenset(row.kind for row in self._database.read(asked))

    def staged(self) -> dict[tuple[str, str], int]:
        """Bytes by (target, direction)."""
        names = {"staged_in": "in", "staged_out": "out"}
        # As doubles: the largest sizes of two agents are more than SQLite's integers hold.
        total = func.sum(cast(t.reports.c.bytes, Double)).label("total")
        asked = (
            select(t.bursts.c.target, t.reports.c.kind, total)
            .join(t.bursts, t.bursts.c.id == t.reports.c.burst)
            .where(t.reports.c.kind.in_(names))
            .group_by(t.bursts.c.target, t.reports.c.kind)
        )
        rows = self._database.read(asked)
        return {(row.target, names[row.kind]): int(row.total or 0) for row in rows}


class Requests:
    """People's words; the first of a kind counts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, db: Connection, burst: BurstId, request: Request, at: datetime) -> bool:
        """Write it down; False where one of its kind is there."""
        if self.asked(db, burst, request.kind):
            return False
        row = {"burst": burst, "kind": request.kind.value, "by": request.by, "why": request.why}
        db.execute(insert(t.requests).values(**row, at=at.isoformat()))
        return True

    def asked(self, db: Connection, burst: BurstId, kind: RequestKind) -> bool:
        """Has anybody asked for this?"""
        same = (t.requests.c.burst == burst) & (t.requests.c.kind == kind.value)
        return db.execute(select(t.requests.c.burst).where(same)).first() is not None

    def open(self) -> dict[BurstId, frozenset[Request]]:
        """Those of open bursts."""
        joined = select(t.requests).join(t.bursts, t.bursts.c.id == t.requests.c.burst)
        found: dict[BurstId, frozenset[Request]] = {}
        for row in self._database.read(joined.where(t.bursts.c.open)):
            request = Request(RequestKind(row.kind), row.by, row.why)
            burst = BurstId(row.burst)
            found[burst] = found.get(burst, frozenset()) | {request}
        return found


def _named(burst: BurstId, kind: str) -> ColumnElement[bool]:
    return (t.reports.c.burst == burst) & (t.reports.c.kind == kind)


def _lists(db: Connection, burst: BurstId) -> int:
    """So many lists of its inputs are in the audit log."""
    mine = (t.audit.c.subject == burst) & (t.audit.c.action == LEFT)
    return db.execute(select(func.count()).where(mine)).scalar_one()


def _size(said: object) -> int:
    """An agent's figure for dashboards, as far as it is one."""
    return min(said, MOST_COUNTED) if isinstance(said, int) and said > 0 else 0


def _egress(body: Mapping[str, Any]) -> Mapping[str, object]:
    """What the audit log says of inputs that have left: how many, and a digest of the report's
    list, so that the list can be held against it later."""
    files = body.get("files")
    files = files if isinstance(files, list) else []  # it is the word of a user's agent
    text = json.dumps(files, sort_keys=True, separators=(",", ":"))
    return {
        "files": len(files),
        "bytes": _size(body.get("bytes")),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
