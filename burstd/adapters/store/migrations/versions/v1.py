"""The first ledger.

Its tables are written out here as they were: the present ``schema`` has moved on.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    """Make the tables of burstd 0.1."""
    _bursts_and_their_journal()
    _what_was_said()


def _bursts_and_their_journal() -> None:
    bursts = op.create_table(
        "bursts",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("job_id", sa.Integer, nullable=False),
        sa.Column("array_task", sa.Integer),
        sa.Column("target", sa.String(64), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("returned", sa.Boolean, nullable=False),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index(
        "one_open_burst_per_job",
        "bursts",
        ["job_id", sa.text("coalesce(array_task, -1)")],
        unique=True,
        sqlite_where=bursts.c.open,
        postgresql_where=bursts.c.open,
    )
    op.create_table(
        "journal",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("burst", sa.String(32), nullable=False, index=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.UniqueConstraint("burst", "version"),
    )


def _what_was_said() -> None:
    op.create_table(
        "verdicts",
        sa.Column("job_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("array_task", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("user", sa.String(64), nullable=False),
        sa.Column("placed", sa.Boolean, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_table(
        "permits",
        sa.Column("burst", sa.String(32), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(40), nullable=False),
    )
    op.create_table(
        "reports",
        sa.Column("burst", sa.String(32), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "facts",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
