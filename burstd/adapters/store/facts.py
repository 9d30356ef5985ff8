"""Single values of a ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlalchemy import Connection, delete, insert, select

from burstd.adapters.store import schema as t
from burstd.domain.policy import QUEUE

#: What ledgers held for "surging" when the whole queue was the only pressure.
_ONCE = {"0": frozenset[str](), "1": frozenset({QUEUE})}


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


def names(value: str | None) -> frozenset[str]:
    """A set of names, as ``put_names`` wrote it."""
    if not value:
        return frozenset()
    return _ONCE[value] if value in _ONCE else frozenset(json.loads(value))


def put_names(db: Connection, name: str, value: Iterable[str]) -> None:
    """In place of what was there."""
    put(db, name, json.dumps(sorted(value)))
