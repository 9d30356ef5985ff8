"""Port ``BurstStore`` on SQLAlchemy Core: one writer, one transaction per call.

SQLite runs with a rollback journal and synchronous=FULL: a committed row survives power loss,
and the write-ahead log's reset bug (SQLite before 3.51.3 and its backports) cannot bite.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    Connection,
    Engine,
    Row,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, OperationalError

from burstd.adapters.store import chain
from burstd.adapters.store import schema as t
from burstd.adapters.store.migrate import migrate
from burstd.domain.audit import DAEMON, AuditRecord
from burstd.domain.burst import ZERO, Burst, BurstId, Stage
from burstd.domain.events import Event
from burstd.domain.jobs import JobKey, JobRecord
from burstd.domain.plan import Plan
from burstd.domain.policy import Ledger
from burstd.domain.targets import Money, TargetName
from burstd.ports.clock import Clock
from burstd.ports.errors import NoRoom, Unreachable
from burstd.ports.store import JournalEntry, Report, StaleBurst, Verdict

_BURST = TypeAdapter(Burst)
_FACT = select(t.facts.c.value).where(t.facts.c.name == bindparam("name"))
#: Their jobs are free again; a quarantined one is not.
_LET_GO = frozenset({Stage.SETTLED, Stage.RETURNED})


def open_store(path: Path, cluster: str, clock: Clock) -> SqlStore:
    """Open or create the SQLite ledger at ``path``. Raises ``Unreachable`` if it can't be used."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def _pragmas(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    store = SqlStore(engine, cluster, clock)
    store.create()
    return store


class SqlStore:
    """Thread-safe; writes are serialised here, so SQLite never has two writers."""

    def __init__(self, engine: Engine, cluster: str, clock: Clock) -> None:
        self._engine = engine
        self._cluster = cluster
        self._clock = clock
        self._lock = threading.RLock()
        self._said: dict[tuple[int, int], tuple[bool, str]] = {}

    def create(self) -> None:
        """Make the tables or upgrade them; refuse a ledger of a later burstd."""
        with self._writing() as db:
            migrate(db)

    def close(self) -> None:
        """Give the file back."""
        self._engine.dispose()

    # --- reading

    def open_bursts(self) -> tuple[Burst, ...]:
        asked = select(t.bursts.c.body).where(t.bursts.c.open).order_by(t.bursts.c.created_at)
        return tuple(_BURST.validate_json(row.body) for row in self._read(asked))

    def bursts(self, job: JobKey | None = None) -> tuple[Burst, ...]:
        asked = select(t.bursts.c.body).order_by(t.bursts.c.created_at.desc())
        if job is not None:
            asked = asked.where(t.bursts.c.job_id == job.job_id)
            if job.array_task is not None:
                asked = asked.where(t.bursts.c.array_task == job.array_task)
        return tuple(_BURST.validate_json(row.body) for row in self._read(asked))

    def burst(self, id: BurstId) -> Burst | None:
        rows = self._read(select(t.bursts.c.body).where(t.bursts.c.id == id))
        return _BURST.validate_json(rows[0].body) if rows else None

    def ledger(self) -> Ledger:
        month = self._clock.now().strftime("%Y-%m")
        # A quarantined burst binds its job and its money until a human has looked, for months.
        bound = t.bursts.c.open | (t.bursts.c.stage == Stage.QUARANTINED.value)
        rows = self._read(select(t.bursts).where((t.bursts.c.month == month) | bound))
        values = [_BURST.validate_json(row.body) for row in rows]
        spent = sum((b.cost or ZERO for b in values if b.stage is Stage.SETTLED), Decimal(0))
        reserved = sum((b.reserved for b in values if not b.stage.final), Decimal(0))
        stuck = sum((b.reserved for b in values if b.stage is Stage.QUARANTINED), Decimal(0))
        back = self._read(select(t.bursts).where(t.bursts.c.returned))
        facts = {row.name: row.value for row in self._read(select(t.facts))}
        return Ledger(
            surging=facts.get("surging") == "1",
            frozen=facts.get("frozen", ""),
            spent=Money(spent),
            reserved=Money(reserved + stuck),
            open=frozenset(b.job for b in values if b.stage not in _LET_GO),
            returned=frozenset(self._key(row) for row in back),
        )

    def journal(self, burst: BurstId) -> tuple[JournalEntry, ...]:
        mine = (t.audit.c.subject == burst) & t.audit.c.action.startswith(chain.EVENT)
        found = map(chain.read, self._read(select(t.audit).where(mine).order_by(t.audit.c.seq)))
        return tuple(
            JournalEntry(
                r.at,
                burst,
                r.action.removeprefix(chain.EVENT),
                str(r.detail["stage"]),
                str(r.detail["cause"]),
            )
            for r in found
        )

    def audit(self, after: int = 0, most: int = 1000) -> tuple[AuditRecord, ...]:
        asked = select(t.audit).where(t.audit.c.seq > after).order_by(t.audit.c.seq).limit(most)
        return tuple(map(chain.read, self._read(asked)))

    def verdict(self, job: JobKey) -> Verdict | None:
        asked = select(t.verdicts).where(t.verdicts.c.job_id == job.job_id)
        rows = {row.array_task: row for row in self._read(asked)}
        wanted = -1 if job.array_task is None else job.array_task
        row = rows.get(wanted) or (next(iter(rows.values()), None) if wanted == -1 else None)
        if row is None:
            return None
        at = datetime.fromisoformat(row.at)
        return Verdict(at, job, row.user, row.placed, row.text)

    def reports(self, burst: BurstId) -> Mapping[str, Report]:
        rows = self._read(select(t.reports).where(t.reports.c.burst == burst))
        return {
            r.kind: Report(r.kind, datetime.fromisoformat(r.at), json.loads(r.body)) for r in rows
        }

    def said(self, burst: BurstId) -> frozenset[str]:
        asked = select(t.reports.c.kind).where(t.reports.c.burst == burst)
        return frozenset(row.kind for row in self._read(asked))

    def staged(self) -> dict[tuple[str, str], int]:
        names = {"staged_in": "in", "staged_out": "out"}
        asked = (
            select(t.bursts.c.target, t.reports.c.kind, func.sum(t.reports.c.bytes).label("total"))
            .join(t.bursts, t.bursts.c.id == t.reports.c.burst)
            .where(t.reports.c.kind.in_(names))
            .group_by(t.bursts.c.target, t.reports.c.kind)
        )
        return {(row.target, names[row.kind]): int(row.total or 0) for row in self._read(asked)}

    # --- writing

    def record(self, plan: Plan) -> tuple[Burst, ...]:
        now = self._clock.now()
        made = []
        with self._writing() as db:
            self._note(db, plan, now)
            _set(db, "surging", "1" if plan.surging else "0")
            frozen = db.execute(_FACT, {"name": "frozen"}).scalar()
            for p in () if frozen else plan.placements:
                burst = Burst(
                    id=BurstId(self._clock.fresh_id()),
                    identity=p.identity,
                    target=p.target,
                    application=p.application,
                    cores=p.cores,
                    reserved=p.reserved,
                    created_at=now,
                    stage_since=now,
                )
                if self._insert(db, burst, "Planned"):
                    made.append(burst)
        return tuple(made)

    def send_home(self, record: JobRecord, cause: str) -> Burst:
        now = self._clock.now()
        burst = Burst(
            id=BurstId(self._clock.fresh_id()),
            identity=record.identity,
            target=TargetName(""),
            application="",
            cores=0,
            reserved=ZERO,
            created_at=now,
            stage=Stage.RETURNING,
            stage_since=now,
            record=record,
            cause=cause,
        )
        with self._writing() as db:
            if self._insert(db, burst, "Declined"):
                return burst
        return next(b for b in self.bursts(record.identity.key) if not b.stage.final)

    def note(self, plan: Plan) -> None:
        with self._writing() as db:
            self._note(db, plan, self._clock.now())

    def freeze(self, by: str, why: str) -> None:
        now = self._clock.now()
        words = f"{by} since {now.isoformat(timespec='seconds')}" + (f": {why}" if why else "")
        with self._writing() as db:
            _set(db, "frozen", words)
            chain.add(db, AuditRecord(0, now, by, "operator.freeze", "", {"why": why}))

    def thaw(self, by: str) -> None:
        with self._writing() as db:
            if db.execute(_FACT, {"name": "frozen"}).scalar() is None:
                return
            db.execute(delete(t.facts).where(t.facts.c.name == "frozen"))
            chain.add(db, AuditRecord(0, self._clock.now(), by, "operator.thaw", ""))

    def append(self, before: Burst, event: Event, after: Burst) -> Burst:
        now = self._clock.now()
        if after.stage is not before.stage:
            after = replace(after, stage_since=now)
        with self._writing() as db:
            done = db.execute(
                update(t.bursts)
                .where(t.bursts.c.id == before.id, t.bursts.c.version == before.version)
                .values(**_row(after))
            )
            if done.rowcount != 1:
                raise StaleBurst(before.id)
            self._journal(db, after, type(event).__name__, now)
        return after

    def permit(self, burst: BurstId, attempt: int) -> bool:
        row: dict[str, Any] = {"burst": burst, "attempt": attempt}
        row["at"] = self._clock.now().isoformat()
        try:
            with self._writing() as db:
                db.execute(insert(t.permits).values(**row))
                what = {"attempt": attempt}
                now = datetime.fromisoformat(row["at"])
                chain.add(db, AuditRecord(0, now, DAEMON, "permit", burst, what))
        except IntegrityError:
            return False
        return True

    def report(self, burst: BurstId, kind: str, body: Mapping[str, Any]) -> None:
        at = self._clock.now().isoformat()
        with self._writing() as db:
            db.execute(
                delete(t.reports).where(t.reports.c.burst == burst, t.reports.c.kind == kind)
            )
            row: dict[str, Any] = {"burst": burst, "kind": kind, "at": at, "body": json.dumps(body)}
            row["bytes"] = _size(body.get("bytes"))
            db.execute(insert(t.reports).values(**row))

    # --- inside

    def _key(self, row: Row[Any]) -> JobKey:
        return JobKey(self._cluster, row.job_id, row.array_task)

    def _insert(self, db: Connection, burst: Burst, how: str) -> bool:
        job = burst.job
        same = (t.bursts.c.job_id == job.job_id) & (t.bursts.c.array_task == job.array_task)
        if job.array_task is None:
            same = (t.bursts.c.job_id == job.job_id) & t.bursts.c.array_task.is_(None)
        if db.execute(select(t.bursts.c.id).where(same, t.bursts.c.open)).first() is not None:
            return False
        db.execute(insert(t.bursts).values(id=burst.id, **_row(burst)))
        self._journal(db, burst, how, burst.created_at)
        return True

    def _journal(self, db: Connection, burst: Burst, event: str, at: datetime) -> None:
        detail = {"stage": burst.stage.value, "cause": burst.cause, "version": burst.version}
        chain.add(
            db, AuditRecord(0, at, DAEMON, f"{chain.EVENT}{event}", burst.id, detail), burst.version
        )

    def _note(self, db: Connection, plan: Plan, now: datetime) -> None:
        """Write the verdicts that differ from the last ones: most of a queue stays as it is."""
        news: list[tuple[JobKey, str, bool, str]] = [
            (
                p.identity.key,
                p.identity.user,
                True,
                f"it goes to {p.target} for at most {p.reserved}",
            )
            for p in plan.placements
        ]
        for d in plan.declined:
            news += [(key, d.identity.user, False, d.text) for key in d.elements]
        for key, user, placed, text in news:
            place = (key.job_id, -1 if key.array_task is None else key.array_task)
            if self._said.get(place) == (placed, text):
                continue
            v = t.verdicts
            db.execute(delete(v).where(v.c.job_id == place[0], v.c.array_task == place[1]))
            db.execute(
                insert(v).values(
                    job_id=place[0],
                    array_task=place[1],
                    at=now.isoformat(),
                    user=user,
                    placed=placed,
                    text=text,
                )
            )
            self._said[place] = (placed, text)

    def _read(self, asked: Any) -> list[Row[Any]]:
        with self._translated(), self._lock, self._engine.connect() as db:
            return list(db.execute(asked))

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._translated(), self._lock, self._engine.begin() as db:
            yield db

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            self._said.clear()  # what was not committed was not said
            if "full" in str(error.orig) or "disk I/O" in str(error.orig):
                raise NoRoom(f"the ledger has no room: {error.orig}") from error
            raise Unreachable(f"the ledger: {error.orig}") from error


def _set(db: Connection, name: str, value: str) -> None:
    db.execute(delete(t.facts).where(t.facts.c.name == name))
    db.execute(insert(t.facts).values(name=name, value=value))


def _size(said: object) -> int:
    """An agent's figure for dashboards, as far as it is one."""
    return min(said, 2**62) if isinstance(said, int) and said > 0 else 0


def _row(burst: Burst) -> dict[str, Any]:
    return {
        "job_id": burst.job.job_id,
        "array_task": burst.job.array_task,
        "target": burst.target,
        "stage": burst.stage.value,
        "open": not burst.stage.final,
        # A declined wish has no target: its job may burst from its home partition later.
        "returned": burst.stage is Stage.RETURNED and burst.target != "",
        "month": burst.created_at.strftime("%Y-%m"),
        "created_at": burst.created_at.isoformat(),
        "version": burst.version,
        "body": _BURST.dump_json(burst).decode(),
    }
