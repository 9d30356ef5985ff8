"""What an operator approves of results has a size; a yes without one is asked for again."""

from __future__ import annotations

from alembic import op

revision = "5"
down_revision = "4"


def upgrade() -> None:
    """Rows of a kind that nobody reads any more."""
    op.execute("delete from requests where kind = 'pay'")
