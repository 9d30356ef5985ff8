"""Which of the waiting jobs leave first."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burstd.core.decide import decide
from burstd.core.explain import explain
from burstd.core.line import Line
from burstd.core.steering import HIGH, LOW
from burstd.core.worth import lasting, worths
from burstd.domain.budgets import Charge, Term
from burstd.domain.jobs import CoreHours, JobState, QueuedJob
from burstd.domain.plan import Placement, Reason
from burstd.domain.policy import BurstPolicy, Ledger, Watermarks
from burstd.domain.targets import Money
from burstd.domain.usage import PastRun, Usage
from tests.unit.test_decide import policies, queues
from tests.unit.values import NOW, POLICY, identity, queued, snapshot

MARGINAL = replace(
    POLICY, strategy="marginal", theta=0.0, watermarks=Watermarks(CoreHours(1), CoreHours(0))
)


def running(number: int, hours: float, cpus: int = 16, **more: Any) -> QueuedJob:
    """It began an hour ago and ends in so many."""
    limit = timedelta(hours=1 + hours)
    return queued(
        number, state=JobState.RUNNING, cpus=cpus, time_limit=limit, elapsed=timedelta(hours=1),
        reason="None", **more,
    )  # fmt: skip


def waits(number: int, cpus: int, hours: float, priority: int = 100, ago: float = 1) -> QueuedJob:
    return queued(
        number, cpus=cpus, time_limit=timedelta(hours=hours), priority=priority,
        identity=identity(number, submitted_at=NOW - timedelta(hours=ago)),
    )  # fmt: skip


def leaving(*jobs: QueuedJob, policy: BurstPolicy = MARGINAL, most: int = 9) -> list[int]:
    plan = decide(snapshot(*jobs), replace(policy, max_new_per_tick=most), Ledger())
    return [placed.identity.key.job_id for placed in plan.placements]


def test_a_short_job_far_behind_goes_before_a_large_one_at_the_head() -> None:
    full, head, short = running(1, 10), waits(2, 16, 20, 200), waits(3, 1, 1)
    assert [3, 2] == leaving(full, head, short)
    assert [2] == leaving(full, head, short, policy=replace(MARGINAL, strategy="threshold"), most=1)


def test_large_jobs_count_for_more_with_theta() -> None:
    jobs = (running(1, 10), waits(2, 16, 4, 200), waits(3, 8, 3))
    assert 3 == leaving(*jobs)[0]
    assert 2 == leaving(*jobs, policy=replace(MARGINAL, theta=1.0))[0]


def test_who_waited_longest_for_its_size_goes_first_by_the_strategy_of_waiting() -> None:
    jobs = (running(1, 10), waits(2, 2, 1, ago=9), waits(3, 2, 1, ago=1), waits(4, 16, 9, ago=20))
    assert [2, 3, 4] == leaving(*jobs, policy=replace(MARGINAL, strategy="waiting"))


def test_who_starts_at_home_sooner_than_elsewhere_is_worth_nothing() -> None:
    jobs = (running(1, 0.01, cpus=16), waits(2, 2, 1))
    (worth,) = worths(Line.of(snapshot(*jobs), MARGINAL), MARGINAL).values()
    assert 0 == worth


def test_a_worth_is_for_what_a_job_of_the_past_cost_on_average() -> None:
    seen = snapshot(running(1, 10), waits(2, 2, 1))
    of = PastRun("bob", "beam", "", timedelta(hours=1), timedelta(hours=1), 6)
    known = replace(seen, usage=Usage([of, replace(of, cores=0), replace(of, cores=2)]))
    (line, past) = (
        next(iter(worths(Line.of(one, MARGINAL), MARGINAL).values())) for one in (seen, known)
    )
    # A run of the past took four core-hours on average; the job that waits will take two.
    assert 2 * line == pytest.approx(past)


def test_runs_are_expected_to_end_when_such_runs_end() -> None:
    late, soon = running(1, 20), running(1, 20)
    known = Usage([PastRun("alice", "beam", "", timedelta(hours=21), timedelta(hours=1.2))] * 9)
    waiting = waits(2, 2, 1)
    (far,) = worths(Line.of(snapshot(late, waiting), MARGINAL), MARGINAL).values()
    (near,) = worths(
        Line.of(replace(snapshot(soon, waiting), usage=known), MARGINAL), MARGINAL
    ).values()
    assert 0 < near < far


@pytest.mark.parametrize("strategy", ["threshold", "waiting", "marginal"])
@given(queues, policies, st.randoms())
@settings(max_examples=40, deadline=None)
def test_the_order_of_the_queue_does_not_matter(
    strategy: str, queue: tuple[QueuedJob, ...], policy: BurstPolicy, dice: Any
) -> None:
    policy = replace(policy, strategy=strategy)
    other = list(queue)
    dice.shuffle(other)
    one, two = (decide(snapshot(*jobs), policy, Ledger()) for jobs in (queue, other))
    assert set(map(str, one.placements)) == set(map(str, two.placements))


def outlook_with(idle: dict[str, int], *jobs: QueuedJob) -> tuple[int, int]:
    """(CPUs in all, those that are free) as the line sees them."""
    seen = snapshot(running(1, 10), *jobs)
    line = Line.of(replace(seen, queue=replace(seen.queue, idle=idle)), MARGINAL)
    assert line.outlook is not None
    return line.outlook.cores, line.outlook.free


def test_of_what_is_idle_counts_what_the_first_in_line_could_use_and_is_too_little_for_it() -> None:
    large, small = waits(2, 16, 1, 200), waits(3, 1, 1)
    assert (16, 0) == outlook_with({}, large, small)
    assert (20, 4) == outlook_with({"cae": 4, "other": 9}, large, small)
    # 30 are there and it does not start: nobody knows what they are good for.
    assert (31, 15) == outlook_with({"cae": 30}, large, small)
    assert (16, 0) == outlook_with({"cae": 30}, small)
    assert (16, 0) == outlook_with({"cae": 30})


def test_who_waits_for_the_rest_of_what_is_idle_already_is_worth_less() -> None:
    first, second = running(1, 1, cpus=4), running(2, 10, cpus=8)
    seen = snapshot(first, second, waits(3, 8, 1))
    told = replace(seen, queue=replace(seen.queue, idle={"cae": 4}))
    one, other = (worths(Line.of(s, MARGINAL), MARGINAL)[identity(3)] for s in (seen, told))
    assert one > 9 * other > 0


def test_a_cluster_where_nothing_runs_tells_nothing_and_the_oldest_leaves_first() -> None:
    assert {} == worths(Line.of(snapshot(waits(1, 2, 1)), MARGINAL), MARGINAL)
    assert [2, 1] == leaving(waits(1, 2, 1, ago=1), waits(2, 2, 1, ago=2))


# --- the price at which a budget lasts


def steered(spent: str = "0", likely: str = "0") -> tuple[int, list[Reason]]:
    """Of a job that would wait for ten hours at noon of the 15th, how many leave, and why not."""
    policy = replace(MARGINAL, steer=True, budget=Money(Decimal(1000)))
    ledger = Ledger(spent=Money(Decimal(spent)), likely=Money(Decimal(likely)))
    plan = decide(snapshot(running(1, 10), waits(2, 2, 1)), policy, ledger)
    return len(plan.placements), [decline.reason for decline in plan.declined]


def test_while_the_budget_lasts_what_is_worth_its_cost_leaves() -> None:
    assert (1, []) == steered()
    assert (1, []) == steered(spent="300")


def test_a_budget_for_another_term_than_the_month_is_to_last_that_long() -> None:
    term = Term(NOW - timedelta(days=10), timedelta(days=100))
    policy = replace(MARGINAL, steer=True, budget=Money(Decimal(1000)), term=term)
    # A tenth of the time is over and so is a tenth of the money: the price of the middle.
    even = lasting(policy, Ledger(spent=Money(Decimal(100))), NOW).price()
    assert math.sqrt(LOW * HIGH) == pytest.approx(even)
    monthly = replace(policy, term=None)
    assert lasting(monthly, Ledger(spent=Money(Decimal(100))), NOW).price() < even


def test_a_storm_after_a_quiet_month_is_not_bought_from_its_first_hour_on() -> None:
    """Ten days were quiet: of what they left over half is gone, and so is half of the range."""
    term = Term(NOW - timedelta(days=10), timedelta(days=20))
    policy = replace(MARGINAL, steer=True, budget=Money(Decimal(1000)), term=term)

    def storm(amount: int, hours: float = 1, *, open: bool = False) -> Charge:
        at = NOW - timedelta(hours=hours)
        return Charge(at, "phys", "alice", Money(Decimal(amount)), open)

    def told(*charges: Charge) -> float:
        spent = Money(Decimal(sum(charge.amount for charge in charges)))
        return lasting(policy, Ledger(spent=spent, charges=charges), NOW).price()

    middle = math.sqrt(LOW * HIGH)
    assert middle == pytest.approx(told(storm(350)), rel=0.01)
    assert middle == pytest.approx(told(storm(150), storm(200, 0.5, open=True)), rel=0.01)
    assert told(storm(350, 240)) < told(storm(350, 120)) < told(storm(350))


def test_what_was_spent_too_early_or_is_about_to_be_lets_only_the_dearest_leave() -> None:
    assert (0, [Reason.BELOW_PRICE]) == steered(spent="600")
    assert (0, [Reason.BELOW_PRICE]) == steered(likely="600")


def test_the_price_is_told_to_who_asks_why() -> None:
    seen = snapshot(running(1, 10), waits(2, 2, 1))
    policy, ledger = replace(MARGINAL, steer=True), Ledger(spent=Money(Decimal(600)))
    plan = decide(seen, policy, ledger)
    steps = {s.rule: s for s in explain(waits(2, 2, 1), seen, policy, ledger, plan)}
    assert not steps["worth"].holds
    assert {"strategy", "worth", "price"} == set(steps["worth"].numbers)
    assert explain(waits(2, 2, 1), seen, policy, Ledger(), plan)[-3].holds


def test_who_would_empty_the_bucket_stays_and_hears_the_price_that_it_would_leave_behind() -> None:
    job, term = waits(2, 2, 1), Term(NOW - timedelta(days=5), timedelta(days=10))
    seen = snapshot(running(1, 10), job)

    def decided(budget: str) -> tuple[int, list[Reason], bool, float]:
        policy = replace(MARGINAL, steer=True, budget=Money(Decimal(budget)), term=term)
        plan = decide(seen, policy, Ledger())
        step = {s.rule: s for s in explain(job, seen, policy, Ledger(), plan)}["worth"]
        told = float(step.numbers["price"].removesuffix(" h"))
        return len(plan.placements), [d.reason for d in plan.declined], step.holds, told

    value = worths(Line.of(seen, MARGINAL), MARGINAL)[identity(2)]
    now = lasting(replace(MARGINAL, steer=True, term=term), Ledger(), NOW).price()
    assert value > now  # it is worth more than the price of the moment
    assert (1, [], True) == decided("10000")[:3]
    placed, reasons, holds, told = decided("0.5")
    assert (0, [Reason.BELOW_PRICE], False) == (placed, reasons, holds)
    assert told > value


def test_of_two_that_are_worth_the_same_the_second_must_be_worth_what_the_first_leaves() -> None:
    term = Term(NOW - timedelta(days=5), timedelta(days=10))
    seen = snapshot(running(1, 10), waits(2, 2, 1), waits(3, 2, 1))

    def leaving(budget: float) -> list[Placement]:
        money = Money(Decimal(budget))
        policy = replace(MARGINAL, steer=True, budget=money, term=term)
        return list(decide(seen, policy, Ledger()).placements)

    rich = leaving(10_000)
    value = min(worths(Line.of(seen, MARGINAL), MARGINAL).values())
    # So much of the bucket (0.7 of the budget) may be gone until nobody is worth the price.
    most = 0.7 * math.log(value / LOW) / math.log(HIGH / LOW)
    assert 2 == len(rich)
    assert 1 == len(leaving(float(rich[0].likely) / (0.75 * most)))
    assert 2 == len(leaving(float(rich[0].likely) / (0.45 * most)))


def test_wishes_and_the_threshold_know_no_price() -> None:
    ledger = Ledger(spent=Money(Decimal(600)))
    wish = queued(2, partition="burst", reason="None", cpus=2)
    policy = replace(MARGINAL, steer=True)
    assert 1 == len(decide(snapshot(running(1, 10), wish), policy, ledger).placements)
    oldest = replace(policy, strategy="threshold")
    assert 1 == len(decide(snapshot(running(1, 10), waits(2, 2, 1)), oldest, ledger).placements)


@given(st.integers(0, 30 * 24), st.floats(0, 2000), st.floats(0, 2000))
def test_the_price_never_falls_with_what_is_spent(hours: int, some: float, more: float) -> None:
    policy = replace(MARGINAL, steer=True)
    now = datetime(2030, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
    less, much = sorted((some, more))
    prices = [
        lasting(policy, Ledger(spent=Money(Decimal(spent))), now).price() for spent in (less, much)
    ]
    assert prices[0] <= prices[1]


def test_what_a_burst_is_likely_to_cost_is_by_what_it_is_expected_to_run() -> None:
    job = waits(2, 2, 10)
    used = Usage([PastRun("alice", "beam", "", timedelta(hours=10), timedelta(hours=1))] * 9)
    (placed,) = decide(replace(snapshot(job), usage=used), MARGINAL, Ledger()).placements
    assert placed.likely < placed.reserved / 4


def test_jobs_of_no_length_at_all_are_decided_on_too() -> None:
    jobs = (running(1, 10), waits(2, 2, 0), waits(3, 1, 0))
    assert [] == leaving(*jobs, policy=replace(MARGINAL, theta=0.5))
