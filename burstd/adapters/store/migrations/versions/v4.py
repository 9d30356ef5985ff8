"""Results that remain at their target, and fetched behind their job's end."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "4"
down_revision = "3"


def upgrade() -> None:
    """Two more columns."""
    remains = sa.Column("remains", sa.Boolean, nullable=False, server_default=sa.text("false"))
    op.add_column("bursts", sa.Column("fetched_at", sa.String(40)))
    op.add_column("bursts", remains)
