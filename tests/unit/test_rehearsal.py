"""Rehearsals of a few jobs, worked out by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from burstd.cli.burst import app
from burstd.core.room import Outlook, Waiter
from burstd.core.selection import STRATEGIES, Strategy, marginal, threshold, waiting
from burstd.core.steering import HIGH, LOW, Steering
from burstd.rehearsal.compare import decided, shaken
from burstd.rehearsal.easy import Cluster, Run, rehearse
from burstd.rehearsal.history import History, PastJob
from burstd.rehearsal.measures import measure, quantile
from burstd.rehearsal.rules import budgeted


def job(number: int, submitted: int, cores: int, ran: int, limit: int | None = None) -> PastJob:
    return PastJob(number, submitted, cores, limit or ran, ran)


def history(cores: int, *jobs: PastJob) -> History:
    return History("by hand", cores, jobs)


def stay(_cluster: Cluster) -> Sequence[int]:
    return ()


def starts(runs: Sequence[Run]) -> dict[int, int]:
    return {run.job.number: run.started for run in runs}


# --- the scheduler


def test_first_come_first_served_while_there_is_room() -> None:
    past = history(4, job(1, 0, 2, 100), job(2, 10, 2, 100), job(3, 20, 4, 50), job(4, 30, 1, 10))
    assert {1: 0, 2: 10, 3: 110, 4: 100} == starts(rehearse(past, stay, 0))


def test_who_ends_before_the_first_can_start_overtakes_it() -> None:
    past = history(4, job(1, 0, 3, 100), job(2, 10, 4, 50), job(3, 20, 1, 80), job(4, 21, 1, 81))
    # 3 ends at 100, when 2 can start; 4 would end later.
    assert {1: 0, 2: 100, 3: 20, 4: 150} == starts(rehearse(past, stay, 0))


def test_who_needs_only_what_the_first_leaves_over_may_stay_longer() -> None:
    past = history(
        4, job(1, 0, 3, 100), job(2, 10, 3, 50), job(3, 20, 1, 1000), job(4, 30, 1, 1000)
    )
    assert {1: 0, 2: 100, 3: 20, 4: 150} == starts(rehearse(past, stay, 0))


def test_the_scheduler_believes_the_limit_and_learns_when_a_job_ends() -> None:
    past = history(2, job(1, 0, 1, 10, 100), job(2, 1, 2, 10), job(3, 2, 1, 90), job(4, 3, 1, 5))
    # It believes that 1 runs until 100: 3 overtakes. 1 ends at 10, 3 runs on until 92.
    assert {1: 0, 3: 2, 4: 10, 2: 92} == starts(rehearse(past, stay, 0))


def test_who_come_in_the_same_second_are_served_by_number() -> None:
    past = history(4, job(1, 0, 3, 100), job(2, 0, 2, 50), job(3, 0, 1, 100), job(4, 0, 1, 10))
    # 2 can start at 100. 3 ends then, and takes the only core that 4 could have had.
    assert {1: 0, 2: 100, 3: 0, 4: 100} == starts(rehearse(past, stay, 0))


def test_what_ends_in_a_second_is_free_for_who_comes_in_it() -> None:
    past = history(2, job(1, 0, 2, 100), job(2, 100, 2, 10))
    assert {1: 0, 2: 100} == starts(rehearse(past, stay, 0))


def test_what_the_first_leaves_over_is_given_away_once() -> None:
    past = history(
        4, job(1, 0, 2, 100), job(2, 10, 3, 50), job(3, 20, 1, 1000), job(4, 20, 1, 1000)
    )
    # At 100 the first takes three of four: 3 stays on the fourth, 4 would be in its way.
    assert {1: 0, 2: 100, 3: 20, 4: 150} == starts(rehearse(past, stay, 0))


def test_the_first_is_promised_the_moment_at_which_enough_have_ended() -> None:
    past = history(
        4, job(1, 0, 2, 100), job(2, 0, 2, 60), job(3, 10, 4, 50), job(4, 20, 1, 40),
        job(5, 21, 1, 41),
    )  # fmt: skip
    # 3 needs both to end. From 60 on there is room: for 4, who ends at 100, and not for 5.
    assert {1: 0, 2: 0, 3: 100, 4: 60, 5: 150} == starts(rehearse(past, stay, 0))


def test_each_is_first_in_its_turn_and_nobody_is_in_its_way() -> None:
    past = history(
        3, job(1, 0, 2, 100), job(2, 1, 3, 50), job(3, 2, 3, 30), job(4, 3, 1, 98), job(5, 4, 1, 96)
    )
    assert {1: 0, 2: 100, 3: 150, 4: 180, 5: 4} == starts(rehearse(past, stay, 0))


def test_a_promise_is_kept_early_when_a_job_ends_before_its_limit() -> None:
    past = history(2, job(1, 0, 2, 10, 100), job(2, 1, 2, 10), job(3, 2, 1, 5))
    assert {1: 0, 2: 10, 3: 20} == starts(rehearse(past, stay, 0))


def test_what_leaves_makes_room_in_the_line_and_starts_after_the_delay() -> None:
    past = history(2, job(1, 0, 2, 100), job(2, 10, 2, 500), job(3, 20, 1, 30))

    def widest(cluster: Cluster) -> Sequence[int]:
        return [place for place, waiting in enumerate(cluster.waiting) if waiting.ran == 500]

    runs = rehearse(past, widest, 7)
    assert {1: 0, 2: 17, 3: 100} == starts(runs)
    assert {2} == {run.job.number for run in runs if run.away}


def test_who_has_priority_is_before_all_who_have_less() -> None:
    full, last = job(1, 0, 2, 100), replace(job(4, 30, 2, 10), priority=9)
    past = history(2, full, job(2, 10, 2, 50), job(3, 20, 2, 50), last)
    assert {1: 0, 4: 100, 2: 110, 3: 160} == starts(rehearse(past, stay, 0))


def test_in_cycles_it_is_looked_at_full_ones_and_again_when_nothing_happens() -> None:
    past = history(2, job(1, 7, 2, 1000), job(2, 10, 2, 50), job(3, 700, 1, 50))
    looks = []

    def watched(cluster: Cluster) -> Sequence[int]:
        looks.append(cluster.now)
        return [0] if cluster.now == 667 else ()

    runs = rehearse(past, watched, 5, cycle=60)
    # Cycles count from the first job. 2 came at 10; from 67 on nothing happens; at 667 it leaves,
    # and it is looked again at once; 3 came at 700.
    assert [67, 367, 667, 727] == looks
    assert {1: 7, 2: 672, 3: 1007} == starts(runs)
    assert [5] == [run.trip for run in runs if run.away]


JOBS = st.lists(
    st.tuples(
        st.integers(0, 200), st.integers(1, 8), st.integers(1, 100), st.integers(0, 100)
    ),
    min_size=1,
    max_size=40,
)  # fmt: skip


@given(JOBS)
def test_nobody_is_lost_nobody_starts_too_soon_and_there_are_never_too_many(
    given_jobs: list[tuple[int, int, int, int]],
) -> None:
    jobs = [job(n, at, c, r, r + more) for n, (at, c, r, more) in enumerate(given_jobs)]
    past = history(8, *sorted(jobs, key=lambda j: (j.submitted, j.number)))
    runs = rehearse(past, stay, 0)

    assert sorted(j.number for j in jobs) == sorted(run.job.number for run in runs)
    assert all(run.wait >= 0 for run in runs)
    for moment in {run.started for run in runs}:
        going = [r for r in runs if r.started <= moment < r.started + r.job.ran]
        assert sum(run.job.cores for run in going) <= 8


@given(JOBS)
def test_nobody_overtakes_to_the_first_ones_harm(
    given_jobs: list[tuple[int, int, int, int]],
) -> None:
    """With true limits the first in the line starts no later than without who came after it."""
    jobs = sorted(
        (job(n, at, c, r) for n, (at, c, r, _) in enumerate(given_jobs)),
        key=lambda j: (j.submitted, j.number),
    )
    all_of_them = starts(rehearse(history(8, *jobs), stay, 0))
    first = next((j for j in jobs if all_of_them[j.number] > j.submitted), None)
    if first is not None:
        earlier = jobs[: jobs.index(first) + 1]
        assert (
            all_of_them[first.number]
            <= starts(rehearse(history(8, *earlier), stay, 0))[first.number]
        )


# --- the figures


def test_the_figures_of_three_jobs() -> None:
    runs = [
        Run(job(1, 0, 1, 3600), 0, away=False),
        Run(job(2, 0, 2, 3600), 1800, away=True),
        Run(job(3, 0, 1, 60), 600, away=False),
    ]
    row = measure("threshold", runs)
    assert (3, 1) == (row.jobs, row.burst_jobs)
    assert 2 * 3720 / 3600 == pytest.approx(row.cloud_core_hours)
    assert (800, 600, 1680) == pytest.approx((row.mean_wait_s, row.median_wait_s, row.p95_wait_s))
    hours = 1 + 2 + 1 / 60
    assert (1800 * 2 + 600 / 60) / hours == pytest.approx(row.weighted_wait_s)
    assert (1 + 1.5 + 1.1) / 3 == pytest.approx(row.mean_bounded_slowdown)


def test_quantiles_lie_between_the_values_around_them() -> None:
    assert 2.5 == quantile([1, 2, 3, 4], 0.5)
    assert (1, 4) == (quantile([1, 2, 3, 4], 0), quantile([1, 2, 3, 4], 1))


# --- strategies


def line(*jobs: tuple[int, float, float]) -> list[Waiter]:
    return [Waiter(cores, hours * 3600, waited) for cores, hours, waited in jobs]


IDLE = Outlook(4, 0, [(3600.0, 4)], delay=0.0)  #: all four cores become free in an hour


def test_threshold_sends_from_the_head_until_what_waits_is_below_the_mark() -> None:
    waits = line((1, 4, 0), (1, 3, 0), (1, 2, 0))
    assert [9 / 4, 5 / 4, 2 / 4] == threshold(waits, IDLE, 0)
    assert [True, False, False] == [worth > 5 / 4 for worth in threshold(waits, IDLE, 5 / 4)]


def test_waiting_lets_the_small_ones_go_first() -> None:
    assert [0.5, 2] == waiting(line((1, 4, 7200), (1, 1, 7200)), IDLE, 0)


def test_marginal_counts_the_hours_that_a_job_is_spared_and_spares_those_behind_it() -> None:
    waits = line((4, 2, 0), (4, 1, 0))
    # Nobody leaves: the first waits 1 h, and delays the second by 8 core-hours on 4 cores.
    first, second = marginal(waits, IDLE, price=99)
    assert ((1 + 8 / 4) / 8, 3 / 4) == pytest.approx((first, second))
    # The first leaves: the second starts in an hour.
    assert 1 / 4 == pytest.approx(marginal(waits, IDLE, price=0.2)[1])


def test_who_overtakes_the_first_waits_less_than_its_place_says() -> None:
    two_of_four = Outlook(4, 0, [(3600.0, 2), (36000.0, 2)], delay=0.0)
    _, short, long = marginal(line((4, 2, 0), (2, 9, 0), (2, 10, 0)), two_of_four, price=99)
    # The second fits before the first's turn comes, and the third does not: it waits 12 hours.
    assert ((1 + 18 / 4) / 18, 12 / 20) == pytest.approx((short, long))


def test_whom_the_trip_takes_longer_than_the_wait_is_worth_nothing() -> None:
    assert [0.0] == marginal(line((4, 1, 0)), replace(IDLE, delay=3601.0), 0)


def test_theta_weighs_an_hour_of_a_large_job_more() -> None:
    waits = line((4, 2, 0))
    outlook = replace(IDLE, mean=2.0, theta=0.5)
    even = replace(outlook, theta=0.0)
    assert 2 * marginal(waits, even, 9)[0] == pytest.approx(marginal(waits, outlook, 9)[0])


@pytest.mark.parametrize("strategy", [threshold, waiting, marginal])
def test_a_worth_is_the_same_on_a_site_that_is_ten_times_as_large(strategy: Strategy) -> None:
    small, large = line((1, 2, 60), (4, 1, 30)), line((10, 2, 60), (40, 1, 30))
    ten = Outlook(40, 0, [(3600.0, 40)], delay=0.0, mean=10.0)
    assert strategy(small, IDLE, 1.0) == pytest.approx(strategy(large, ten, 1.0))


# --- the price


def test_who_has_no_budget_buys_nothing() -> None:
    assert math.inf == Steering(0.0, 100.0).tariff(5.0, 0.0).price()


def test_a_bucket_begins_half_full_and_a_steady_spender_finds_the_price_in_the_middle() -> None:
    steering = Steering(1000.0, 100.0)
    middle = math.sqrt(LOW * HIGH)
    assert [middle] * 3 == pytest.approx(
        [steering.tariff(t, 10.0 * t).price() for t in (0.0, 50.0, 100.0)]
    )


def test_the_emptier_the_bucket_the_higher_the_price_between_its_two_ends() -> None:
    steering = Steering(1000.0, 100.0, part=0.2)  # a bucket of 200, 100 in it
    prices = [steering.tariff(0.0, spent).price() for spent in (-100.0, 0.0, 50.0, 100.0, 700.0)]
    ratio = HIGH / LOW
    assert [LOW, LOW * ratio**0.5, LOW * ratio**0.75, HIGH, HIGH] == pytest.approx(prices)


def test_what_quiet_weeks_leave_over_pays_for_a_storm_over_the_whole_range() -> None:
    steering = Steering(1000.0, 100.0, part=0.2)
    assert LOW == pytest.approx(steering.tariff(70.0, 0.0).price())  # 100 + 700 saved
    half, all_of_it = [(70.0, 400.0)], [(70.0, 300.0), (70.0, 500.0)]
    prices = [
        steering.tariff(70.0, 400.0, half).price(),
        steering.tariff(70.0, 800.0, all_of_it).price(),
    ]
    assert [math.sqrt(LOW * HIGH), HIGH] == pytest.approx(prices)
    assert LOW == pytest.approx(
        steering.tariff(70.0, 400.0).price()
    )  # nobody remembers the quiet weeks


def test_who_takes_much_of_the_bucket_must_be_worth_what_others_will_then_have_to_be() -> None:
    now = Steering(1000.0, 100.0, part=0.2).tariff(0.0, 0.0)  # 100 of 200 are in it
    then = Steering(1000.0, 100.0, part=0.2).tariff(0.0, 50.0)
    assert now.price() < now.price(50.0) == pytest.approx(then.price())
    assert HIGH == pytest.approx(now.price(150.0))  # more than there is


def test_what_is_worth_less_than_the_lowest_price_waits_though_the_budget_would_do() -> None:
    late = 40 * 3600
    past = history(1, job(1, 0, 1, 7200), job(2, late, 1, 7200), job(3, late, 1, 7200))
    runs = decided("", past, budgeted(past, "marginal", 1.0, theta=0.0), knows=True).runs
    # 3 would be spared two hours: less than five for what a job costs on average.
    assert {1: 0, 2: late, 3: late + 7200} == starts(runs)


@given(JOBS, st.sampled_from(sorted(STRATEGIES)), st.floats(0.0, 0.6))
def test_no_strategy_spends_more_than_its_budget_or_loses_a_job(
    given_jobs: list[tuple[int, int, int, int]], strategy: str, share: float
) -> None:
    jobs = [job(n, at, c, r, r + more) for n, (at, c, r, more) in enumerate(given_jobs)]
    past = history(8, *sorted(jobs, key=lambda j: (j.submitted, j.number)))
    found = decided(strategy, past, budgeted(past, strategy, share))

    assert sorted(j.number for j in jobs) == sorted(run.job.number for run in found.runs)
    assert found.row.cloud_core_hours <= share * past.core_hours + 1e-9


def test_a_shaken_history_has_the_same_jobs_and_a_seed_shakes_it_the_same_way() -> None:
    past = history(8, *(job(n, 100 * n, 1, 50) for n in range(50)))
    one, two = shaken(past, 7), shaken(past, 7)
    assert one == two != shaken(past, 8)
    assert {j.number for j in past.jobs} == {j.number for j in one.jobs}
    assert list(one.jobs) == sorted(one.jobs, key=lambda j: (j.submitted, j.number))


# --- the command


def test_the_command_writes_a_row_for_each_rule(tmp_path: Path) -> None:
    log, out = tmp_path / "log.swf", tmp_path / "out.json"
    rows = [f"{n} {60 * n} -1 3600 2 -1 -1 2 7200 -1 1 7 1 1 1 -1 -1 -1" for n in range(1, 60)]
    log.write_text("; MaxProcs: 8\n" + "\n".join(rows) + "\n")
    argv = ["simulate", "--swf", str(log), "--cloud-share", "0.2", "--strategy", "waiting"]
    done = CliRunner().invoke(app, [*argv, "--json", str(out)])
    assert (0, "") == (done.exit_code, done.output)

    told = json.loads(out.read_text())
    assert (59, 8) == (told["trace"]["jobs"], told["trace"]["procs"])
    names = ["none", "everything", "clairvoyant", "waiting"]
    assert names == [row["name"] for row in told["strategies"]]
    none, everything, _, waits = told["strategies"]
    assert (0, 0.0) == (none["burst_jobs"], none["cloud_core_hours"])
    assert none["mean_wait_s"] > waits["mean_wait_s"] > everything["mean_wait_s"]
    assert waits["cloud_share"] <= 0.2


def test_a_file_that_is_no_log_is_a_wrong_use_and_no_traceback(tmp_path: Path) -> None:
    for path, said in (
        (tmp_path / "none.swf", "none.swf: No such file"),
        (Path(__file__), "is not one of"),
    ):
        done = CliRunner().invoke(app, ["simulate", "--swf", str(path)])
        assert (2, True) == (done.exit_code, said in done.output)
