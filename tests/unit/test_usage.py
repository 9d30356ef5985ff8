"""How long jobs will run, by what was run before; and accounting's rows of it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burstd.adapters.slurm.records import FIELD, past_runs
from burstd.core.decide import decide
from burstd.domain.jobs import CoreHours
from burstd.domain.plan import Reason
from burstd.domain.policy import Ledger, Watermarks
from burstd.domain.usage import RUNS, SHORTEST, PastRun, Usage, kind
from burstd.ports.queue import Queue
from burstd.shell.past import EVERY, Past
from burstd.testing.simulators import SimulatedSlurm, SteppedClock, simulated_queue
from tests.unit.values import POLICY, identity, queued, snapshot

HOUR = timedelta(hours=1)


def run(
    minutes: float, name: str = "beam", user: str = "alice", limit: int = 60, cores: int = 0
) -> PastRun:
    times = timedelta(minutes=limit), timedelta(minutes=minutes)
    return PastRun(user, name, "phys", *times, cores)


@pytest.mark.parametrize(
    ("runs", "minutes", "by"),
    [
        ([], 60, "its time limit"),
        ([run(0)], 30, "50% of its limit, by 1 runs like it of alice's"),
        ([run(15)] * 3, 26.25, "44% of its limit, by 3 runs like it"),
        ([run(90, limit=900)], 33, "55% of its limit"),
        ([run(600, limit=300)], 60, "100% of its limit"),
        ([run(10, user="bob", limit=120)] * 9, 60, "its time limit"),
        ([run(15, user="bob")] * 3, 26.25, "44% of its limit, by 3 runs that asked for as much"),
        (
            [run(0, user="bob", cores=4), run(15, user="bob", cores=16)],
            37.5,
            "62% of its limit, by 1 runs that asked for as much",
        ),
        ([run(15, user="bob"), run(45)], 52.5, "88% of its limit, by 1 runs like it"),
        ([run(15, user="")], 37.5, "62% of its limit, by 1 runs that asked for as much time"),
        ([run(60, name="plate", limit=120)] * 9, 33, "55% of its limit, by 9 other runs"),
        ([*[run(60, name="plate")] * 20, run(0)], 30, "50% of its limit, by 1 runs like it"),
        ([*[run(60)] * 20, *[run(0)] * RUNS], 60 / (1 + RUNS), "9% of its limit, by 10 runs"),
        ([run(10, limit=0)], 60, "its time limit"),
    ],
)
def test_the_closest_habits_that_are_known_count(
    runs: list[PastRun], minutes: float, by: str
) -> None:
    found = Usage(runs).expected(queued(time_limit=HOUR, cpus=16))
    assert found is not None
    assert found.by.startswith(by)
    assert abs(minutes * 60 - found.time.total_seconds()) < 0.01


def test_a_name_is_of_a_kind_whatever_its_numbers() -> None:
    assert kind("run_017b2") == kind("run_18b3") != kind("run_b")
    usage = Usage([run(10, name="case-1"), run(20, name="case-22")])
    found = usage.expected(queued(identity=identity(1, name="case-333")))
    assert found is not None
    assert timedelta(minutes=30) == found.time


@given(
    st.lists(
        st.builds(
            run, st.floats(0, 2000), st.sampled_from(["beam", "b1", "x"]),
            st.sampled_from(["alice", "bob"]), st.integers(0, 2000),
        ),
        max_size=30,
    ),
    st.none() | st.integers(1, 5000).map(lambda m: timedelta(minutes=m)),
)  # fmt: skip
def test_nothing_is_expected_to_run_longer_than_it_may(
    runs: list[PastRun], limit: timedelta | None
) -> None:
    job = queued(time_limit=limit)
    found = Usage(runs).expected(job)
    if limit is None:
        assert found is None
        return
    assert found is not None
    assert min(SHORTEST, limit) <= found.time <= limit
    assert Usage(runs).core_hours(job) <= job.core_hours + 1e-9


def test_pressure_is_reckoned_by_what_is_expected_and_money_by_the_limit() -> None:
    job = queued(cpus=20)  # 20 core-hours by its limit, which is above the high mark
    assert 1 == len(decide(snapshot(job), POLICY, Ledger()).placements)
    used = replace(snapshot(job), usage=Usage([run(6)] * 3))
    plan = decide(used, POLICY, Ledger())
    assert Reason.BELOW_WATERMARK is plan.declined[0].reason
    assert abs(6.5 - plan.backlog) < 1e-6

    low = replace(POLICY, watermarks=Watermarks(CoreHours(1.5), CoreHours(0.1)))
    (placed,) = decide(used, low, Ledger()).placements
    assert decide(snapshot(job), low, Ledger()).placements[0].reserved == placed.reserved


def row(*cells: str) -> str:
    return FIELD.join(cells) + "\n"


GOOD = ("200", "alice", "phys", "cae", "COMPLETED", "60", "600", "16", "beam")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, 1),
        ({4: "FAILED"}, 1),
        ({4: "TIMEOUT"}, 1),
        ({4: "CANCELLED by 1001"}, 0),
        ({4: "NODE_FAIL"}, 0),
        ({4: "RUNNING", 0: "Unknown"}, 0),
        ({3: "burst"}, 0),
        ({5: "UNLIMITED"}, 0),
        ({5: "Partition_Limit"}, 0),
        ({6: ""}, 0),
        ({7: ""}, 0),
        ({8: f"a{FIELD}b"}, 1),
    ],
)
def test_a_row_of_accounting_is_a_run_that_came_to_its_end(
    changes: dict[int, str], told: int
) -> None:
    cells = [changes.get(at, cell) for at, cell in enumerate(GOOD)]
    assert told == len(past_runs(row(*cells), "burst"))


def test_runs_are_told_by_their_end_and_a_cut_row_tells_nothing() -> None:
    late, early = row("300", *GOOD[1:8], "late"), row("100", *GOOD[1:8], "early")
    found = past_runs(late + early + late[:-7] + "\n" + "x", "burst")
    assert 16 * 600 / 3600 == found[0].core_hours
    assert ["early", "late"] == [one.name for one in found][:2]


def test_a_jobs_name_tells_of_nobody_elses_runs() -> None:
    clock = SteppedClock()
    slurm = SimulatedSlurm(clock, slots=9)
    key = slurm.submit(user="mallory", name="x\n" + row(*GOOD), minutes=60)
    slurm.schedule()
    clock.forward(seconds=600)
    slurm.finish(key, 0)
    found = simulated_queue(slurm).past(clock.now() - HOUR)

    assert ["mallory"] == [run.user for run in found]


def test_who_asks_while_another_thread_is_asking_accounting_gets_the_same_answer() -> None:
    """Else the daemon's first decision knows nothing because somebody wanted an estimate."""
    asked, answered = threading.Event(), threading.Event()

    class Slow:
        def past(self, _since: datetime) -> tuple[PastRun, ...]:
            asked.set()
            answered.wait(5)
            return (PastRun("alice", "beam", "phys", HOUR, HOUR / 2),)

    past, clock, queue = Past(), SteppedClock(), cast("Queue", Slow())
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(past.usage, queue, clock, HOUR)
        assert asked.wait(5)
        second = pool.submit(past.usage, queue, clock, HOUR)
        threading.Timer(0.2, answered.set).start()
        assert [[0.5], [0.5]] == [one.result().used("alice", "beam") for one in (first, second)]


def test_accounting_is_asked_now_and_then_and_may_be_away() -> None:
    clock = SteppedClock()
    slurm = SimulatedSlurm(clock, slots=9)
    queue, past = simulated_queue(slurm), Past()
    key = slurm.submit(name="beam", minutes=60)
    slurm.schedule()
    clock.forward(seconds=600)
    slurm.finish(key, 0)

    def expected() -> float:
        found = past.usage(queue, clock, timedelta(days=30)).expected(queued(time_limit=HOUR))
        return found.time.total_seconds() if found else 0

    slurm.accounting_up = False
    assert 3600 == expected()
    slurm.accounting_up = True
    assert 3600 == expected()
    clock.forward(seconds=EVERY.total_seconds())
    assert 2100 == expected()  # a sixth of its hour, and one that used all
    by_limit = past.usage(queue, clock, timedelta()).expected(queued(time_limit=HOUR))
    assert by_limit is not None
    assert HOUR == by_limit.time
