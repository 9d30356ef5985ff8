"""What every ``BurstStore`` knows of money: promised, spent, and what is fetched later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from burstd.core.lifecycle import advance
from burstd.domain import events as ev
from burstd.domain.burst import Fetch, Remains, Stage
from burstd.domain.targets import Money, Outcome
from burstd.ports.store import BurstStore
from burstd.testing.bursts import identity, money, move, plan, settled
from burstd.testing.clock import SteppedClock


class MoneyContract:
    """A part of ``StoreContract``, whose fixtures it takes."""

    def test_money_is_reserved_when_promised_and_spent_when_settled(
        self, store: BurstStore, clock: SteppedClock
    ) -> None:
        first, second = store.record(plan(identity(1), identity(2)))
        assert Decimal("0.20") == store.ledger().reserved
        settled(store, first, clock, "0.03")
        assert (Decimal("0.03"), Decimal("0.10")) == money(store)
        move(store, second, ev.Refused("no"))
        assert (Decimal("0.03"), Decimal(0)) == money(store)

    def test_money_of_another_month_does_not_count_but_what_is_open_does(
        self, store: BurstStore, clock: SteppedClock
    ) -> None:
        first, _ = store.record(plan(identity(1), identity(2)))
        settled(store, first, clock, "0.03")
        clock.forward(days=31)

        assert (Decimal(0), Decimal("0.10")) == money(store)

    def test_what_targets_did_is_not_forgotten_as_a_month_and_a_week_begin(
        self, open_store: Callable[[], BurstStore], clock: SteppedClock
    ) -> None:
        """On such a Monday a black hole was a target like any other, and no cool-down held."""
        monday = datetime(2030, 4, 1, tzinfo=UTC)
        clock.forward(seconds=(monday - timedelta(minutes=10) - clock.now()).total_seconds())
        store = open_store()
        (first,) = store.record(plan(identity(1)))
        failed = Outcome("exited", 1, elapsed=timedelta(seconds=3))
        ended = replace(first, stage=Stage.SETTLING, outcome=failed, stage_since=clock.now())
        event = ev.Settled(0.1, Money(Decimal("0.02")))
        store.append(first, event, advance(ended, event))
        clock.forward(minutes=20)

        ledger = store.ledger()
        assert (monday - timedelta(minutes=10)) == ledger.begun_at
        assert [True] == [end.failed for end in ledger.ends]
        assert (Decimal(0), Decimal(0)) == money(store)

    def test_what_remains_is_found_until_it_is_cleared_and_a_fetch_is_of_its_own_month(
        self, store: BurstStore, clock: SteppedClock
    ) -> None:
        first, second = store.record(plan(identity(1), identity(2)))
        settled(store, second, clock, "0.01")
        remains = Remains(clock.now() + timedelta(days=7), 2, 10**9)
        end = ev.Settled(0.6, Money(Decimal("0.03")), remains=remains)
        burst = store.append(first, end, advance(replace(first, stage=Stage.SETTLING), end))
        assert (burst,) == store.remaining()

        later = clock.now() + timedelta(days=31)
        fetch = Fetch(later, "alice", 1, 10**8, Money(Decimal("0.20")))
        burst = move(store, burst, ev.Fetched(fetch, later + timedelta(days=1)))
        assert (Decimal("0.04"), Decimal(0)) == money(store)
        assert (burst, (fetch,)) == (store.burst(burst.id), burst.fetches)
        cleared = move(store, burst, ev.Cleared())
        assert ((), (fetch,)) == (store.remaining(), cleared.fetches)
        for spent in (Decimal("0.20"), Decimal(0)):
            clock.forward(days=31)
            assert (spent, Decimal(0)) == money(store)
