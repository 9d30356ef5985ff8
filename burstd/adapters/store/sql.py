"""Port ``BurstStore`` on SQLAlchemy Core: one writer, one transaction per call."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from burstd.adapters.store import chain, facts, sums
from burstd.adapters.store import schema as t
from burstd.adapters.store.database import Database, Guard
from burstd.adapters.store.keys import SHREDDED, Keys, subject_of
from burstd.adapters.store.migrate import migrate
from burstd.adapters.store.rows import BURST, decision, first_facts, may_ask, row_of
from burstd.adapters.store.sqlite import engine_on
from burstd.adapters.store.trips import PastTrips, user_of
from burstd.adapters.store.verdicts import Verdicts
from burstd.adapters.store.words import Reports, Requests
from burstd.domain.audit import DAEMON, AuditHead, AuditRecord
from burstd.domain.burst import ZERO, Burst, BurstId, Stage
from burstd.domain.events import Event, OperatorEvent
from burstd.domain.jobs import JobKey, JobRecord
from burstd.domain.keys import WrappedKey
from burstd.domain.plan import Plan
from burstd.domain.policy import Ledger
from burstd.domain.reasons import Step
from burstd.domain.requests import ALL, Request, RequestKind
from burstd.domain.targets import TargetName
from burstd.ports.clock import Clock
from burstd.ports.store import NO_REASONS, JournalEntry, Reasons, Report, StaleBurst, Verdict

PLANNED = "Planned"  #: the event that a burst begins with
NOTHING_MORE: Mapping[str, object] = MappingProxyType({})
#: No period of a budget is longer; and what targets did of late is not forgotten as one begins.
LATELY = timedelta(days=31)
#: Not open, and yet their jobs are not free.
_BINDING = (Stage.QUARANTINED.value, Stage.ABANDONED.value)


def open_store(path: Path, cluster: str, clock: Clock) -> SqlStore:
    """Open or create the SQLite ledger at ``path``. Raises ``Unreachable`` if it can't be used."""
    store = SqlStore(engine_on(path), cluster, clock)
    store.create()
    return store


class SqlStore:
    """Thread-safe."""

    def __init__(
        self, engine: Engine, cluster: str, clock: Clock, guard: Guard | None = None
    ) -> None:
        self._database = Database(engine, guard)
        self._read, self._writing = self._database.read, self._database.writing
        self._clock = clock
        self._verdicts = Verdicts(self._database)
        self._reports = Reports(self._database)
        self._requests = Requests(self._database)
        self._trips = PastTrips(self._database, cluster)
        self._audit = chain.Audit(self._database)
        self._keys = Keys(self._database)

    def create(self) -> None:
        """Make the tables or upgrade them; refuse a ledger of a later burstd."""
        with self._writing() as db:
            migrate(db)

    def close(self) -> None:
        """Give the file back."""
        self._database.close()

    # --- reading

    def open_bursts(self) -> tuple[Burst, ...]:
        asked = select(t.bursts.c.body).where(t.bursts.c.open).order_by(t.bursts.c.created_at)
        return tuple(BURST.validate_json(row.body) for row in self._read(asked))

    def quarantined(self) -> tuple[Burst, ...]:
        stage = t.bursts.c.stage == Stage.QUARANTINED.value
        asked = select(t.bursts.c.body).where(stage).order_by(t.bursts.c.created_at)
        return tuple(BURST.validate_json(row.body) for row in self._read(asked))

    def remaining(self) -> tuple[Burst, ...]:
        asked = select(t.bursts.c.body).where(t.bursts.c.remains).order_by(t.bursts.c.created_at)
        return tuple(BURST.validate_json(row.body) for row in self._read(asked))

    def bursts(self, job: JobKey | None = None) -> tuple[Burst, ...]:
        asked = select(t.bursts.c.body).order_by(t.bursts.c.created_at.desc())
        if job is not None:
            asked = asked.where(t.bursts.c.job_id == job.job_id)
            if job.array_task is not None:
                asked = asked.where(t.bursts.c.array_task == job.array_task)
        return tuple(BURST.validate_json(row.body) for row in self._read(asked))

    def burst(self, id: BurstId) -> Burst | None:
        rows = self._read(select(t.bursts.c.body).where(t.bursts.c.id == id))
        return BURST.validate_json(rows[0].body) if rows else None

    def ledger(self) -> Ledger:
        now = self._clock.now()
        month, since = now.strftime("%Y-%m"), (now - LATELY).isoformat()
        # A quarantined burst binds its job and its money until a human has looked, for months; an
        # abandoned one binds its job for ever.
        bound = t.bursts.c.open | t.bursts.c.stage.in_(_BINDING)
        lately = (t.bursts.c.month == month) | (t.bursts.c.created_at >= since)
        lately |= t.bursts.c.fetched_at >= since
        rows = self._read(select(t.bursts).where(lately | bound))
        values = [BURST.validate_json(row.body) for row in rows]
        trips = self._trips.at(now)
        known = {row.name: row.value for row in self._read(select(t.facts))}
        return replace(
            sums.ledger_of(values, month),
            surging=facts.names(known.get("surging")),
            frozen=known.get("frozen", ""),
            closed=known.get("closed") == "1",
            suspect=chain.suspicion(known.get("suspect", "")),
            returned=trips.returned,
            refused=trips.refused - sums.abandoned(values).keys(),
            owners={**trips.owners, **sums.abandoned(values)},
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

    def reasons(self, burst: BurstId) -> tuple[Step, ...]:
        action = f"{chain.EVENT}{PLANNED}"
        asked = select(t.audit).where(t.audit.c.subject == burst, t.audit.c.action == action)
        found = map(chain.read, self._read(asked))
        return tuple(step for record in found for step in chain.steps(record))

    def audit(self, after: int = 0, most: int = 1000) -> tuple[AuditRecord, ...]:
        return self._audit.records(after, most)

    def verdict(self, job: JobKey) -> Verdict | None:
        return self._verdicts.last(job)

    def reports(self, burst: BurstId, *kinds: str) -> Mapping[str, Report]:
        return self._reports.of(burst, kinds)

    def report_text(self, burst: BurstId, kind: str) -> str | None:
        return self._reports.text(burst, kind)

    def said(self, burst: BurstId) -> frozenset[str]:
        return self._reports.kinds(burst)

    def requests(self) -> Mapping[BurstId, frozenset[Request]]:
        return self._requests.open()

    def staged(self) -> dict[tuple[str, str], int]:
        return self._reports.staged()

    def shreds(self, scope: str) -> tuple[AuditRecord, ...]:
        mine = (t.audit.c.subject == subject_of(scope)) & (t.audit.c.action == SHREDDED)
        return tuple(
            map(chain.read, self._read(select(t.audit).where(mine).order_by(t.audit.c.seq)))
        )

    def seal_keys(self) -> tuple[WrappedKey, ...]:
        return self._keys.all()

    # --- writing

    def record(self, plan: Plan, reasons: Reasons = NO_REASONS) -> tuple[Burst, ...]:
        now = self._clock.now()
        made = []
        with self._writing() as db:
            said = self._verdicts.note(db, plan, now)
            surged = facts.names(facts.get(db, "surging"))
            facts.put_names(db, "surging", plan.surging)
            frozen = facts.get(db, "frozen")
            for p in () if frozen else plan.placements:
                burst = Burst(
                    id=BurstId(self._clock.fresh_id()),
                    identity=p.identity,
                    target=p.target,
                    application=p.application,
                    cores=p.cores,
                    reserved=p.reserved,
                    account=p.account,
                    currency=plan.currency,
                    likely=p.likely,
                    created_at=now,
                    stage_since=now,
                    licences=p.licences,
                    most_output=p.most_output,
                    gpus=p.gpus,
                    checkpoint=p.checkpoint,
                )
                if self._insert(db, burst, PLANNED, chain.rules(reasons.get(burst.job, ()))):
                    made.append(burst)
            if made or surged != plan.surging:
                chain.add(db, AuditRecord(0, now, DAEMON, "decision", "", decision(plan, made)))
        self._verdicts.remember(said)
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
        return next(b for b in self.bursts(record.identity.key) if not b.stage.at_rest)

    def note(self, plan: Plan) -> None:
        with self._writing() as db:
            said = self._verdicts.note(db, plan, self._clock.now())
        self._verdicts.remember(said)

    def freeze(self, by: str, why: str, *, close: bool = False) -> None:
        now = self._clock.now()
        words = f"{by} since {now.isoformat(timespec='seconds')}" + (f": {why}" if why else "")
        with self._writing() as db:
            facts.put(db, "frozen", words)
            if close:
                facts.put(db, "closed", "1")
            detail = {"why": why, "close": close}
            chain.add(db, AuditRecord(0, now, by, "operator.freeze", "", detail))

    def thaw(self, by: str) -> None:
        with self._writing() as db:
            if facts.get(db, "frozen") is None:
                return
            facts.drop(db, "frozen", "closed")
            chain.add(db, AuditRecord(0, self._clock.now(), by, "operator.thaw", ""))

    def head(self) -> AuditHead:
        return self._audit.head()

    def vouches(self, head: AuditHead) -> bool:
        return self._audit.vouches(head)

    def suspect(self, witness: str, head: AuditHead) -> None:
        with self._writing() as db:
            self._audit.suspect(db, witness, head, self._clock.now())

    def accept(self, by: str) -> None:
        with self._writing() as db:
            self._audit.accept(db, by, self._clock.now())

    def tell(self, action: str, burst: str, detail: Mapping[str, object]) -> None:
        with self._writing() as db:
            chain.add(db, AuditRecord(0, self._clock.now(), DAEMON, action, burst, detail))

    def append(
        self, before: Burst, event: Event, after: Burst, heard: Collection[RequestKind] = ALL
    ) -> Burst:
        now = self._clock.now()
        if after.stage is not before.stage:
            after = replace(after, stage_since=now)
        end_unheard = after.stage.final and RequestKind.CANCEL not in heard
        with self._writing() as db:
            if end_unheard and self._requests.asked(db, before.id, RequestKind.CANCEL):
                raise StaleBurst(before.id)
            done = db.execute(
                update(t.bursts)
                .where(t.bursts.c.id == before.id, t.bursts.c.version == before.version)
                .values(**row_of(after))
            )
            if done.rowcount != 1:
                raise StaleBurst(before.id)
            who = event.by if isinstance(event, OperatorEvent) else DAEMON
            self._journal(db, after, type(event).__name__, now, who)
        return after

    def request(self, burst: BurstId, request: Request) -> bool:
        with self._writing() as db:
            body = db.execute(select(t.bursts.c.body).where(t.bursts.c.id == burst)).scalar()
            if body is None or not may_ask(db, BURST.validate_json(body), request.kind):
                return False
            now = self._clock.now()
            if self._requests.keep(db, burst, request, now):
                who = "policy" if request.by == DAEMON else "operator"
                action = f"{who}.{request.kind.value}"
                chain.add(db, AuditRecord(0, now, request.by, action, burst, {"why": request.why}))
        return True

    def permit(self, burst: BurstId, attempt: int) -> bool:
        now = self._clock.now()
        try:
            with self._writing() as db:
                if self._requests.asked(db, burst, RequestKind.RETURN):
                    return False
                row = {"burst": burst, "attempt": attempt, "at": now.isoformat()}
                db.execute(insert(t.permits).values(**row))
                chain.add(db, AuditRecord(0, now, DAEMON, "permit", burst, {"attempt": attempt}))
        except IntegrityError:
            return True  # given before
        return True

    def report(self, burst: BurstId, kind: str, body: Mapping[str, Any]) -> bool:
        with self._writing() as db:
            return self._reports.keep(db, burst, kind, body, self._clock.now())

    def keep_key(self, fresh: WrappedKey) -> WrappedKey:
        with self._writing() as db:
            return self._keys.keep(db, fresh)

    def destroy_key(self, place: str, by: str, why: str) -> None:
        with self._writing() as db:
            self._keys.destroy(db, place, by, why, self._clock.now())
        self._database.scrub()

    def shredded(self, key: WrappedKey, certificate: Mapping[str, object]) -> None:
        with self._writing() as db:
            self._keys.emptied(db, key, dict(certificate), self._clock.now())

    def forget_key(self, place: str) -> None:
        with self._writing() as db:
            self._keys.forget(db, place)

    # --- inside

    def _insert(
        self, db: Connection, burst: Burst, how: str, why: Mapping[str, object] = NOTHING_MORE
    ) -> bool:
        job = burst.job
        same = (t.bursts.c.job_id == job.job_id) & (t.bursts.c.array_task == job.array_task)
        if job.array_task is None:
            same = (t.bursts.c.job_id == job.job_id) & t.bursts.c.array_task.is_(None)
        # Who decided may not have heard yet that it came back; what goes home has no target.
        taken = t.bursts.c.open | t.bursts.c.returned if burst.target else t.bursts.c.open
        for row in db.execute(select(t.bursts.c.open, t.bursts.c.body).where(same, taken)):
            if row.open or user_of(row.body) == burst.identity.user:
                return False
        db.execute(insert(t.bursts).values(id=burst.id, **row_of(burst)))
        self._journal(db, burst, how, burst.created_at, more={**first_facts(burst), **why})
        return True

    def _journal(
        self,
        db: Connection,
        burst: Burst,
        event: str,
        at: datetime,
        who: str = DAEMON,
        more: Mapping[str, object] = NOTHING_MORE,
    ) -> None:
        detail: dict[str, object] = {"stage": burst.stage.value, "cause": burst.cause}
        detail |= {"version": burst.version, **more}
        record = AuditRecord(0, at, who, f"{chain.EVENT}{event}", burst.id, detail)
        chain.add(db, record, burst.version)
