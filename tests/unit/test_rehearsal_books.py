"""The rehearsal's ledger says what the daemon's would."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from burstd.adapters.store.sums import ledger_of
from burstd.core.decide import purse_of
from burstd.domain.budgets import Budget, Period, Term
from burstd.domain.burst import BurstId, Stage
from burstd.domain.plan import Placement
from burstd.domain.policy import Ledger
from burstd.domain.targets import Money, TargetName
from burstd.rehearsal.books import Books, Trip
from tests.unit.values import POLICY, burst, identity

BEGAN = datetime(2030, 1, 20, tzinfo=UTC)
BUDGETS = tuple(
    Budget(f"{period.value} {account}", Money(Decimal(99)), period, frozenset({account} - {""}))
    for period in Period
    for account in ("", "cfd")
)
#: (hours after the beginning, hours until it is over, tenths that it may cost, that it did cost)
TRIPS = st.lists(
    st.tuples(
        st.integers(0, 900), st.integers(0, 300), st.integers(1, 90), st.integers(0, 90),
        st.sampled_from(["cfd", "crash"]), st.sampled_from(["eu", "us"]),
    ),
    max_size=25,
)  # fmt: skip


def trip(number: int, row: tuple[int, int, int, int, str, str]) -> tuple[Trip, datetime]:
    at, hours, worst, cost, account, target = row
    began = BEGAN + timedelta(hours=at)
    placed = Placement(
        identity(number), TargetName(target), "x", 4, Money(Decimal(worst) / 10), account=account,
        likely=Money(Decimal(worst) / 20),
    )  # fmt: skip
    paid = Money(Decimal(min(worst, cost)) / 10)
    return Trip(placed, began, paid), began + timedelta(hours=hours)


def kept(trips: list[tuple[Trip, datetime]], now: datetime) -> Ledger:
    """By the daemon's own sums, of what it would have in its store."""
    bursts = [
        burst(
            Stage.SETTLED if over <= now else Stage.RUNNING,
            id=BurstId(f"{number}"), identity=one.placed.identity, target=one.placed.target,
            cores=4, reserved=one.placed.reserved, likely=one.placed.likely, created_at=one.began,
            account=one.placed.account, cost=one.cost if over <= now else None,
        )
        for number, (one, over) in enumerate(trips)
    ]  # fmt: skip
    return ledger_of(bursts, now.strftime("%Y-%m"))


@given(TRIPS, st.integers(0, 1200))
def test_it_has_the_sums_of_the_daemons(
    rows: list[tuple[int, int, int, int, str, str]], hours: int
) -> None:
    now, policy = BEGAN + timedelta(hours=hours), replace(POLICY, budgets=BUDGETS)
    trips = [trip(number, row) for number, row in enumerate(sorted(rows))]
    trips = [(one, over) for one, over in trips if one.began <= now]
    books = Books(policy)
    for one, over in trips:
        books.ledger(one.began)
        books.begin(one, over)
    mine, theirs = books.ledger(now), kept(trips, now)
    assert theirs.spent == mine.spent
    assert (theirs.reserved, theirs.likely) == (mine.reserved, mine.likely)
    assert (theirs.begun_at, theirs.open) == (mine.begun_at, mine.open)
    stands = {target: stand for target, stand in mine.open_at.items() if stand.cores}
    assert theirs.open_at == stands
    taken = [[pot.taken for pot in purse_of(policy, of, now).pots] for of in (theirs, mine)]
    assert taken[0] == taken[1]


def test_what_is_open_at_the_end_is_counted_to_its_month_and_a_term_is_one() -> None:
    late = BEGAN + timedelta(days=11, hours=23)
    row = (0, 1, 50, 30, "cfd", "eu")
    for policy, terms in (
        (POLICY, [Term.month(BEGAN), Term.month(late + timedelta(hours=1))]),
        (replace(POLICY, term=Term(BEGAN, timedelta(days=90))), [Term(BEGAN, timedelta(days=90))]),
    ):
        books = Books(policy)
        for number, hours in enumerate((0, 12 * 24)):
            books.begin(*trip(number, (hours, *row[1:])))
        assert terms == list(books.settled)
        assert Decimal(6) == sum(books.settled.values())
        assert 2 == books.bursts.total()
