"""Single values of a ledger."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from burstd.adapters.store import schema as t


def get(db: Connection, name: str) -> str | None:
    """``None`` where there is none."""
    found: str | None = db.execute(select(t.facts.c.value).where(t.facts.c.name == name)).scalar()
    return found


def put(db: Connection, name: str, value: str) -> None:
    """In place of what was there."""
    drop(db, name)
    db.execute(insert(t.facts).values(name=name, value=value))


def drop(db: Connection, *names: str) -> None:
    """Absent ones are fine."""
    db.execute(delete(t.facts).where(t.facts.c.name.in_(names)))
