"""The table of moves: whole, reachable, and the only way to move."""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from decimal import Decimal

import pytest

from burstd.core.lifecycle import RETURNABLE, TRANSITIONS, IllegalTransition, advance
from burstd.domain import events as ev
from burstd.domain.burst import Epoch, Stage, Uptime
from burstd.domain.targets import Money, Outcome, RemoteId
from burstd.shell.steps import STEPS
from tests.unit.values import NOW, burst

SEEN = Epoch("7", Uptime("m1", 5.0))

OPEN = [stage for stage in Stage if not stage.at_rest]
#: From here on a payload may have run: running the job at home would be a second run.
AFTER_THE_PERMIT = [
    Stage.RUNNING, Stage.CANCELLING, Stage.ENDED, Stage.STAGING_OUT, Stage.STAGED_OUT,
    Stage.SETTLING,
]  # fmt: skip


def following(stage: Stage, but: type[ev.Event] | None = None) -> set[Stage]:
    """What may follow; where a quarantined burst was, it has been."""
    moves = TRANSITIONS[stage].items()
    return {to for event, to in moves if isinstance(to, Stage) and event is not but}


def test_every_stage_has_a_row_and_is_reached_from_planned() -> None:
    seen, todo = {Stage.PLANNED}, deque([Stage.PLANNED])
    while todo:
        for stage in following(todo.popleft()) - seen:
            seen.add(stage)
            todo.append(stage)

    assert set(Stage) == set(TRANSITIONS) == seen


@pytest.mark.parametrize("stage", Stage, ids=lambda s: s.value)
def test_a_final_stage_is_exactly_one_without_exits(stage: Stage) -> None:
    assert stage.final == (not following(stage) - {stage})


@pytest.mark.parametrize("stage", OPEN, ids=lambda s: s.value)
def test_an_open_stage_has_a_step_or_only_begins_one(stage: Stage) -> None:
    begins = {ev.Begun, ev.Broken, ev.Quarantined}
    assert (stage in STEPS) != (set(TRANSITIONS[stage]) == begins)


@pytest.mark.parametrize("stage", STEPS, ids=lambda s: s.value)
def test_a_stage_with_a_step_can_take_every_failure(stage: Stage) -> None:
    assert {ev.Refused, ev.Broken} <= set(TRANSITIONS[stage])
    assert Stage.QUARANTINED is TRANSITIONS[stage][ev.Broken]


@pytest.mark.parametrize("stage", OPEN, ids=lambda s: s.value)
def test_every_open_stage_has_a_way_to_an_end_that_is_not_a_fault(stage: Stage) -> None:
    seen, todo = {stage}, [stage]
    while todo:
        for later in following(todo.pop()) - seen:
            seen.add(later)
            todo.append(later)

    assert seen & {Stage.SETTLED, Stage.RETURNED}


@pytest.mark.parametrize("stage", AFTER_THE_PERMIT, ids=lambda s: s.value)
def test_no_job_goes_home_once_its_twin_may_have_run(stage: Stage) -> None:
    """``Unbegun`` is the proof that it has not."""
    seen, todo = {stage}, [stage]
    while todo:
        for later in following(todo.pop(), but=ev.Unbegun) - seen:
            seen.add(later)
            todo.append(later)

    assert set() == seen & {Stage.RETURNING, Stage.RETURNED, Stage.PERMITTING}


def test_an_event_without_a_row_changes_nothing_and_tells_who_and_what() -> None:
    before = burst(Stage.SETTLED)
    with pytest.raises(IllegalTransition, match="burst 000000000001: Done in SETTLED"):
        advance(before, ev.Done())

    assert Stage.SETTLED is before.stage


@pytest.mark.parametrize("stage", OPEN, ids=lambda s: s.value)
def test_deferring_moves_nothing_but_time_and_version(stage: Stage) -> None:
    due = NOW + timedelta(seconds=2)
    after = advance(burst(stage), ev.Deferred(due, "away"))

    assert (stage, due, "away", 1, 1) == (
        after.stage, after.due_at, after.cause, after.attempt, after.version,
    )  # fmt: skip


@pytest.mark.parametrize("stage", [s for s in Stage if s.at_rest], ids=lambda s: s.value)
def test_what_is_at_rest_cannot_even_be_deferred(stage: Stage) -> None:
    with pytest.raises(IllegalTransition):
        advance(burst(stage), ev.Deferred(NOW, "away"))


def test_a_move_takes_its_evidence_along_and_forgets_the_waiting() -> None:
    waiting = advance(burst(Stage.SUBMITTING), ev.Deferred(NOW, "away"))
    after = advance(waiting, ev.Accepted(RemoteId("12"), SEEN))

    assert ("12", SEEN, 0, None, 2) == (
        after.remote_id, after.remote, after.attempt, after.due_at, after.version,
    )  # fmt: skip


def test_what_has_deferred_a_move_is_not_told_any_more_once_it_is_made() -> None:
    waiting = advance(burst(Stage.SUBMITTING), ev.Deferred(NOW, "the link is down"))
    assert "" == advance(waiting, ev.Accepted(RemoteId("7"), SEEN)).cause
    refused = advance(burst(Stage.STAGING_IN), ev.Refused("no such file"))
    assert "no such file" == refused.cause == advance(refused, ev.Done()).cause


def test_a_submission_once_intended_stays_intended() -> None:
    submitting = advance(burst(Stage.STAGED_IN), ev.Begun())
    home = advance(submitting, ev.Refused("no"))
    outcome = Outcome("cancelled")
    ended = advance(advance(submitting, ev.Recalled("gone")), ev.Ended(outcome))

    assert [True, True, True] == [b.submit_intended for b in (submitting, home, ended)]
    assert outcome == ended.outcome


def test_a_lost_submission_forgets_the_id_that_others_may_have_now() -> None:
    submitted = burst(Stage.SUBMITTED, remote_id=RemoteId("12"), remote=SEEN)
    after = advance(submitted, ev.Vanished("lost"))

    assert (Stage.SUBMITTING, None, None) == (after.stage, after.remote_id, after.remote)


@pytest.mark.parametrize("stage", OPEN, ids=lambda s: s.value)
def test_a_released_burst_goes_on_where_it_was_with_all_its_evidence(stage: Stage) -> None:
    before = burst(stage, remote_id=RemoteId("12"), remote=SEEN, submit_intended=True)
    held = advance(before, ev.Broken("a fault"))
    after = advance(held, ev.Released("root", "mended"))

    assert (Stage.QUARANTINED, stage, None) == (held.stage, held.quarantined_at, held.due_at)
    assert (stage, None, "released by root: mended") == (
        after.stage, after.quarantined_at, after.cause,
    )  # fmt: skip
    assert (RemoteId("12"), SEEN, True) == (after.remote_id, after.remote, after.submit_intended)


@pytest.mark.parametrize("stage", OPEN, ids=lambda s: s.value)
def test_an_operator_can_stop_any_burst_and_let_go_of_it(stage: Stage) -> None:
    held = advance(burst(stage), ev.Quarantined("root", ""))
    after = advance(held, ev.Abandoned("root", "no use", Money(Decimal("0.3"))))

    assert ("quarantined by root", stage) == (held.cause, held.quarantined_at)
    assert (Stage.ABANDONED, True, Decimal("0.3")) == (after.stage, after.stage.final, after.cost)


def test_only_what_is_quarantined_can_be_released_or_abandoned() -> None:
    for stage in set(Stage) - {Stage.QUARANTINED}:
        for event in (ev.Released("root", ""), ev.Abandoned("root", "", Money(Decimal(0)))):
            with pytest.raises(IllegalTransition):
                advance(burst(stage), event)


def test_a_job_can_be_returned_until_its_twin_may_have_run() -> None:
    assert set() == RETURNABLE & {*AFTER_THE_PERMIT, Stage.QUARANTINED}
    assert set(OPEN) == RETURNABLE | set(AFTER_THE_PERMIT)
