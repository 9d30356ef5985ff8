"""The journal becomes part of a chained audit log, and people can ask things of a burst.

Moments of evidence were wall-clock times; now they are uptimes. What an older ledger says of them
is kept as "of no machine", so that every barrier under way starts anew.
"""

from __future__ import annotations

import json
from datetime import datetime

import sqlalchemy as sa
from alembic import op

from burstd.core.audit import canonical, chained
from burstd.domain.audit import DAEMON, NOTHING, AuditHead, AuditRecord

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """From the ledger of burstd 0.1."""
    audit = op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False, index=True),
        sa.Column("version", sa.Integer),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("prev", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.UniqueConstraint("subject", "version", name="one_record_per_event"),
    )
    op.create_table(
        "requests",
        sa.Column("burst", sa.String(32), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("at", sa.String(40), nullable=False),
    )
    db = op.get_bind()
    _chain_the_journal(db, audit)
    _rewrite_bursts(db)
    op.drop_table("journal")
    db.execute(sa.text("delete from facts where name = 'schema'"))


def _chain_the_journal(db: sa.Connection, audit: sa.Table) -> None:
    """Every old entry as a record."""
    head = NOTHING
    for row in db.execute(sa.text("select * from journal order by seq")).all():
        detail = {"stage": row.stage, "cause": row.detail, "version": row.version}
        at = datetime.fromisoformat(row.at)
        record = AuditRecord(0, at, DAEMON, f"burst.{row.event}", row.burst, detail)
        record = chained(head, record)
        db.execute(
            audit.insert().values(
                seq=record.seq,
                at=record.at.isoformat(),
                actor=record.actor,
                action=record.action,
                subject=record.subject,
                version=row.version,
                detail=canonical(detail),
                prev=record.prev,
                digest=record.digest,
            )
        )
        head = AuditHead(record.seq, record.digest)


def _rewrite_bursts(db: sa.Connection) -> None:
    for row in db.execute(sa.text("select id, body from bursts")).all():
        body = json.loads(row.body)
        for name in ("claim", "remote"):
            if body.get(name) is not None:
                body[name]["since"] = {"machine": "", "seconds": 0.0}
        if body["stage"] == "quarantined":
            body["quarantined_at"] = _stage_before(db, row.id)
        db.execute(
            sa.text("update bursts set body = :body where id = :id"),
            {"id": row.id, "body": json.dumps(body)},
        )


def _stage_before(db: sa.Connection, burst: str) -> str:
    """Where it was when a human had to look: an operator may let it go on there now."""
    asked = "select stage from journal where burst = :id and stage != 'quarantined' order by seq"
    return str(db.execute(sa.text(asked), {"id": burst}).scalars().all()[-1])
