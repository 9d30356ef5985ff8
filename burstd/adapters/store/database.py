"""The ledger's database: one writer at a time, its errors as the port knows them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, Row
from sqlalchemy.exc import OperationalError

from burstd.ports.errors import NoRoom, Unreachable


class Database:
    """Thread-safe. Writes are serialised here, so SQLite never has two writers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
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
            yield db

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            if "full" in str(error.orig) or "disk I/O" in str(error.orig):
                raise NoRoom(f"the ledger has no room: {error.orig}") from error
            raise Unreachable(f"the ledger: {error.orig}") from error
