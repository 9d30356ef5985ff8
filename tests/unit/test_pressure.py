"""When jobs leave: the whole queue's marks, those of its parts, cool-down and steps."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burstd.core.decide import decide
from burstd.domain.jobs import CoreHours, QueuedJob
from burstd.domain.plan import Plan, Reason
from burstd.domain.policy import QUEUE, BurstPolicy, Ledger, Pressure, Watermarks
from tests.unit.values import NOW, POLICY, queued, snapshot


def marks(high: float, low: float) -> Watermarks:
    return Watermarks(CoreHours(high), CoreHours(low))


CRASH = Pressure("crash", marks(4, 2), accounts=frozenset({"crash"}))
QUIET = replace(POLICY, watermarks=marks(1000, 500), pressures=(CRASH,))


def leaving(plan: Plan) -> list[int]:
    return [placed.identity.key.job_id for placed in plan.placements]


def reasons(plan: Plan) -> dict[int, Reason]:
    return {d.identity.key.job_id: d.reason for d in plan.declined}


def test_a_part_of_the_queue_leaves_while_the_whole_is_quiet() -> None:
    theirs = [queued(n, account="crash") for n in (1, 2, 3)]
    plan = decide(snapshot(*theirs, queued(4), queued(5)), QUIET, Ledger())

    assert ([1, 2, 3], frozenset({"crash"})) == (leaving(plan), plan.surging)
    assert {4: Reason.BELOW_WATERMARK, 5: Reason.BELOW_WATERMARK} == reasons(plan)
    assert 10.0 == plan.backlog


def test_it_stops_at_its_own_low_mark_and_says_whose() -> None:
    theirs = [queued(n, account="crash") for n in (1, 2, 3)]
    policy = replace(QUIET, pressures=(replace(CRASH, marks=marks(4, 3)),))
    plan = decide(snapshot(*theirs), policy, Ledger())

    assert [1, 2] == leaving(plan)
    assert ["crash"] == [d.numbers["pressure"] for d in plan.declined]
    assert {3: Reason.DAMPED} == reasons(plan)


def test_a_part_that_is_quiet_does_not_hold_up_a_queue_that_surges() -> None:
    policy = replace(QUIET, watermarks=marks(4, 0), pressures=(replace(CRASH, marks=marks(99, 9)),))
    plan = decide(snapshot(queued(1, account="crash"), queued(2)), policy, Ledger())

    assert ([1, 2], frozenset({QUEUE})) == (leaving(plan), plan.surging)


@pytest.mark.parametrize(
    ("part", "covered"),
    [
        ({"partitions": frozenset({"short"})}, False),
        ({"partitions": frozenset({"cae"})}, True),
        ({"qos": frozenset({"urgent"})}, False),
        ({"qos": frozenset({"normal"}), "accounts": frozenset({"phys"})}, True),
    ],
)
def test_a_part_is_told_by_all_that_it_names(part: dict[str, Any], covered: bool) -> None:
    assert covered == Pressure("x", marks(1, 0), **part).covers(queued())


def test_each_part_remembers_its_own_surge() -> None:
    theirs = [queued(1, account="crash")]  # 2 core-hours: between its marks of 4 and 2
    assert [] == leaving(decide(snapshot(*theirs), QUIET, Ledger(surging=frozenset({QUEUE}))))
    plan = decide(snapshot(*theirs), QUIET, Ledger(surging=frozenset({"crash"})))
    assert ([1], frozenset({"crash"})) == (leaving(plan), plan.surging)


def test_after_bursts_began_others_wait_until_they_have_shown_what_they_change() -> None:
    policy = replace(POLICY, cooldown=timedelta(minutes=10))
    queue = snapshot(*(queued(n) for n in range(1, 8)))
    young = decide(queue, policy, Ledger(begun_at=NOW - timedelta(minutes=9)))
    assert ({Reason.COOLING}, []) == (set(reasons(young).values()), leaving(young))
    assert {"since": "540s", "cooldown": "600s"} == young.declined[0].numbers
    assert leaving(decide(queue, policy, Ledger(begun_at=NOW - timedelta(minutes=10))))
    assert leaving(decide(queue, policy, Ledger(begun_at=NOW + timedelta(seconds=1))))  # a clock
    assert leaving(decide(queue, policy, Ledger()))


def test_a_damped_step_takes_its_part_of_what_is_above_the_low_mark() -> None:
    policy = replace(POLICY, watermarks=marks(10, 4), step=0.5)
    plan = decide(snapshot(*(queued(n) for n in range(1, 11))), policy, Ledger())

    # 20 core-hours wait, 16 above the mark: half of them may leave, and the one that passes it.
    assert [1, 2, 3, 4, 5] == leaving(plan)
    assert {Reason.STEP} == set(reasons(plan).values())


parts = st.builds(
    lambda high, gap, who: Pressure("crash", marks(high + gap, high), accounts=frozenset({who})),
    st.floats(0, 10), st.floats(0.1, 10), st.sampled_from(["crash", "phys"]),
)  # fmt: skip
queues = st.lists(st.sampled_from(["crash", "phys"]), max_size=12).map(
    lambda accounts: tuple(queued(n, account=who) for n, who in enumerate(accounts, 1))
)


@given(queues, st.lists(parts, max_size=1), st.floats(0.01, 1), st.booleans())
@settings(max_examples=80, deadline=None)
def test_a_smaller_step_or_a_cool_down_never_lets_more_leave(
    queue: tuple[QueuedJob, ...], more: list[Pressure], step: float, cool: bool
) -> None:
    policy: BurstPolicy = replace(POLICY, pressures=tuple(more))
    ledger = Ledger(begun_at=NOW)
    tight = replace(policy, step=step, cooldown=timedelta(seconds=int(cool)))
    wide = set(leaving(decide(snapshot(*queue), policy, ledger)))

    assert set(leaving(decide(snapshot(*queue), tight, ledger))) <= wide
