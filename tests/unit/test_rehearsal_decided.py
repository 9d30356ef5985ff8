"""The core's decision on a rehearsed cluster, worked out by hand: who leaves when, for how much."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burstd.domain.budgets import Budget, Period
from burstd.domain.classes import OPEN
from burstd.domain.jobs import CoreHours
from burstd.domain.plan import Reason
from burstd.domain.policy import BurstPolicy, Mode, Watermarks, Window
from burstd.domain.targets import Capabilities, Money, TargetName, TargetView
from burstd.domain.usage import PastRun, Usage, kind
from burstd.rehearsal.compare import Rehearsed, bounds, decided
from burstd.rehearsal.decided import Rule
from burstd.rehearsal.history import History, PastJob
from burstd.rehearsal.lines import name
from burstd.rehearsal.rules import budgeted
from burstd.rehearsal.usage import Accounting, Clairvoyant, Remembered
from tests.unit.values import identity, queued

MONDAY = datetime(2030, 1, 7, tzinfo=UTC)
HOUR, DAY = 3600, 86400
CLOUD, DEAR = TargetName("cloud"), TargetName("dear")
#: Half a unit for a core-hour, and two minutes beyond the limit at most.
VIEW = TargetView(
    CLOUD, Capabilities(9, 999, timedelta(days=9)), Money(Decimal("0.5")),
    overhead=timedelta(minutes=2),
)  # fmt: skip
POLICY = BurstPolicy(
    mode=Mode.AUTO,
    watermarks=Watermarks(CoreHours(10), CoreHours(4)),
    partitions=frozenset({"cae"}),
    burst_partition="burst",
    targets=(CLOUD, DEAR),
    budget=Money(Decimal(1000)),
    data=OPEN,
    strategy="threshold",
)


def job(number: int, submitted: int, cores: int, limit: int, ran: int, **more: Any) -> PastJob:
    return PastJob(number, submitted, cores, limit, ran, **{"queue": "cae", **more})


def past(*jobs: PastJob, cores: int = 4) -> History:
    return History("by hand", cores, jobs, epoch=int(MONDAY.timestamp()), named=True)


#: 1 fills the cluster for two hours. 2 asks for six core-hours, 3 for four, 4 for one.
FULL = past(
    job(1, 0, 4, 4 * HOUR, 2 * HOUR), job(2, 30, 2, 3 * HOUR, HOUR),
    job(3, 90, 2, 2 * HOUR, HOUR), job(4, 100, 1, HOUR, HOUR // 2),
)  # fmt: skip


def rehearsal(
    history: History, policy: BurstPolicy, *views: TargetView, cycle: int = 60
) -> Rehearsed:
    return decided("policy", history, Rule(policy, views or (VIEW,), MONDAY, cycle))


def starts(found: Rehearsed) -> dict[int, int]:
    return {run.job.number: run.started for run in found.runs}


def away(found: Rehearsed) -> set[int]:
    return {run.job.number for run in found.runs if run.away}


def settled(found: Rehearsed) -> list[Decimal]:
    assert found.decided is not None
    return list(found.decided.books.settled.values())


def reasons(found: Rehearsed) -> dict[Reason, int]:
    assert found.decided is not None
    return dict(found.decided.stayed)


def test_from_the_high_mark_on_the_oldest_leave_until_what_waits_is_below_the_low_one() -> None:
    # At 60 six core-hours wait: no surge. At 120 eleven: 2 leaves, then 3; one is left.
    found = rehearsal(FULL, POLICY)
    assert {1: 0, 2: 120 + 300, 3: 120 + 300, 4: 2 * HOUR} == starts(found)
    assert {2, 3} == away(found)
    # Each: two cores for an hour and two minutes, at a half, rounded up.
    assert [Decimal("1.0334") * 2] == settled(found)
    assert {Reason.BELOW_WATERMARK: 1} == reasons(found)


def test_what_is_promised_keeps_others_here_until_it_is_settled() -> None:
    # At 120: 2 may cost 3.0334; of 4 there is not enough left for 3 (2.0334), but for 4 (0.5167).
    # 4 is over at 2220 for 0.2667, 2 at 4020 for 1.0334. It was looked at 120 and, as somebody had
    # left, at 180; from then on every five minutes: at 4080 for 3.
    found = rehearsal(FULL, replace(POLICY, budget=Money(Decimal(4))))
    assert {1: 0, 2: 420, 4: 420, 3: 4080 + 300} == starts(found)
    assert [Decimal("1.0334") * 2 + Decimal("0.2667")] == settled(found)


def test_money_belongs_to_the_period_in_which_its_burst_began() -> None:
    # A day's cap for one job. The cluster is full for three days; each day one more leaves.
    full = job(1, 0, 4, 3 * DAY, 3 * DAY)
    waits = [job(number, 10, 4, 2 * HOUR, HOUR) for number in (2, 3, 4)]
    daily = Budget("daily", Money(Decimal(5)), Period.DAY)
    policy = replace(POLICY, watermarks=Watermarks(CoreHours(1), CoreHours(0)), budgets=(daily,))
    found = rehearsal(past(full, *waits), policy)
    # It is looked at 60, 120 and every five minutes; so first at 86520 of the second day, and then
    # at 86580 and every five minutes: first at 172980 of the third.
    assert {1: 0, 2: 60 + 300, 3: 86_520 + 300, 4: 172_980 + 300} == starts(found)
    assert [3 * Decimal("2.0667")] == settled(found)


def test_a_cap_of_an_account_keeps_only_its_jobs_here() -> None:
    jobs = [replace(one, account="crash" if one.number == 3 else "cfd") for one in FULL.jobs]
    cap = Budget("crash", Money(Decimal(2)), Period.WEEK, frozenset({"crash"}))
    found = rehearsal(past(*jobs), replace(POLICY, budgets=(cap,)))
    assert {2, 4} == away(found)
    assert {Reason.NO_BUDGET: 1} == reasons(found)


def test_nobody_leaves_before_a_window_opens() -> None:
    evening = Window("0 1 * * *", timedelta(hours=3))
    found = rehearsal(FULL, replace(POLICY, windows=(evening,)))
    # From 120 on it is looked every five minutes: first at 3720 in the window.
    assert {1: 0, 2: 3720 + 300, 3: 3720 + 300, 4: 2 * HOUR} == starts(found)


def test_a_target_that_is_full_leaves_the_rest_to_the_next() -> None:
    dear = replace(VIEW, name=DEAR, price=Money(Decimal(1)))
    found = rehearsal(FULL, POLICY, replace(VIEW, cores=2), dear)
    assert {2, 3} == away(found)
    assert [Decimal("1.0334") + Decimal("2.0667")] == settled(found)


def test_what_comes_home_costs_too_as_much_as_may() -> None:
    paid = replace(VIEW, egress=Money(Decimal("0.1")))
    found = rehearsal(FULL, replace(POLICY, most_output=3 * 10**9), paid)
    assert [2 * (Decimal("1.0334") + Decimal("0.3"))] == settled(found)


def test_few_may_begin_at_once_and_the_others_in_the_next_cycles() -> None:
    found = rehearsal(FULL, replace(POLICY, max_new_per_tick=1))
    assert (420, 480) == (starts(found)[2], starts(found)[3])


def test_who_will_be_over_sooner_here_stays() -> None:
    # Told to end within its ten minutes, 1 makes room sooner than the cloud.
    soon = past(job(1, 0, 4, 600, 600), job(2, 5, 4, 10 * HOUR, HOUR), job(3, 6, 4, HOUR, HOUR))
    veto = replace(POLICY, veto=True, start_delay=timedelta(minutes=20))
    assert {3} == away(rehearsal(soon, veto))
    assert {2, 3} == away(rehearsal(soon, replace(veto, veto=False)))


def test_other_partitions_fill_the_cluster_and_stay() -> None:
    jobs = [replace(one, queue="gpu" if one.number in {1, 2} else "cae") for one in FULL.jobs]
    few = replace(POLICY, watermarks=Watermarks(CoreHours(2), CoreHours(1)))
    found = rehearsal(past(*jobs), few)
    assert {3, 4} == away(found)
    assert {Reason.OTHER_PARTITION: 1} == reasons(found)


def test_what_nothing_happens_to_is_looked_at_all_the_same() -> None:
    old = replace(POLICY, min_age=timedelta(minutes=30))
    # 2 is old enough at 1830: it is looked at 1920. 3 is at 1890, 4 at 1900.
    assert {1: 0, 2: 2220, 3: 2220, 4: 2 * HOUR} == starts(rehearsal(FULL, old))


def test_its_age_counts_from_its_submission_as_in_the_daemon() -> None:
    """squeue tells no other time; it could start from second 30 on, and is looked at after 60."""
    marks = Watermarks(CoreHours(5), CoreHours(1))
    old = replace(POLICY, min_age=timedelta(minutes=30), watermarks=marks)
    waited = past(FULL.jobs[0], replace(FULL.jobs[1], before=HOUR), *FULL.jobs[2:])
    assert (2220, 360) == (starts(rehearsal(FULL, old))[2], starts(rehearsal(waited, old))[2])


# --- what holds for all


JOBS = st.lists(
    st.tuples(
        st.integers(0, 3 * DAY), st.integers(1, 4), st.integers(60, DAY), st.integers(0, DAY)
    ),
    min_size=1,
    max_size=25,
).map(
    lambda rows: past(
        *(
            job(n, at, c, ran + more, ran, user=f"u{n % 3}", application=f"a{n % 2}")
            for n, (at, c, ran, more) in enumerate(sorted(rows))
        )
    )
)
POLICIES = st.builds(
    lambda low, gap, amount, day, strategy, steer, most: replace(
        POLICY,
        watermarks=Watermarks(CoreHours(low + gap), CoreHours(low)),
        budget=Money(Decimal(amount)),
        budgets=(Budget("day", Money(Decimal(day)), Period.DAY),),
        strategy=strategy,
        steer=steer,
        max_new_per_tick=most,
    ),
    st.floats(0, 20), st.floats(0.1, 20), st.integers(0, 50), st.integers(0, 20),
    st.sampled_from(["threshold", "waiting", "marginal"]), st.booleans(), st.integers(1, 5),
)  # fmt: skip


@given(JOBS, POLICIES, st.booleans())
@settings(max_examples=60, deadline=None)
def test_no_budget_is_ever_passed_and_nobody_is_lost(
    history: History, policy: BurstPolicy, knows: bool
) -> None:
    found = decided("", history, Rule(policy, (VIEW,), MONDAY, 300), knows=knows)
    assert {j.number for j in history.jobs} == {run.job.number for run in found.runs}
    assert all(run.wait >= 0 for run in found.runs)
    days: dict[datetime, Decimal] = {}
    for run in found.runs:
        if run.away:
            sent = MONDAY + timedelta(seconds=run.started - run.trip)
            hours = Decimal(run.job.cores * (run.job.ran + 120)) / HOUR
            day = Period.DAY.began(sent)
            days[day] = days.get(day, Decimal(0)) + hours * VIEW.price
    assert all(spent <= policy.budgets[0].amount for spent in days.values())
    assert sum(days.values()) <= policy.budget
    assert all(spent <= policy.budget for spent in settled(found))


@given(JOBS, POLICIES)
@settings(max_examples=20, deadline=None)
def test_the_same_past_and_policy_give_the_same_rows(history: History, policy: BurstPolicy) -> None:
    assert rehearsal(history, policy).row == rehearsal(history, policy).row


@given(JOBS, POLICIES, st.integers(0, 23), st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_nobody_leaves_outside_a_window(
    history: History, policy: BurstPolicy, hour: int, hours: int
) -> None:
    window = Window(f"0 {hour} * * *", timedelta(hours=hours))
    found = rehearsal(history, replace(policy, windows=(window,)))
    for run in found.runs:
        if run.away:
            sent = MONDAY + timedelta(seconds=run.started - run.trip)
            assert (sent - timedelta(hours=hour)).hour < hours


@given(JOBS, POLICIES)
@settings(max_examples=20, deadline=None)
def test_without_money_it_is_as_if_nobody_could_leave(
    history: History, policy: BurstPolicy
) -> None:
    found = rehearsal(history, replace(policy, budget=Money(Decimal(0))))
    none = next(bounds(history, 300))
    assert none.runs == found.runs
    assert replace(none.row, name="policy") == found.row
    assert none.runs == decided("", history, budgeted(history, "marginal", 0.0)).runs


# --- how long jobs will run


def run_of(user: str, name: str, part: float, cores: int = 1) -> PastRun:
    hour = timedelta(hours=1)
    return PastRun(user, name, "", hour, part * hour, cores)


RUNS = st.lists(
    st.builds(
        run_of, st.sampled_from(["u", "v"]), st.sampled_from(["x", "y"]), st.floats(0, 1),
        st.integers(0, 3),
    ),
    max_size=30,
)  # fmt: skip


@given(RUNS)
def test_what_is_told_again_is_what_the_daemon_would_tell(runs: list[PastRun]) -> None:
    learning, jobs = Accounting(timedelta(days=30)), []
    for number, run in enumerate(runs):
        jobs.append(queued(number, identity=identity(number, user=run.user, name=run.name)))
        for one in jobs:
            learning.usage.time(one)
        learning.ended(run, number)
    fresh = Usage(runs)
    assert [fresh.time(one) for one in jobs] == [learning.usage.time(one) for one in jobs]
    assert fresh.mean == learning.usage.mean


def test_runs_are_forgotten_within_a_day_after_their_time() -> None:
    learning, mine = Accounting(timedelta(days=2)), queued(1, identity=identity(1, user="u"))
    for day in (0, 1, 2):
        learning.ended(run_of("u", "beam", 0.0), day * DAY)
    assert timedelta(hours=1) / 4 == learning.usage.time(mine)
    learning.ended(run_of("v", "beam", 0.0), 3 * DAY + 1)
    assert timedelta(hours=1) / 2 == learning.usage.time(mine)


def test_without_a_history_limits_count_as_they_are() -> None:
    learning = Accounting(timedelta())
    learning.ended(run_of("alice", "beam", 0.0, 4), 0)
    assert timedelta(hours=1) == learning.usage.time(queued())
    assert learning.usage.mean is None


def test_the_runs_of_who_is_not_known_tell_of_those_that_nothing_else_is_known_of() -> None:
    usage = Remembered([run_of("", "beam", 0.5, 4)])
    nobodys, alices = (queued(n, identity=identity(n, user=u)) for n, u in ((1, ""), (2, "alice")))
    assert [timedelta(minutes=45)] * 2 == [usage.time(nobodys), usage.time(alices)]
    assert 2.0 == usage.mean
    usage.add(run_of("alice", "beam", 1.0, 4))
    assert [timedelta(minutes=50), timedelta(hours=1)] == [usage.time(nobodys), usage.time(alices)]


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [("12", "13", False), ("12", "12", True), ("wing v2", "wing v3", True), ("a", "b", False)],
)
def test_applications_that_are_numbers_are_each_one_of_its_own(
    one: str, other: str, alike: bool
) -> None:
    names = [name(job(1, 0, 1, 9, 9, application=application)) for application in (one, other)]
    assert alike == (kind(names[0]) == kind(names[1]))


def test_a_clairvoyant_knows_and_its_mean_is_that_of_runs() -> None:
    usage = Clairvoyant({7: timedelta(minutes=5)}, [run_of("u", "x", 0.5, 4)])
    assert timedelta(minutes=5) == usage.time(queued(7))
    assert 2.0 == usage.mean


def test_where_many_come_a_day_it_is_decided_in_cycles() -> None:
    days = 20
    jobs = [job(n, n * days * DAY // 10_001, 1, 60, 60) for n in range(10_001)]
    assert 300 == budgeted(past(*jobs), "marginal", 0.1).cycle
    assert 0 == budgeted(past(*jobs[1:]), "marginal", 0.1).cycle  # not many
    rare = [replace(one, submitted=2 * one.submitted) for one in jobs]
    assert 0 == budgeted(past(*rare), "threshold", 0.1).cycle


@pytest.mark.parametrize("strategy", ["marginal", "waiting", "threshold"])
def test_a_budget_for_the_whole_past_may_be_spent_in_any_month(strategy: str) -> None:
    line = [job(n, n * 40, 4, HOUR, HOUR) for n in range(90)]
    late = [replace(one, number=one.number + 99, submitted=one.submitted + 40 * DAY)
            for one in line]  # fmt: skip
    history = past(*line, *late)
    found = decided("", history, budgeted(history, strategy, 0.4))
    sent = [run.started for run in found.runs if run.away]
    assert min(sent) < 10 * DAY < max(sent)
    assert 0.1 < found.row.cloud_share <= 0.4
