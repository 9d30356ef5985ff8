"""The stories told by hand: each holds, and comes to what it is told for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.sim import told
from tests.sim.play import Play, Tell
from tests.sim.story import Story


def played(stories: Iterator[Story], tell: Tell | None = None) -> Iterator[Play]:
    for story in stories:
        play = Play(story, tell)
        assert [] == play.run(), list(map(str, story.moves))
        yield play


def test_nothing_happens_to_the_job_that_got_the_id_of_a_forgotten_one() -> None:
    met = [play for play in played(told.strangers()) if play.site.slurm.jobs[0].name != "j0"]
    assert len(met) >= 20


def test_a_return_that_slurm_forgets_is_made_again() -> None:
    stages = [stage for play in played(told.returns_forgotten()) for _, stage in play.hits]
    assert stages.count("returning") >= 10


def test_a_stand_in_that_ended_just_before_a_change_is_not_begun_again() -> None:
    met = [play for play in played(told.ended_meanwhile()) if not play.site.ends]
    assert len(met) >= 5


def test_results_that_nobody_could_bring_home_remain() -> None:
    rows = [
        row for play in played(told.never_landed()) for row in play.checker.ledger.rows.values()
    ]
    assert {"settled"} == {row.stage for row in rows if row.remains}
    assert len([row for row in rows if row.remains]) >= 5


def test_what_came_to_its_end_far_away_has_ended_whatever_became_of_its_job() -> None:
    far = [play for play in played(told.done_meanwhile()) if play.site.ends[0].where != "onprem"]
    assert len(far) >= 5


def test_a_job_is_asked_back_in_time_or_not_at_all() -> None:
    ends = {play.site.ends[0].where for play in played(told.asked_at_the_last_moment())}
    assert len(ends) == 2


def test_a_submission_that_the_far_end_forgets_is_made_again() -> None:
    stages = {stage for play in played(told.submissions_forgotten()) for _, stage in play.hits}
    assert {"submitted", "running"} <= stages


def test_a_submission_that_is_late_is_waited_for() -> None:
    met = [play for play in played(told.answers_late()) if ("far late", "submitting") in play.hits]
    assert len(met) >= 3


def test_no_clock_hastens_what_must_be_durable() -> None:
    stages = {stage for play in played(told.clocks_set()) for _, stage in play.hits}
    assert {"staging_in", "submitted"} <= stages


@pytest.mark.parametrize(
    ("stories", "what"),
    [(told.ended_at_the_last_moment, "asked to end"), (told.ends_refused, "refused")],
)
def test_an_end_that_is_asked_for_before_the_burst_is_closed_comes_and_is_asked_for_again(
    stories: Callable[[], Iterator[Story]], what: str
) -> None:
    met = [play for play in played(stories()) if (what, "returning") in play.hits]
    assert len(met) >= 8
    for play in met:
        assert not play.site.ends
        assert "CANCELLED" == list(play.site.slurm.accounting.values())[-1].state


def test_what_somebody_writes_who_was_overtaken_is_refused() -> None:
    events: list[str] = []
    stages = {stage for play in played(told.overtaken(), events.append) for _, stage in play.hits}
    assert {"planned", "claiming", "claimed"} <= stages
    assert len([event for event in events if event.endswith("StaleBurst [overtaken]")]) >= 3
