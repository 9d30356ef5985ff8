"""burstd is killed at every call of every port, before and after its effect, and comes back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.sim.kills import REFERENCE, RICH, Run, distinct, pairs, points


def test_one_kill_anywhere_runs_no_job_twice_and_loses_none() -> None:
    score = points(RICH)

    assert [] == score.wrong
    assert score.points > 500  # the story is long enough to be worth killing
    assert score.played > 80


def test_a_power_cut_that_takes_the_controller_too_runs_no_job_twice() -> None:
    assert [] == points(replace(RICH, power_cut=True)).wrong


def test_what_only_reads_leaves_the_world_as_it_is() -> None:
    """So that a kill before it is a kill after it, and one picture stands for both."""
    trusting = Run.from_the_beginning(RICH)
    doubting = Run.from_the_beginning(RICH, trusting=False)

    assert [] == trusting.play() == doubting.play()
    assert len(doubting.pictures) > 2 * len(trusting.pictures)
    assert {p.digest for p in doubting.pictures} == {p.digest for p in trusting.pictures}
    assert trusting.points == sum(picture.points for picture in distinct(trusting.pictures))


@pytest.mark.long
def test_two_kills_anywhere_run_no_job_twice_and_lose_none() -> None:
    score = pairs(REFERENCE)

    assert [] == score.wrong
    assert score.kills > 50_000
