"""Bring a ledger to this burstd's schema, in one transaction, or refuse it untouched."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from burstd.ports.errors import Unreachable

_SCRIPTS = Path(__file__).parent / "migrations"


def migrate(db: Connection) -> None:
    """Make or upgrade the tables. Raises ``Unreachable`` for a ledger of a later burstd."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = db
    found = _found(db)
    known = {one.revision for one in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise Unreachable(
            f"the ledger has schema {found}, this burstd knows up to {max(known)}: "
            "start the burstd that wrote it, or a later one"
        )
    if found is not None and MigrationContext.configure(db).get_current_revision() is None:
        command.stamp(config, found)
    command.upgrade(config, "head")


def _found(db: Connection) -> str | None:
    """The ledger's schema; ``None`` where there is no ledger yet."""
    revision = MigrationContext.configure(db).get_current_revision()
    if revision is None and inspect(db).has_table("facts"):  # burstd 0.1 kept it there
        return db.execute(text("select value from facts where name = 'schema'")).scalar()
    return revision
