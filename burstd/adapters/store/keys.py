"""Keys of what lies in buckets, wrapped."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from burstd.adapters.store import chain
from burstd.adapters.store import schema as t
from burstd.adapters.store.database import Database
from burstd.domain.audit import AuditRecord
from burstd.domain.keys import WrappedKey

SHREDDED = "shredded"  #: the action of a certificate's record


class Keys:
    """One of a bucket and a scope lives at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> tuple[WrappedKey, ...]:
        """The living ones, and destroyed ones whose objects may be there, or come back."""
        rows = self._database.read(select(t.keys).order_by(t.keys.c.made_at, t.keys.c.place))
        return tuple(map(_key, rows))

    def keep(self, db: Connection, fresh: WrappedKey) -> WrappedKey:
        """This one, unless one of its bucket and scope lives."""
        same = (t.keys.c.bucket == fresh.bucket) & (t.keys.c.scope == fresh.scope)
        row = db.execute(select(t.keys).where(same, t.keys.c.wrapped.is_not(None))).first()
        if row is not None:
            return _key(row)
        values: dict[str, str | None] = {
            "place": fresh.place,
            "bucket": fresh.bucket,
            "scope": fresh.scope,
        }
        values |= {"wrapped": fresh.wrapped, "made_at": fresh.made_at.isoformat()}
        db.execute(insert(t.keys).values(**values, by="", why=""))
        return fresh

    def destroy(self, db: Connection, place: str, by: str, why: str, at: datetime) -> None:
        """It can't be read any more. (SQLite writes zeros over it: its engine is told to.)"""
        living = (t.keys.c.place == place) & t.keys.c.wrapped.is_not(None)
        row = db.execute(select(t.keys).where(living)).first()
        if row is None:
            return
        gone = {"wrapped": None, "destroyed_at": at.isoformat(), "by": by, "why": why}
        db.execute(update(t.keys).where(living).values(**gone))
        detail = {"place": place, "bucket": row.bucket, "scope": row.scope, "why": why}
        chain.add(db, AuditRecord(0, at, by, "key.destroyed", subject_of(row.scope), detail))

    def emptied(
        self, db: Connection, key: WrappedKey, detail: dict[str, Any], at: datetime
    ) -> None:
        """Nothing of it is there any more: the certificate."""
        gone = t.keys.c.wrapped.is_(None) & t.keys.c.emptied_at.is_(None)
        mine = (t.keys.c.place == key.place) & gone
        if db.execute(update(t.keys).where(mine).values(emptied_at=at.isoformat())).rowcount:
            chain.add(db, AuditRecord(0, at, key.by, SHREDDED, subject_of(key.scope), detail))

    def forget(self, db: Connection, place: str) -> None:
        """No address is good any more that an object of it could come back by."""
        emptied = (t.keys.c.place == place) & t.keys.c.emptied_at.is_not(None)
        db.execute(delete(t.keys).where(emptied))


def subject_of(scope: str) -> str:
    """A burst's id, so that its records are found together."""
    kind, _, name = scope.partition(":")
    return name if kind == "burst" else scope[:64]


def _key(row: Row[Any]) -> WrappedKey:
    return WrappedKey(
        place=row.place,
        bucket=row.bucket,
        scope=row.scope,
        wrapped=row.wrapped,
        made_at=datetime.fromisoformat(row.made_at),
        destroyed_at=_moment(row.destroyed_at),
        emptied_at=_moment(row.emptied_at),
        by=row.by,
        why=row.why,
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
