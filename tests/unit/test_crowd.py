"""How often a crowd of jobs may be looked at."""

from __future__ import annotations

from datetime import timedelta

from burstd.api.crowd import CORES, LATEST, LOOK, SOONEST, Crowd
from burstd.domain.burst import BurstId
from burstd.testing.clock import SteppedClock

NOW = SteppedClock().now()


def periods(crowd: Crowd, count: int, seconds: float = 0) -> float:
    at = NOW + timedelta(seconds=seconds)
    return [crowd.period(BurstId(f"b{number}"), at) for number in range(count)][-1]


def test_few_are_looked_at_soon_and_many_take_no_more_than_their_cores() -> None:
    assert SOONEST == periods(Crowd(), 1) == periods(Crowd(), 1 + int(SOONEST * CORES / LOOK) - 1)
    for count in (100, 200, 400):
        assert CORES >= count / periods(Crowd(), count) * LOOK
    assert LATEST == periods(Crowd(), 5000)


def test_who_asks_twice_is_one_and_who_is_gone_none() -> None:
    crowd = Crowd()
    assert periods(crowd, 200) == periods(crowd, 200)
    assert SOONEST == periods(crowd, 1, seconds=300)
