"""The last decision on every job."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from burstd.adapters.store import schema as t
from burstd.adapters.store.database import Database
from burstd.domain.jobs import JobKey
from burstd.domain.plan import Plan
from burstd.ports.store import Verdict

#: (placed, text) by (job id, array task; -1: the job itself).
Said = dict[tuple[int, int], tuple[bool, str]]


class Verdicts:
    """Remembers what it wrote: most of a queue stays as it is from one decision to the next."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._said: Said = {}

    def note(self, db: Connection, plan: Plan, now: datetime) -> Said:
        """Write those that differ from the last ones. Give what is returned to ``remember`` once
        they are committed: what was not committed was not said."""
        said: Said = {}
        for key, user, placed, text in _verdicts(plan):
            place = (key.job_id, -1 if key.array_task is None else key.array_task)
            said[place] = (placed, text)
            if self._said.get(place) == said[place]:
                continue
            v = t.verdicts.c
            db.execute(delete(t.verdicts).where(v.job_id == place[0], v.array_task == place[1]))
            db.execute(
                insert(t.verdicts).values(
                    job_id=place[0],
                    array_task=place[1],
                    at=now.isoformat(),
                    user=user,
                    placed=placed,
                    text=text,
                )
            )
        return said

    def remember(self, said: Said) -> None:
        """They are in the ledger. Jobs that are not in the plan any more are forgotten."""
        self._said = said

    def last(self, job: JobKey) -> Verdict | None:
        """The last one on this job, or on one of the array's tasks."""
        asked = select(t.verdicts).where(t.verdicts.c.job_id == job.job_id)
        rows = {row.array_task: row for row in self._database.read(asked)}
        wanted = -1 if job.array_task is None else job.array_task
        row = rows.get(wanted) or (next(iter(rows.values()), None) if wanted == -1 else None)
        if row is None:
            return None
        at = datetime.fromisoformat(row.at)
        return Verdict(at, job, row.user, row.placed, row.text)


def _verdicts(plan: Plan) -> list[tuple[JobKey, str, bool, str]]:
    placed = [
        (p.identity.key, p.identity.user, True, f"it goes to {p.target} for at most {p.reserved}")
        for p in plan.placements
    ]
    stays = [(key, d.identity.user, False, d.text) for d in plan.declined for key in d.elements]
    return placed + stays
