"""Bring a ledger to this burstd's schema, in one transaction, or refuse it untouched."""

from __future__ import annotations

from functools import cache
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
    config = _config()
    config.attributes["connection"] = db
    stamped, known = MigrationContext.configure(db).get_current_revision(), _known()
    if stamped == known[0]:
        return
    found = versions(db)[0]
    if found is not None and found not in known:
        raise Unreachable(
            f"the ledger has schema {found}, this burstd knows up to {known[0]}: "
            "start the burstd that wrote it, or a later one"
        )
    if found is not None and stamped is None:
        command.stamp(config, found)
    command.upgrade(config, "head")


def versions(db: Connection) -> tuple[str | None, tuple[str, ...]]:
    """The ledger's schema, ``None`` where there is none yet; and all that this burstd can read,
    the present one first. Changes nothing."""
    stamped = MigrationContext.configure(db).get_current_revision()
    return _found(db) if stamped is None else stamped, _known()


@cache
def _known() -> tuple[str, ...]:
    """All schemas that this burstd can read, the present one first."""
    scripts = ScriptDirectory.from_config(_config())
    return tuple(one.revision for one in scripts.walk_revisions())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config


def _found(db: Connection) -> str | None:
    """The schema of a ledger without a stamp; ``None`` where there is no ledger yet."""
    if not inspect(db).has_table("facts"):
        return None
    # burstd 0.1 kept it there
    return db.execute(text("select value from facts where name = 'schema'")).scalar()
