"""Alembic's entry: it works on the connection that ``store.migrate`` gives it."""

from __future__ import annotations

from alembic import context

from burstd.adapters.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
context.run_migrations()
