"""Jobs that came back, or could not be taken a while ago: their numbers, and whose they were."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import Row, and_, or_, select

from burstd.adapters.store import schema as t
from burstd.adapters.store.database import Database
from burstd.adapters.store.rows import BURST
from burstd.domain.burst import Burst, Stage
from burstd.domain.jobs import JobKey

#: A job that could not be taken is tried again after so long, and after twice that each time: most
#: of what stands against it its user, or time, takes away; the rest never goes.
AGAIN_AFTER = timedelta(minutes=10)
DOUBLED = 12  #: times at most: a month
REMEMBERED = timedelta(days=30)


def user_of(body: str) -> str:
    """Whose burst it is."""
    return BURST.validate_json(body).identity.user


@dataclass(frozen=True)
class Trips:
    """``returned`` never leave again, ``refused`` not yet; ``owners``: of both. Where a number was
    given out again, the later job's."""

    returned: frozenset[JobKey]
    refused: frozenset[JobKey]
    owners: dict[JobKey, str]


@dataclass(frozen=True)
class _Trip:
    """What is asked of one again and again; nothing changes behind its end."""

    user: str
    over: datetime

    @classmethod
    def of(cls, burst: Burst) -> Self:
        return cls(burst.identity.user, burst.stage_since or burst.created_at)


@dataclass(frozen=True)
class _Refused:
    """So many times until the last one."""

    user: str
    count: int
    last: datetime

    @property
    def until(self) -> datetime:
        return self.last + AGAIN_AFTER * (1 << min(self.count - 1, DOUBLED))


class PastTrips:
    """Remembers users and times: they are in bodies only, those that came back stay for ever, and
    each cycle asks for all."""

    def __init__(self, database: Database, cluster: str) -> None:
        self._database, self._cluster = database, cluster
        self._trips: dict[str, _Trip] = {}

    def at(self, now: datetime) -> Trips:
        """As they are now."""
        owners: dict[JobKey, str] = {}
        returned: dict[JobKey, str] = {}
        refused: dict[JobKey, _Refused] = {}
        for row in self._rows(now):
            trip, key = self._trips.get(row.id), self._key(row)
            if trip is None:
                continue  # it ended between the two questions: the next one finds it
            owners[key] = trip.user
            if row.returned:
                returned[key] = trip.user
            else:
                was = refused.get(key)
                count = was.count if was and was.user == trip.user else 0
                refused[key] = _Refused(trip.user, count + 1, trip.over)
        back = frozenset(key for key, user in returned.items() if user == owners[key])
        later = (k for k, r in refused.items() if r.user == owners[k] and now < r.until)
        return Trips(back, frozenset(later) - back, owners)

    def _rows(self, now: datetime) -> list[Row[Any]]:
        c = t.bursts.c
        since = (now - REMEMBERED).isoformat()
        refused = and_(c.stage == Stage.RETURNED.value, c.target != "", c.created_at >= since)
        over = or_(c.returned, refused)
        asked = select(c.id, c.job_id, c.array_task, c.returned).where(over)
        rows = list(self._database.read(asked.order_by(c.created_at)))
        if any(row.id not in self._trips for row in rows):
            bodies = self._database.read(select(c.id, c.body).where(over))
            fresh = [row for row in bodies if row.id not in self._trips]
            self._trips |= {row.id: _Trip.of(BURST.validate_json(row.body)) for row in fresh}
        return rows

    def _key(self, row: Row[Any]) -> JobKey:
        return JobKey(self._cluster, row.job_id, row.array_task)
