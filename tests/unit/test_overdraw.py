"""A cap that is lowered below what is promised: who has not begun goes home, the youngest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from burstd.domain.policy import BurstPolicy, HardMark
from burstd.domain.requests import Request, RequestKind
from burstd.domain.targets import Money, Outcome
from burstd.testing.bursts import record
from tests.unit.values import NOW, POLICY, burst, identity

MONTH = f"{NOW:%Y-%m}"


def eur(amount: float) -> Money:
    return Money(Decimal(str(amount)))


def away(number: int, stage: Stage = Stage.SUBMITTED, **more: Any) -> Burst:
    """Each younger than the one before it, and promised one euro."""
    given = {"created_at": NOW + timedelta(seconds=number), "reserved": eur(1), "account": "phys"}
    who = {"id": BurstId(f"{number:012}"), "identity": identity(number)}
    return burst(stage, **{**given, **who, **more})


def requests(
    bursts: Sequence[Burst], cap: float, going: Sequence[int] = (), **policy: Any
) -> Mapping[BurstId, Request]:
    rules: BurstPolicy = replace(POLICY, budget=eur(cap), **policy)
    back = frozenset({Request(RequestKind.RETURN, "root")})
    asked = {BurstId(f"{number:012}"): back for number in going}
    now = NOW + timedelta(minutes=1)
    pots = overdrawn(rules, ledger_of(bursts, MONTH), now)
    return not_covered(pots, bursts, asked, rules, now)


def sent_home(
    bursts: Sequence[Burst], cap: float, going: Sequence[int] = (), **policy: Any
) -> list[int]:
    found = requests(bursts, cap, going, **policy)
    assert {RequestKind.RETURN} >= {request.kind for request in found.values()}
    return sorted(map(int, found))


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


HOUR = timedelta(hours=1)
STOPS: dict[str, Any] = {"hard": HardMark.CHECKPOINT_AND_RETURN}


def running(number: int, part: float, **more: Any) -> Burst:
    """It can save its state, and this part of its time limit is over."""
    limit = {"record": replace(record(identity(number)), time_limit=HOUR)}
    began = {"started_at": NOW + timedelta(minutes=1) - HOUR * part}
    stage = more.pop("stage", Stage.RUNNING)
    return away(number, stage, **{"checkpoint": "USR1", **limit, **began, **more})


def test_what_can_go_on_at_home_is_stopped_where_the_policy_says_so_and_it_helps() -> None:
    bursts = [running(1, 0.5), running(2, 0.25), away(3, Stage.RUNNING), away(4)]
    assert {} == requests(bursts, 4, **STOPS)
    assert [(4, "return")] == asked(requests(bursts, 3, **STOPS))
    assert [(2, "checkpoint"), (4, "return")] == asked(requests(bursts, 2.5, **STOPS))
    assert [(1, "checkpoint"), (2, "checkpoint"), (4, "return")] == asked(
        requests(bursts, 0, **STOPS)
    )
    assert [(4, "return")] == asked(requests(bursts, 0))


def test_what_stops_already_or_has_ended_is_not_counted_as_if_it_ran_to_its_limit() -> None:
    ended = running(2, 1, stage=Stage.SETTLING, outcome=Outcome("exited", 0, elapsed=HOUR / 4))
    stopping = running(2, 0.25, stopping=True)
    for other in (ended, stopping):
        assert {} == requests([running(1, 0), other], 1.25, **STOPS)
        assert [(1, "checkpoint")] == asked(requests([running(1, 0), other], 1.2, **STOPS))


def test_who_has_used_all_that_was_promised_to_it_frees_nothing() -> None:
    assert {} == requests([running(1, 1), running(2, 1.5)], 0, **STOPS)


def asked(found: Mapping[BurstId, Request]) -> list[tuple[int, str]]:
    return sorted((int(burst), request.kind.value) for burst, request in found.items())
