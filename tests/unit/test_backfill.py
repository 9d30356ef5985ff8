"""When the line starts: by hand, and against the rehearsed scheduler, which finds the same where
everybody runs as long as was expected."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burstd.core.backfill import REACH, SEEN, starts
from burstd.core.room import Outlook, Waiter
from burstd.rehearsal.easy import Cluster, rehearse
from burstd.rehearsal.history import History, PastJob

CORES = 8


def line(*jobs: tuple[int, float]) -> list[Waiter]:
    """(cores, seconds)."""
    return [Waiter(cores, seconds, 0.0) for cores, seconds in jobs]


#: Half of the cluster is free in 100 s, the rest in 1000 s.
HALVES = Outlook(CORES, 0, [(1000.0, 4), (100.0, 4)])


def test_one_after_the_other_where_nobody_fits_beside_the_first() -> None:
    assert [1000.0, 1010.0] == starts(line((8, 10), (8, 10)), HALVES)


def test_who_is_over_before_the_first_has_its_turn_overtakes_it() -> None:
    assert [1000.0, 100.0, 1010.0] == starts(line((8, 10), (4, 900), (4, 901)), HALVES)


def test_who_fits_beside_the_first_overtakes_it_however_long_it_runs() -> None:
    # Six of eight leave two over: for one of the two that would take them.
    assert [1000.0, 100.0, 1010.0] == starts(line((6, 10), (2, 9999), (2, 9999)), HALVES)


def test_what_is_free_helps_the_first_and_lets_others_overtake_only_as_time_goes_by() -> None:
    some_free = Outlook(CORES, 3, [(100.0, 1), (1000.0, 4)])
    # Whom Slurm could start at once it has started.
    assert [1000.0, 100.0] == starts(line((8, 10), (3, 900)), some_free)


def test_of_an_array_as_many_overtake_as_there_is_room_for() -> None:
    array = Waiter(2, 900.0, 0.0, tasks=3)
    assert [1000.0, 100.0, 1910.0] == starts([*line((8, 10)), array, *line((8, 1))], HALVES)
    assert [100.0] == starts([array], HALVES)


def test_nobody_overtakes_from_out_of_reach() -> None:
    far = [(8, 10.0)] * (1 + REACH) + [(1, 1.0)]
    assert 100.0 == starts(line(*far[1:]), HALVES)[-1]
    assert 1000.0 + 10 * (1 + REACH) == starts(line(*far), HALVES)[-1]


def test_a_line_is_not_looked_at_to_its_end() -> None:
    found = starts([Waiter(8, 10.0, 0.0, tasks=SEEN), *line((8, 10))], HALVES)
    assert [1000.0, math.inf] == found
    many = starts([*line((8, 10)), Waiter(1, 1.0, 0.0, tasks=10**6)], HALVES)
    assert [1000.0, 100.0] == many


#: (cores, seconds); no more than are within reach.
JOBS = st.lists(
    st.tuples(st.integers(1, CORES), st.integers(1, 50)), min_size=1, max_size=1 + REACH
)


@given(JOBS)
def test_the_rehearsed_scheduler_starts_them_then(jobs: list[tuple[int, int]]) -> None:
    all_that_runs = (CORES, 60)
    past = [PastJob(n, 0, cores, ran, ran) for n, (cores, ran) in enumerate([all_that_runs, *jobs])]
    runs = rehearse(History("", CORES, tuple(past)), _nobody, 0)
    started = {run.job.number: run.started for run in runs}
    found = starts(line(*jobs), Outlook(CORES, 0, [(60.0, CORES)]))
    assert [started[1 + place] for place in range(len(jobs))] == pytest.approx(found)


def _nobody(_cluster: Cluster) -> list[int]:
    return []
