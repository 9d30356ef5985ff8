"""The ledger's database: one writer at a time, its errors as the port knows them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, Row
from sqlalchemy.exc import DBAPIError, IntegrityError

from burstd.ports.errors import NoRoom, Unreachable

#: Proves at the beginning of a writing transaction that we may write, or does not return.
Guard = Callable[[Connection], None]
#: SQLSTATE of PostgreSQL, errcodes-appendix: disk_full; the words of SQLite.
_FULL = ("53100", "disk is full", "disk I/O")


class Database:
    """Thread-safe. Writes are serialised here, so SQLite never has two writers; with a ``guard``
    they are serialised over all daemons."""

    def __init__(self, engine: Engine, guard: Guard | None = None) -> None:
        self._engine, self._guard = engine, guard
        self._lock = threading.RLock()

    def read(self, asked: Any) -> list[Row[Any]]:
        """All rows of a question."""
        with self._translated(), self._lock, self._engine.connect() as db:
            return list(db.execute(asked))

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction; durable when the block is left."""
        with self._translated(), self._lock, self._engine.begin() as db:
            if db.dialect.name == "sqlite":  # its driver begins at the first change, not before
                db.exec_driver_sql("BEGIN IMMEDIATE")
            if self._guard is not None:
                self._guard(db)
            yield db

    def scrub(self) -> None:
        """What was overwritten is in no log of SQLite's either."""
        with self._translated(), self._lock, self._engine.connect() as db:
            if db.dialect.name == "sqlite":
                db.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as error:
            what = f"{getattr(error.orig, 'sqlstate', '')} {error.orig}"
            if any(word in what for word in _FULL):
                raise NoRoom(f"the ledger has no room: {error.orig}") from error
            raise Unreachable(f"the ledger: {error.orig}") from error
