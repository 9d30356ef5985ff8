"""Budgets: no cap is passed, whatever is open, and soft marks stop what is new."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burstd.core.cures import cure
from burstd.core.decide import decide
from burstd.core.purse import Purse
from burstd.domain.budgets import Budget, Charge, Period
from burstd.domain.jobs import CoreHours, QueuedJob
from burstd.domain.plan import Reason
from burstd.domain.policy import Ledger, Watermarks
from burstd.domain.targets import Money
from tests.unit.test_decide import queues
from tests.unit.values import NOW, POLICY, queued, snapshot

EUR = Decimal


def budget(amount: str, **changes: Any) -> Budget:
    return Budget("b", Money(EUR(amount)), **changes)


def charge(amount: str, hours: float = 0, **changes: Any) -> Charge:
    given = {"account": "phys", "user": "alice", "open": False, **changes}
    return Charge(NOW - timedelta(hours=hours), amount=Money(EUR(amount)), **given)


@pytest.mark.parametrize(
    ("period", "began"),
    [
        (Period.DAY, datetime(2030, 1, 15, tzinfo=UTC)),  # a Tuesday
        (Period.WEEK, datetime(2030, 1, 14, tzinfo=UTC)),
        (Period.MONTH, datetime(2030, 1, 1, tzinfo=UTC)),
    ],
)
def test_periods_are_those_of_the_calendar(period: Period, began: datetime) -> None:
    assert began == period.began(NOW)


@pytest.mark.parametrize(
    ("changes", "charges", "left"),
    [
        ({}, [charge("3")], "7"),
        ({"period": Period.DAY}, [charge("3", 13), charge("1", 11)], "9"),
        ({"period": Period.DAY}, [charge("3", 99, open=True)], "7"),
        ({"period": Period.WEEK}, [charge("3", 24 * 2), charge("1", 24)], "9"),
        ({"accounts": frozenset({"chem"})}, [charge("3"), charge("1", account="chem")], "9"),
        ({"users": frozenset({"bob"})}, [charge("3"), charge("1", user="bob")], "9"),
        ({}, [charge("30")], "0"),
    ],
)
def test_what_counts_is_of_its_period_or_open_and_of_those_whom_it_pays(
    changes: dict[str, Any], charges: list[Charge], left: str
) -> None:
    (pot,) = Purse([budget("10", **changes)], charges, NOW, "EUR").pots
    assert EUR(left) == pot.left


def test_who_is_not_paid_by_a_budget_is_not_stopped_by_it() -> None:
    purse = Purse([budget("1", accounts=frozenset({"chem"}))], [], NOW, "EUR")
    assert purse.objection("phys", "alice", Money(EUR(5))) is None
    found = purse.objection("chem", "alice", Money(EUR(5)))
    assert found is not None
    assert (Reason.NO_BUDGET, "1 EUR") == (found[0], found[1]["left"])


def test_from_its_soft_mark_on_nothing_new_begins() -> None:
    purse = Purse([budget("10", soft=0.5)], [charge("4")], NOW, "EUR")
    assert purse.objection("phys", "alice", Money(EUR(2))) is None
    purse.take("phys", "alice", Money(EUR(2)))
    found = purse.objection("phys", "alice", Money(EUR(2)))
    assert found is not None
    assert (Reason.SOFT_MARK, "5.0 EUR") == (found[0], found[1]["soft"])


@pytest.mark.parametrize(
    ("before", "left"),
    [
        ([charge("1", currency="EUR")], "9"),
        ([charge("1")], "9"),  # of an older burstd
        ([charge("1", currency="USD")], "0"),
        ([charge("1", currency="USD", user="bob")], "10"),
        ([charge("1", 24 * 40, currency="USD")], "10"),  # before this month
        ([charge("0", currency="USD")], "10"),
    ],
)
def test_what_was_paid_in_another_currency_leaves_nothing_that_is_known(
    before: list[Charge], left: str
) -> None:
    purse = Purse([budget("10", users=frozenset({"alice"}))], before, NOW, "EUR")
    found = purse.objection("phys", "alice", Money(EUR(50)))
    assert found is not None
    assert f"{left} EUR" == found[1]["left"]
    told = "can't be held against" in cure(found)
    assert told == (left == "0") == (purse.objection("phys", "alice", Money(EUR(2))) is not None)
    assert purse.objection("phys", "alice", Money(EUR(0))) is None


budgets = st.builds(
    lambda amount, period, accounts, users, soft: budget(
        str(amount), period=period, accounts=accounts, users=users, soft=soft
    ),
    st.integers(0, 20),
    st.sampled_from(Period),
    st.sampled_from([frozenset(), frozenset({"phys"}), frozenset({"chem"})]),
    st.sampled_from([frozenset(), frozenset({"alice"})]),
    st.sampled_from([0.1, 0.5, 1.0]),
)
charges = st.lists(
    st.builds(
        lambda amount, hours, account, going: charge(
            str(amount), hours, account=account, open=going
        ),
        st.integers(0, 5), st.integers(0, 900), st.sampled_from(["phys", "chem"]), st.booleans(),
    ),
    max_size=5,
)  # fmt: skip


@given(queues, st.lists(budgets, max_size=3), charges)
@settings(max_examples=100, deadline=None)
def test_no_plan_passes_any_budget(
    queue: tuple[QueuedJob, ...], caps: list[Budget], before: list[Charge]
) -> None:
    policy = replace(
        POLICY, budgets=tuple(caps), watermarks=Watermarks(CoreHours(0.1), CoreHours(0))
    )
    plan = decide(snapshot(*queue), policy, Ledger(charges=tuple(before)))
    for cap in caps:
        pot = Purse([cap], before, NOW, "EUR").pots[0]
        new = sum(p.reserved for p in plan.placements if cap.covers(p.account, p.identity.user))
        assert new <= pot.left
        if pot.taken >= pot.soft_mark and cap.soft < 1:
            assert 0 == new


def test_a_placement_says_whose_money_it_is() -> None:
    (placed,) = decide(snapshot(queued(cpus=20, account="nvh")), POLICY, Ledger()).placements
    assert "nvh" == placed.account
