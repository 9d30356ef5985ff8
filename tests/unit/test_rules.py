"""Small pure rules: who may leave, when a change is safe, what it costs, when to try again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burstd.core import script
from burstd.core.barrier import SAVE_TIME, Durability, durability
from burstd.core.eligible import Court
from burstd.core.money import core_hours, occupied, price, worst_case
from burstd.core.orders import ORDERS, Order, checkpointed, ending, order_for
from burstd.core.retries import LONGEST, is_due, next_due
from burstd.domain.applications import Application
from burstd.domain.burst import Epoch, Stage, Uptime
from burstd.domain.directives import Directives, JobMode
from burstd.domain.jobs import JobRecord, Shape
from burstd.domain.plan import Reason, ScriptFacts
from burstd.domain.targets import CHECKPOINTED, Money, Outcome
from tests.unit.values import NOW, POLICY, VIEW, burst, case, identity, queued

# --- may it leave


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"reason": "Priority"}, None),
        ({"partition": "short,cae"}, None),
        ({"reason": "JobHeldUser"}, Reason.HELD),
        ({"reason": "JobHeldAdmin"}, Reason.HELD),
        ({"priority": 0}, Reason.HELD),
        ({"reason": "Dependency"}, Reason.DEPENDENT),
        ({"reason": "DependencyNeverSatisfied"}, Reason.DEPENDENT),
        ({"reason": "Licenses"}, Reason.NOT_WAITING),
        ({"reason": "BeginTime"}, Reason.NOT_WAITING),
        ({"reason": "ReqNodeNotAvail, UnavailableNodes:n1"}, Reason.NOT_WAITING),
        ({"partition": "short"}, Reason.OTHER_PARTITION),
        ({"het": True}, Reason.HETEROGENEOUS),
        ({"time_limit": None}, Reason.NO_TIME_LIMIT),
        ({"licences": "ansys:5"}, None),
        ({"gres": "gres/gpu:2"}, Reason.GPUS),
        ({"comment": "x burst:never"}, Reason.USER_FORBIDS),
        ({"comment": "burst:nevermore"}, Reason.BAD_DIRECTIVE),
        ({"comment": "outburst:never"}, None),
    ],
)
def test_each_kind_of_job_stays_for_its_own_reason(
    change: dict[str, Any], reason: Reason | None
) -> None:
    found = Court(POLICY).before_reading(case(queued(**change)))

    assert reason == (found[0] if found else None)


def test_users_accounts_and_age_are_the_policys() -> None:
    def judge(wish: bool = False, **policy: Any) -> Reason | None:
        changed = replace(POLICY, **policy)
        partition = "burst" if wish else "cae"
        found = Court(changed).before_reading(case(queued(partition=partition), changed))
        return found[0] if found else None

    assert Reason.OTHER_USER is judge(users=frozenset({"bob"}))
    assert Reason.OTHER_ACCOUNT is judge(accounts=frozenset({"chem"}))
    assert Reason.TOO_YOUNG is judge(min_age=timedelta(hours=1, seconds=1))
    assert judge(min_age=timedelta(hours=1)) is None
    assert judge(wish=True, min_age=timedelta(days=1)) is None


def test_a_wish_need_not_wait_but_its_user_may_hold_it() -> None:
    wish = queued(partition="burst", reason="None", priority=0)
    assert Court(POLICY).before_reading(case(wish)) is None
    held = replace(wish, reason="JobHeldUser")
    found = Court(POLICY).before_reading(case(held))

    assert found is not None
    assert Reason.HELD is found[0]


# --- the barrier


@pytest.mark.parametrize(
    ("boot", "age", "expected"),
    [
        ("7", SAVE_TIME - timedelta(milliseconds=1), Durability.TOO_EARLY),
        ("7", SAVE_TIME, Durability.DURABLE),
        ("7", SAVE_TIME + timedelta(seconds=1), Durability.DURABLE),
        ("8", timedelta(0), Durability.RESTARTED),
        ("8", SAVE_TIME * 9, Durability.RESTARTED),
    ],
)
def test_a_change_is_durable_on_the_boundary_with_the_same_boot_only(
    boot: str, age: timedelta, expected: Durability
) -> None:
    then = Uptime("m1", 100.0)
    now = Uptime("m1", 100.0 + age.total_seconds())

    assert expected is durability(Epoch("7", then), boot, now)


def test_an_age_is_not_measured_across_two_starts_of_the_machine() -> None:
    seen = Epoch("7", Uptime("m1", 5.0))

    assert Durability.UNTIMED is durability(seen, "7", Uptime("m2", 500.0))
    assert Durability.RESTARTED is durability(seen, "8", Uptime("m2", 500.0))


def test_the_barrier_is_twice_the_time_that_slurm_takes_to_save() -> None:
    assert timedelta(seconds=10) == SAVE_TIME


# --- money


PRICES = st.decimals("0", "10", places=4)


@given(st.integers(1, 10_000), st.integers(0, 99), st.integers(0, 10**7), PRICES, PRICES)
def test_a_price_is_exact_rounded_up_and_never_less_for_more(
    cores: int, gpus: int, seconds: int, euros: Decimal, more: Decimal
) -> None:
    view = replace(VIEW, price=Money(euros), gpu_price=Money(more))
    cost = price(cores, gpus, timedelta(seconds=seconds), view)
    exact = (cores * euros + gpus * more) * seconds / 3600

    assert exact - Decimal("1e-6") <= cost < exact + Decimal("0.0002")
    assert cost == cost.quantize(Decimal("0.0001"))
    assert cost <= price(cores, gpus, timedelta(seconds=seconds + 1), view)


def test_money_has_no_dust_of_binary_fractions() -> None:
    assert Decimal("0.1000") == price(2, 0, timedelta(hours=1), VIEW)
    assert Decimal("0.0001") == price(1, 0, timedelta(seconds=1), VIEW)
    assert 0.5 == core_hours(2, timedelta(minutes=15))


def test_the_worst_case_has_the_time_that_a_target_takes_beyond_the_limit() -> None:
    view = replace(VIEW, overhead=timedelta(minutes=30))
    assert Decimal("0.1500") == worst_case(2, 0, timedelta(hours=1), view)
    assert Decimal("0.1000") == worst_case(2, 0, timedelta(hours=1), VIEW)


@pytest.mark.parametrize(
    ("told", "machine", "seconds"),
    [
        (30.0, "boot-1", 30.0),
        (3630.0, "boot-1", 100.0),  # its clock was set an hour ahead meanwhile
        (3630.0, "boot-2", 3630.0),  # this machine was started anew: it can't tell
        (1e10, "boot-2", 7500.0),  # but no work lasts longer than it may
    ],
)
def test_a_far_clock_that_was_set_has_made_no_time(
    told: float, machine: str, seconds: float
) -> None:
    away = burst(
        remote=Epoch("boot", Uptime("boot-1", 1000.0)),
        over=Epoch("boot", Uptime(machine, 1100.0)),
        outcome=Outcome("exited", 0, elapsed=timedelta(seconds=told)),
        record=JobRecord(burst().identity, Shape(), timedelta(hours=2)),
    )
    longer = timedelta(minutes=5)
    assert seconds == occupied(away, longer).total_seconds()
    assert min(told, 7500) == occupied(replace(away, over=None), longer).total_seconds()


# --- retries


def test_waits_double_up_to_five_minutes_and_respect_what_was_asked() -> None:
    at = Stage.STAGING_IN
    waits = [(next_due(NOW, n, at) - NOW).total_seconds() for n in (0, 1, 2, 7, 8, 1000)]

    assert [2, 4, 8, 256, 300, 300] == waits
    assert NOW + timedelta(minutes=4) == next_due(NOW, 0, at, timedelta(minutes=4))
    assert NOW + LONGEST == next_due(NOW, 20, at, timedelta(seconds=1))
    assert NOW + LONGEST == next_due(NOW, 0, at, timedelta(hours=1))


def test_where_a_twin_may_run_that_its_user_has_ended_no_wait_of_ours_is_long() -> None:
    for stage in (Stage.PERMITTING, Stage.RUNNING, Stage.CANCELLING, Stage.RETURNING):
        assert NOW + timedelta(seconds=30) == next_due(NOW, 20, stage)
        assert NOW + timedelta(minutes=2) == next_due(NOW, 20, stage, timedelta(minutes=2))


def test_a_due_time_that_a_clock_set_back_moved_far_away_is_now() -> None:
    due = next_due(NOW, 20, Stage.STAGING_IN)

    assert [False, True] == [is_due(due, NOW), is_due(due, NOW + LONGEST)]
    assert is_due(due, NOW - timedelta(hours=1))
    assert is_due(None, NOW)


# --- the agent's orders


def test_every_stage_has_an_order_and_only_an_ended_one_says_exit() -> None:
    assert set(Stage) == set(ORDERS)
    assert {Stage.SETTLING, Stage.SETTLED} == {s for s in Stage if ORDERS[s] is Order.EXIT}


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (None, (1, 0)),
        (Outcome("exited", 0), (0, 0)),
        (Outcome("exited", 7), (7, 0)),
        (Outcome("signalled", signal=9), (0, 9)),
        (Outcome("timeout"), (1, 0)),
        (Outcome("lost"), (1, 0)),
        (Outcome("never_started"), (1, 0)),
    ],
)
def test_without_a_record_a_stand_in_ends_as_its_twin_did_and_never_well_without_proof(
    outcome: Outcome | None, expected: tuple[int, int]
) -> None:
    assert expected == ending(outcome)


@pytest.mark.parametrize(
    ("outcome", "own", "expected"),
    [
        (Outcome("exited", 1), 0, (0, 0)),  # refused by the node at its second start
        (Outcome("lost"), 3, (3, 0)),  # the node was lost just behind its end
        (Outcome("exited", 0), 0, (0, 0)),
        (Outcome("exited", 75), 75, (75, 0)),  # the payload's own
        (Outcome("exited", 75), None, (1, 0)),  # a second runner's: nobody knows of the first
        (Outcome("cancelled"), 0, (1, 0)),
        (Outcome("timeout"), 0, (1, 0)),
        (None, 0, (1, 0)),
    ],
)
def test_the_runners_record_knows_the_end_better_than_a_scheduler_that_forgot(
    outcome: Outcome | None, own: int | None, expected: tuple[int, int]
) -> None:
    assert expected == ending(outcome, own)


@pytest.mark.parametrize(
    ("outcome", "own", "home"),
    [
        (Outcome("exited", CHECKPOINTED), None, True),
        (Outcome("exited", CHECKPOINTED), CHECKPOINTED, True),
        (Outcome("lost"), CHECKPOINTED, True),
        (Outcome("exited", CHECKPOINTED), 0, False),  # the record knows better
        (Outcome("exited", 0), None, False),
        (Outcome("signalled", signal=10), None, False),  # it did not know the signal
        (Outcome("cancelled", CHECKPOINTED), None, False),
        (Outcome("timeout"), CHECKPOINTED, False),
    ],
)
def test_who_was_told_to_stop_goes_on_at_home_only_if_it_says_that_it_has_saved_its_state(
    outcome: Outcome, own: int | None, home: bool
) -> None:
    told = burst(Stage.SETTLING, outcome=outcome, stopping=True)
    assert home == checkpointed(told, own)
    assert (Order.WAIT if home else Order.EXIT) is order_for(told, own=own)
    assert Order.EXIT is order_for(replace(told, stopping=False), own=own)


# --- what a script says

CCX = Application("calculix", "calculix", (r"(^|[\s/])ccx(\s|$)",))
FOAM = Application("openfoam", "openfoam", (r"simpleFoam",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, ScriptFacts(False)),
        ("#!/bin/sh\nccx beam\n", ScriptFacts(True, "calculix")),
        ("#!/bin/sh\n# ccx beam\nsleep 1\n", ScriptFacts(True)),
        (
            "#!/bin/sh\n#BURST app=openfoam\nccx beam\n",
            ScriptFacts(True, "openfoam", Directives(application="openfoam")),
        ),
        (
            "#!/bin/sh\n#BURST app=unknown\nccx beam\n",
            ScriptFacts(True, None, Directives(application="unknown")),
        ),
        (
            "#!/bin/sh\n#BURST mode=never\nccx b\n",
            ScriptFacts(True, "calculix", asked=Directives(JobMode.NEVER)),
        ),
        ("#!/bin/sh\necho '#BURST mode=never'\nccx b\n", ScriptFacts(True, "calculix")),
        (
            "#!/bin/sh\r\n#BURST mode=never\r\nccx b\r\n",
            ScriptFacts(True, "calculix", asked=Directives(JobMode.NEVER)),
        ),
        ("#!/bin/sh\n#BURST\n\nccx b\n", ScriptFacts(True, "calculix")),
        ("", ScriptFacts(True)),
    ],
)
def test_a_script_is_read_as_text(text: str | None, expected: ScriptFacts) -> None:
    assert expected == script.facts(text, [CCX, FOAM])


def test_a_job_is_known_by_more_than_its_number() -> None:
    from burstd.domain.jobs import JobSight, JobState

    who = identity()
    seen = JobSight(who, JobState.RUNNING)
    later = replace(who, submitted_at=NOW)

    assert seen.is_job(who)
    assert not replace(seen, identity=later).is_job(who)
    assert replace(seen, identity=later, restarts=1).is_job(who)
    assert not replace(seen, identity=replace(who, name="other"), restarts=1).is_job(who)
    assert not replace(seen, identity=None).is_job(who)
