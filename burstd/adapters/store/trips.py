"""Jobs that came back: their numbers, and whose they were."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, select

from burstd.adapters.store import schema as t
from burstd.adapters.store.database import Database
from burstd.adapters.store.rows import BURST
from burstd.domain.jobs import JobKey


def user_of(body: str) -> str:
    """Whose burst it is."""
    return BURST.validate_json(body).identity.user


class Trips:
    """Remembers users: they are in bodies only, those that came back stay for ever, and each cycle
    asks for all."""

    def __init__(self, database: Database, cluster: str) -> None:
        self._database, self._cluster = database, cluster
        self._users: dict[str, str] = {}

    def returned(self) -> dict[JobKey, str]:
        """Their users; where a number was given out again, that of the later job."""
        c, back = t.bursts.c, t.bursts.c.returned
        rows = self._database.read(
            select(c.id, c.job_id, c.array_task).where(back).order_by(c.created_at)
        )
        if any(row.id not in self._users for row in rows):
            bodies = self._database.read(select(c.id, c.body).where(back))
            fresh = {row.id: row.body for row in bodies if row.id not in self._users}
            self._users |= {id: user_of(body) for id, body in fresh.items()}
        # One that came back between the two questions is found by the next.
        return {self._key(row): self._users[row.id] for row in rows if row.id in self._users}

    def _key(self, row: Row[Any]) -> JobKey:
        return JobKey(self._cluster, row.job_id, row.array_task)
