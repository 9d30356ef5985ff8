"""Black holes: a target where everything fails at once is put aside, and tried with one job."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from burstd.core.breaker import ASIDE, FAILURES, FAST, aside
from burstd.core.decide import decide
from burstd.core.explain import explain
from burstd.domain.jobs import CoreHours
from burstd.domain.plan import Reason
from burstd.domain.policy import End, Ledger, Watermarks
from tests.unit.values import CLOUD, NOW, POLICY, queued, snapshot

LATELY = NOW - timedelta(minutes=5)
POOR = replace(POLICY, watermarks=Watermarks(CoreHours(1), CoreHours(0)))


def failures(
    count: int = FAILURES, *, ran: float = 3, users: int = 2, since: timedelta = timedelta()
) -> list[End]:
    return [
        End(
            CLOUD,
            f"u{n % users}",
            LATELY - since - timedelta(seconds=n),
            timedelta(seconds=ran),
            True,
        )
        for n in range(count)
    ]


WELL = End(CLOUD, "u9", LATELY + timedelta(seconds=9), timedelta(seconds=5), failed=False)


@pytest.mark.parametrize(
    ("ends", "is_hole"),
    [
        (failures(), True),
        (failures(FAILURES - 1), False),
        (failures(ran=FAST.total_seconds()), False),
        (failures(users=1), False),
        ([*failures(), WELL], False),
        ([replace(WELL, at=LATELY - timedelta(hours=1)), *failures()], True),
    ],
)
def test_a_row_of_fast_failures_of_several_users_is_a_black_hole(
    ends: list[End], is_hole: bool
) -> None:
    assert is_hole == (CLOUD in aside(ends, (), NOW))


def test_nothing_goes_there_and_later_one_job_and_after_its_good_end_all() -> None:
    waiting = [queued(n, cpus=8) for n in range(1, 5)]

    def placed(*ends: End, **more: object) -> int:
        ledger = replace(Ledger(ends=ends), **more)  # type: ignore[arg-type]
        return len(decide(snapshot(*waiting), POOR, ledger).placements)

    assert 4 == placed()
    assert 0 == placed(*failures())
    old = failures(since=ASIDE)
    assert 1 == placed(*old)
    assert 0 == placed(*old, open_at=frozenset({CLOUD}))
    assert 4 == placed(*old, WELL)


def test_it_is_told_to_who_asks_why() -> None:
    seen, ledger = snapshot(queued(cpus=8)), Ledger(ends=tuple(failures()))
    plan = decide(seen, POOR, ledger)
    told = [step.text for step in explain(queued(cpus=8), seen, POOR, ledger, plan)]
    assert [Reason.NO_TARGET_FITS] == [decline.reason for decline in plan.declined]
    assert any(f"the last {FAILURES} jobs there failed" in text for text in told)
