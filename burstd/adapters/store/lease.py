"""Which of several daemons may write one PostgreSQL ledger: a lease on the database's clock.

Each take-over raises the epoch. Every writing transaction locks the lease's row and finds its own
epoch there, or writes nothing; so a daemon that was frozen and wakes up after another has taken
over changes no row and gets no permit. It also fences itself: ``FENCE`` before its lease may end,
measured on its own uptime, it stops acting, whether or not it can still reach the database.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as insert_or_not
from sqlalchemy.exc import DBAPIError

from burstd.ports.clock import Clock
from burstd.ports.errors import Unreachable

TIME = timedelta(seconds=30)
RENEWED_EVERY = timedelta(seconds=10)
FENCE = timedelta(seconds=5)

_LEASE = Table(
    "lease",
    MetaData(),
    Column("id", Integer, primary_key=True, autoincrement=False),  # one row: 1
    Column("epoch", Integer, nullable=False),
    Column("holder", String(200), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
)
_ROW = _LEASE.c.id == 1


class Deposed(Exception):
    """Another daemon holds the ledger, or may hold it by now."""


def depose(why: str) -> NoReturn:
    """What is done where nobody has said otherwise."""
    raise Deposed(why)


@dataclass(frozen=True)
class Holder:
    """Who leads, for people."""

    name: str
    epoch: int


class Lease:
    """``deposed`` is called when the lease is lost; it does not return."""

    def __init__(
        self,
        engine: Engine,
        name: str,
        clock: Clock,
        time: timedelta = TIME,
        deposed: Callable[[str], NoReturn] = depose,
    ) -> None:
        self.engine, self._name, self._clock, self._time = engine, name[:200], clock, time
        self._deposed = deposed
        self._epoch: int | None = None
        self._until = 0.0  #: uptime in seconds

    @property
    def epoch(self) -> int | None:
        """Which take-over we are; ``None`` before it."""
        return self._epoch

    def acquire(self) -> bool:
        """Take the lease if nobody holds it. Raises ``Unreachable``."""
        asked_at = self._uptime()
        try:
            with self.engine.begin() as db:
                _LEASE.create(db, checkfirst=True)
                first = {"id": 1, "epoch": 0, "holder": "", "expires_at": func.to_timestamp(0)}
                db.execute(insert_or_not(_LEASE).values(**first).on_conflict_do_nothing())
                free = _LEASE.c.expires_at <= func.clock_timestamp()
                taken = db.execute(
                    update(_LEASE)
                    .where(_ROW, free)
                    .values(epoch=_LEASE.c.epoch + 1, holder=self._name, expires_at=self._end)
                    .returning(_LEASE.c.epoch)
                ).scalar()
        except DBAPIError as error:
            raise Unreachable(f"the ledger's database: {error.orig}") from error
        if taken is None:
            return False
        self._epoch = int(taken)
        self._until = asked_at + self._ours
        return True

    def renew(self) -> None:
        """Keep it for another while. Raises ``Unreachable``: try again, as long as it is valid."""
        asked_at = self._uptime()
        try:
            with self.engine.begin() as db:
                self.check(db)
                db.execute(update(_LEASE).where(_ROW).values(expires_at=self._end))
        except DBAPIError as error:
            raise Unreachable(f"the ledger's database: {error.orig}") from error
        self._until = asked_at + self._ours

    def release(self) -> None:
        """Let a standby take over at once."""
        try:
            with self.engine.begin() as db:
                mine = _LEASE.c.epoch == self._epoch
                db.execute(update(_LEASE).where(_ROW, mine).values(expires_at=func.to_timestamp(0)))
        except DBAPIError:
            return  # it ends by itself

    def check(self, db: Connection) -> None:
        """First thing in a writing transaction: nobody takes over until it ends."""
        found = db.execute(select(_LEASE.c.epoch).where(_ROW).with_for_update()).scalar()
        if found != self._epoch:
            self._deposed(f"epoch {found} has taken over, we are {self._epoch}")
        self.require()

    def require(self) -> None:
        """Before each effect."""
        if self._uptime() >= self._until:
            self._deposed(f"the lease of epoch {self._epoch} could not be renewed in time")

    def holder(self) -> Holder:
        """Who holds it, or held it last. Raises ``Unreachable``."""
        try:
            with self.engine.connect() as db:
                row = db.execute(select(_LEASE.c.holder, _LEASE.c.epoch).where(_ROW)).first()
        except DBAPIError as error:
            raise Unreachable(f"the ledger's database: {error.orig}") from error
        return Holder(row.holder, row.epoch) if row else Holder("", 0)

    @property
    def _end(self) -> object:
        return func.clock_timestamp() + self._time

    @property
    def _ours(self) -> float:
        return (self._time - FENCE).total_seconds()

    def _uptime(self) -> float:
        return self._clock.uptime().seconds
