"""Keys of what passes through buckets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"


def upgrade() -> None:
    """One more table."""
    op.create_table(
        "keys",
        sa.Column("place", sa.String(32), primary_key=True),
        sa.Column("bucket", sa.String(64), nullable=False),
        sa.Column("scope", sa.String(200), nullable=False),
        sa.Column("wrapped", sa.Text),
        sa.Column("made_at", sa.String(40), nullable=False),
        sa.Column("destroyed_at", sa.String(40)),
        sa.Column("emptied_at", sa.String(40)),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
    )
    op.create_index(
        "one_living_key",
        "keys",
        ["bucket", "scope"],
        unique=True,
        sqlite_where=sa.text("wrapped is not null"),
        postgresql_where=sa.text("wrapped is not null"),
    )
