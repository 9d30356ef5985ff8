"""The store's suite on SQLite: in memory, in a file, and what only a file can suffer."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine

from burstd.adapters.store.lease import Lease
from burstd.adapters.store.sql import SqlStore, open_store
from burstd.core.audit import verify
from burstd.core.barrier import Durability, durability
from burstd.domain import events as ev
from burstd.domain.burst import Fetch, Stage
from burstd.domain.requests import Request, RequestKind
from burstd.domain.targets import Money
from burstd.ports.errors import NoRoom, Unreachable
from burstd.ports.store import BurstStore
from burstd.testing.bursts import identity, move, plan
from burstd.testing.clock import SteppedClock
from burstd.testing.contracts.keys import a_key
from burstd.testing.contracts.store import StoreContract
from burstd.testing.simulators import memory, store_in


class TestSqliteInMemory(StoreContract):
    @pytest.fixture
    def open_store(self, clock: SteppedClock) -> Callable[[], BurstStore]:
        database = memory()
        return lambda: store_in(database, clock)


class TestSqliteFile(StoreContract):
    @pytest.fixture
    def open_store(self, clock: SteppedClock, tmp_path: Path) -> Iterator[Callable[[], BurstStore]]:
        with ExitStack() as stack:

            def opened() -> BurstStore:
                store = open_store(tmp_path / "ledger.db", "onprem", clock)
                stack.callback(store.close)
                return store

            yield opened


@pytest.mark.lab
class TestPostgres(StoreContract):
    @pytest.fixture
    def open_store(self, postgres: Engine, clock: SteppedClock) -> Callable[[], BurstStore]:
        """Writers of the one daemon that leads, from the moment on in which they are opened."""
        lease = Lease(postgres, "one", clock)

        def opened() -> BurstStore:
            lease.release()
            assert lease.acquire()
            store = SqlStore(postgres, "onprem", clock, lease.check)
            store.create()
            return store

        return opened


def test_what_was_written_is_there_after_the_file_was_closed(tmp_path: Path) -> None:
    clock = SteppedClock()
    store = open_store(tmp_path / "ledger.db", "onprem", clock)
    (burst,) = store.record(plan(identity(1)))
    store.permit(burst.id, 1)
    store.close()
    again = open_store(tmp_path / "ledger.db", "onprem", clock)

    assert (burst,) == again.open_bursts()
    assert not again.request(burst.id, Request(RequestKind.RETURN, "root"))
    again.close()


V1 = Path(__file__).parents[1] / "data" / "ledger-v1.sql"


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    """A ledger as burstd 0.1 wrote it: bursts at several stages, one in quarantine."""
    path = tmp_path / "ledger.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(V1.read_text())
    return path


def test_a_ledger_of_the_first_release_goes_on(v1: Path) -> None:
    with contextlib.closing(sqlite3.connect(v1)) as db:
        old = db.execute("select burst, event, stage, detail from journal order by seq").fetchall()
    store = open_store(v1, "onprem", SteppedClock())
    told = [(b.id, e.event, e.stage, e.detail) for b in store.bursts() for e in store.journal(b.id)]

    assert sorted(old) == sorted(told)
    assert len(old) == verify(store.audit()).seq
    by_stage = {b.stage.value: b for b in store.bursts()}
    assert {"submitted", "staging_in", "quarantined", "returned", "settled", "returning"} == set(
        by_stage
    )
    submitted = by_stage["submitted"]
    assert submitted.claim is not None
    untimed = durability(submitted.claim, submitted.claim.boot, SteppedClock().uptime())
    assert Durability.UNTIMED is untimed  # its barrier starts anew
    assert "0.03" == str(store.ledger().spent)
    move(store, submitted, ev.Refused("no"))
    (held,) = store.quarantined()
    assert "staging_in" == move(store, held, ev.Released("root", "")).stage.value
    store.close()
    again = open_store(v1, "onprem", SteppedClock())
    assert len(old) + 2 == verify(again.audit()).seq
    again.close()


@pytest.mark.parametrize(("version", "keys"), [(2, 0), (3, 1), (4, 1)])
def test_a_ledger_of_an_earlier_burstd_goes_on(tmp_path: Path, version: int, keys: int) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db")) as db:
        db.executescript(V1.with_name(f"ledger-v{version}.sql").read_text())
        old = db.execute("select count(*) from audit").fetchone()[0]
    store = open_store(tmp_path / "ledger.db", "onprem", SteppedClock())
    assert (6, old, keys) == (
        len(store.bursts()),
        verify(store.audit()).seq,
        len(store.seal_keys()),
    )
    assert a_key(1) == store.keep_key(a_key(1))
    assert () == store.remaining()
    assert {} == store.requests()  # of version 4: a yes to results of any size
    (burst,) = [burst for burst in store.bursts() if burst.stage is Stage.SETTLED]
    fetch = Fetch(SteppedClock().now(), "alice", 1, 1, Money(Decimal(2)))
    spent = store.ledger().spent
    move(store, burst, ev.Fetched(fetch, SteppedClock().now()))
    assert spent + 2 == store.ledger().spent
    store.close()


def test_of_a_destroyed_key_nothing_stays_in_the_file(tmp_path: Path) -> None:
    store = open_store(tmp_path / "ledger.db", "onprem", SteppedClock())
    pieces = [f"{number:016x}".encode() for number in range(10**12, 10**12 + 30)]
    store.keep_key(replace(a_key(1), wrapped=b"".join(pieces).decode()))

    def there() -> int:
        files = [tmp_path / name for name in ("ledger.db", "ledger.db-wal", "ledger.db-journal")]
        content = b"".join(file.read_bytes() for file in files if file.exists())
        return sum(piece in content for piece in pieces)

    assert 30 == there()
    store.destroy_key(a_key(1).place, "root", "")
    assert 0 == there()
    store.close()


def test_a_ledger_of_a_later_burstd_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    open_store(path, "onprem", SteppedClock()).close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("update alembic_version set version_num = '99'")
        db.commit()
    before = path.read_bytes()
    with pytest.raises(Unreachable, match="schema 99"):
        open_store(path, "onprem", SteppedClock())
    assert before == path.read_bytes()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_full_disk_writes_nothing_says_so_and_heals(small_disk: Path) -> None:
    store = open_store(small_disk / "ledger.db", "onprem", SteppedClock())
    (burst,) = store.record(plan(identity(1)))
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(512))
    with pytest.raises(NoRoom):
        store.record(plan(*(identity(n) for n in range(2, 400))))
    with pytest.raises(NoRoom):
        for _ in range(400):
            store.report(burst.id, "notes", {"text": "x" * 100_000})

    assert (burst,) == store.open_bursts()
    ballast.unlink()
    assert "returned" == move(store, burst, ev.Refused("no")).stage.value
    assert 1 == len(store.record(plan(identity(2))))
    store.close()
