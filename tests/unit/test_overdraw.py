"""A cap that is lowered below what is promised: who has not begun goes home, the youngest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burstd.adapters.store.sums import ledger_of
from burstd.core.overdraw import not_covered, overdrawn
from burstd.domain.budgets import Budget
from burstd.domain.burst import Burst, BurstId, Stage
from burstd.domain.policy import BurstPolicy
from burstd.domain.targets import Money
from tests.unit.values import NOW, POLICY, burst, identity

MONTH = f"{NOW:%Y-%m}"


def eur(amount: float) -> Money:
    return Money(Decimal(str(amount)))


def away(number: int, stage: Stage = Stage.SUBMITTED, **more: Any) -> Burst:
    """Each younger than the one before it, and promised one euro."""
    given = {"created_at": NOW + timedelta(seconds=number), "reserved": eur(1), "account": "phys"}
    who = {"id": BurstId(f"{number:012}"), "identity": identity(number)}
    return burst(stage, **{**given, **who, **more})


def sent_home(
    bursts: Sequence[Burst], cap: float, going: Sequence[int] = (), **policy: Any
) -> list[int]:
    rules: BurstPolicy = replace(POLICY, budget=eur(cap), **policy)
    ledger, ids = ledger_of(bursts, MONTH), [BurstId(f"{number:012}") for number in going]
    pots = overdrawn(rules, ledger, NOW + timedelta(minutes=1))
    return sorted(int(b) for b in not_covered(pots, bursts, "EUR", ids))


FOUR = [away(n) for n in range(1, 5)]


@pytest.mark.parametrize(
    ("cap", "home"), [(4, []), (3.9, [4]), (3, [4]), (2.5, [3, 4]), (0, [1, 2, 3, 4])]
)
def test_as_many_go_home_as_the_cap_no_longer_covers_the_youngest_first(
    cap: float, home: list[int]
) -> None:
    assert home == sent_home(FOUR, cap)


def test_what_has_begun_runs_on_and_what_goes_home_already_counts_as_gone() -> None:
    begun = [*FOUR[:2], away(3, Stage.RUNNING), away(4, Stage.STAGING_OUT)]
    assert [2] == sent_home(begun, 3)
    assert [1, 2] == sent_home(begun, 0)
    assert [] == sent_home(FOUR, 3, going=[2])
    assert [4] == sent_home([away(1, Stage.RETURNING), *FOUR[1:]], 2)


def test_a_budget_of_some_sends_home_theirs_alone() -> None:
    theirs = Budget("crash", eur(1), accounts=frozenset({"crash"}))
    bursts = [away(1, account="crash"), away(2, account="crash"), away(3)]
    assert [2] == sent_home(bursts, 100, budgets=(theirs,))
    # Who goes home for one budget has left the other as well.
    assert [2] == sent_home(bursts, 2, budgets=(theirs,))
    assert [2, 3] == sent_home(bursts, 1, budgets=(theirs,))


@given(
    st.lists(st.sampled_from([Stage.PLANNED, Stage.SUBMITTED, Stage.RUNNING]), max_size=8),
    st.integers(0, 9),
)
def test_what_is_left_fits_or_has_begun(stages: list[Stage], cap: int) -> None:
    bursts = [away(n, stage) for n, stage in enumerate(stages, 1)]
    home = sent_home(bursts, cap)
    left = [b for b in bursts if int(b.id) not in home]

    assert len(left) <= cap or {Stage.RUNNING} == {b.stage for b in left}
    assert not home or len(left) == max(cap, stages.count(Stage.RUNNING))  # and no more than needed
