"""Who may write a PostgreSQL ledger: one daemon, and never one that slept through its lease."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from burstd.adapters.store.lease import FENCE, Deposed, Lease
from burstd.adapters.store.sql import SqlStore
from burstd.domain.requests import Request, RequestKind
from burstd.ports.errors import Unreachable
from burstd.testing.bursts import identity, plan
from burstd.testing.clock import SteppedClock
from lab.host import Host

pytestmark = pytest.mark.lab

TIME = timedelta(seconds=30)


@pytest.fixture
def daemon(postgres: Engine) -> Callable[[str], Lease]:
    """Another daemon of this ledger, with a machine of its own."""
    return lambda name: Lease(postgres, name, SteppedClock(), TIME)


def lapse(postgres: Engine) -> None:
    """The database's clock passes the end of whatever lease there is."""
    with postgres.begin() as db:
        db.execute(text("update lease set expires_at = clock_timestamp() - interval '1 second'"))


def test_one_of_two_holds_the_lease_until_it_lapses(
    daemon: Callable[[str], Lease], postgres: Engine
) -> None:
    one, two = daemon("one"), daemon("two")

    assert [True, False] == [one.acquire(), two.acquire()]
    one.renew()
    assert not two.acquire()
    assert ("one", 1) == (two.holder().name, two.holder().epoch)
    lapse(postgres)
    assert two.acquire()
    assert (2, "two") == (two.epoch, one.holder().name)


def test_who_gives_the_lease_back_is_followed_at_once(daemon: Callable[[str], Lease]) -> None:
    one, two = daemon("one"), daemon("two")
    assert one.acquire()
    one.release()

    assert two.acquire()
    one.release()  # it is not ours any more
    assert "two" == two.holder().name
    two.renew()


def test_a_leader_that_wakes_up_after_another_took_over_writes_nothing_and_gets_no_permit(
    daemon: Callable[[str], Lease], postgres: Engine
) -> None:
    one, two = daemon("one"), daemon("two")
    assert one.acquire()
    clock = SteppedClock()
    old = SqlStore(postgres, "onprem", clock, one.check)
    old.create()
    (burst,) = old.record(plan(identity(1)))
    lapse(postgres)
    assert two.acquire()
    new = SqlStore(postgres, "onprem", clock, two.check)

    for write in (
        lambda: old.permit(burst.id, 1),
        lambda: old.record(plan(identity(2))),
        lambda: old.request(burst.id, Request(RequestKind.RETURN, "root")),
        lambda: old.tell("effect.start", burst.id, {}),
        lambda: old.freeze("root", ""),
        one.renew,
    ):
        with pytest.raises(Deposed, match="epoch 2 has taken over, we are 1"):
            write()
    assert (burst,) == new.open_bursts()
    assert new.request(burst.id, Request(RequestKind.RETURN, "root"))  # so no permit is there
    assert "" == new.ledger().frozen
    assert not [r for r in new.audit() if r.action in {"permit", "effect.start"}]


def test_a_lease_that_was_not_renewed_in_time_fences_its_holder_without_the_database(
    postgres: Engine,
) -> None:
    clock = SteppedClock()
    lease = Lease(postgres, "one", clock, TIME)
    assert lease.acquire()
    clock.forward(seconds=(TIME - FENCE).total_seconds() - 1)
    lease.require()
    lease.renew()
    clock.forward(seconds=(TIME - FENCE).total_seconds())
    with pytest.raises(Deposed, match="could not be renewed in time"):
        lease.require()


def test_a_wall_clock_that_is_set_neither_lengthens_nor_ends_a_lease(postgres: Engine) -> None:
    clock = SteppedClock()
    lease = Lease(postgres, "one", clock, TIME)
    assert lease.acquire()
    clock.at += timedelta(hours=1)
    lease.require()
    clock.at -= timedelta(hours=2)
    clock.up = replace(clock.up, seconds=clock.up.seconds + 26)
    with pytest.raises(Deposed):
        lease.require()


def test_a_database_that_restarts_is_away_and_then_goes_on(
    database_host: Host, daemon: Callable[[str], Lease], postgres: Engine
) -> None:
    lease = daemon("one")
    assert lease.acquire()
    store = SqlStore(postgres, "onprem", SteppedClock(), lease.check)
    store.create()
    (burst,) = store.record(plan(identity(1)))
    database_host.stop_service("postgres", 9)
    try:
        with pytest.raises(Unreachable):
            store.permit(burst.id, 1)
        with pytest.raises(Unreachable):
            lease.renew()
        with pytest.raises(Unreachable):
            store.open_bursts()
    finally:
        database_host.start_service("postgres")
    lease.renew()
    assert (burst,) == store.open_bursts()
    assert store.permit(burst.id, 1)


def test_a_frozen_transaction_of_the_leader_does_not_keep_a_standby_out(
    daemon: Callable[[str], Lease], postgres: Engine
) -> None:
    """The server itself ends it: idle_in_transaction_session_timeout."""
    one, two = daemon("one"), daemon("two")
    assert one.acquire()
    with contextlib.closing(postgres.raw_connection()) as frozen:
        frozen.cursor().execute("select 1 from lease for update")
        lapse(postgres)
        assert two.acquire()
        with pytest.raises(Exception, match="terminating connection"):
            frozen.cursor().execute("update lease set holder = 'one'")
        frozen.invalidate()
    assert "two" == two.holder().name
