"""Each invariant is seen to fail: the judge is no rubber stamp."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from burstd.domain.targets import RemoteState, WorkKey
from burstd.ports.errors import PortError
from tests.sim import ends
from tests.sim.calls import Call
from tests.sim.daemon import POLICY
from tests.sim.kills import REFERENCE
from tests.sim.ledger import LedgerWatch
from tests.sim.play import Play
from tests.sim.site import End
from tests.sim.story import Story

KEY = WorkKey("b-000000000001")


def until(state: RemoteState, seconds: int = 5) -> Play:
    """The reference burst, until its twin is so."""
    policy = replace(POLICY, min_age=timedelta(seconds=10))
    play = Play(Story(0, policy, REFERENCE.orders, (), 0, seconds))
    for _ in range(40):
        if play.site.target.state_of(KEY) is state:
            return play
        play.one_turn(seconds)
    raise AssertionError(f"never {state}")


@pytest.fixture
def play() -> Play:
    """Its payload runs in the cloud, and all is well."""
    play = until(RemoteState.RUNNING)
    assert [] == play.checker.wrong
    return play


def written(play: Play, words: str) -> None:
    with play.database.begin() as db:
        db.execute(text(words))


def lives_twice(play: Play) -> None:
    play.site.slurm.job("1").node = "n1"


def ended_and_starts_again(play: Play) -> None:
    play.site.ends.append(End("#1", KEY))
    play.site.target.executions.append(KEY)


def in_no_ledger(play: Play) -> None:
    work = copy.copy(next(iter(play.site.target.work.values())))
    stranger = replace(work.job, key=WorkKey("b-stranger"), state=RemoteState.HELD)
    play.site.target.work = {**play.site.target.work, stranger.id: replace(work, job=stranger)}


def two_twins(play: Play) -> None:
    play.site.target.submit(next(iter(play.site.target.work.values())).order)


def a_link_is_changed(play: Play) -> None:
    written(play, "update audit set actor = 'root' where seq = 2")
    play.checker.ledger = LedgerWatch()


def a_stage_is_skipped(play: Play) -> None:
    play.checker.ledger.told["000000000001"] = (0, "planned")
    written(play, "update bursts set version = version + 1")


def too_much_money(play: Play) -> None:
    play.checker.budget = Decimal("0.01")
    play.checker.ledger.seen = -1


def a_hold_is_left(play: Play) -> None:
    row = play.checker.ledger.rows["000000000001"]
    play.checker.ledger.rows["000000000001"] = replace(row, stage="settled")
    play.site.slurm.job("1").held = True
    written(play, "update facts set value = value")


def closed(play: Play) -> None:
    """Its burst; and an operator wants its end."""
    row = play.checker.ledger.rows["000000000001"]
    play.checker.ledger.rows["000000000001"] = replace(row, stage="settled")
    play.site.doomed.add("#1")
    written(play, "update facts set value = value")


@pytest.mark.parametrize(
    ("invariant", "happens"),
    [
        ("1", lives_twice),
        ("2", ended_and_starts_again),
        ("4", in_no_ledger),
        ("4", two_twins),
        ("12", too_much_money),
        ("17", a_link_is_changed),
        ("17", a_stage_is_skipped),
        ("21", a_hold_is_left),
        ("23", closed),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_what_may_not_be_is_seen_at_once(
    play: Play, invariant: str, happens: Callable[[Play], None]
) -> None:
    happens(play)
    play.checker.after(play.database)

    assert invariant in {violation.partition(":")[0] for violation in play.checker.wrong}


def scancel(play: Play) -> None:
    """burstd ends the job."""
    call = Call("A", "slurm", "run", (("scancel", "1"),))
    play.tap(call, lambda: play.site.slurm.run(call.args[0]))


def test_a_job_has_been_ended_when_slurmctld_took_that(play: Play) -> None:
    play.site.slurm.up = False
    with pytest.raises(PortError):
        scancel(play)
    assert set() == play.checker.scancelled

    play.site.slurm.up = True
    scancel(play)
    assert {"#1"} == play.checker.scancelled


START = Call("A", "far", "start", (KEY,))


def start(play: Play, *, late: bool = False) -> list[str]:
    """burstd is about to let the twin start; or has let it, some time ago."""
    play.checker.wrong.clear()
    play.checker.before_call(START, late=late)
    return play.checker.wrong


def test_a_start_needs_a_permit_a_stand_in_and_a_claim_that_lasts() -> None:
    play = until(RemoteState.HELD, seconds=1)
    wrong = start(play)

    assert 2 == len(wrong)
    assert "3: b-000000000001 starts without a permit" == wrong[0]
    assert "would, after a crash, be PENDING at home" in wrong[1]


NO_STAND_IN = "3: b-000000000001 starts though #1 was COMPLETING when it was looked at"


def permitted() -> Play:
    """All is ready for its start."""
    play = until(RemoteState.HELD)
    play.site.clock.forward(seconds=60)
    play.site.slurm.note()
    play.checker.ledger.permits.add("000000000001")
    return play


def looked(play: Play) -> None:
    """burstd is shown the job as it is now."""
    play.checker.after(play.database)
    play.checker.known.looked["A", "1"] = (play.checker.event, "#1")


def test_a_start_for_a_job_that_was_seen_to_be_ending_is_wrong() -> None:
    play = permitted()
    play.site.slurm.cancel("1")
    looked(play)

    assert [NO_STAND_IN] == start(play)


def test_a_start_that_comes_late_is_judged_by_the_look_that_it_was_made_on() -> None:
    play = permitted()
    looked(play)
    play.checker.before_late(START)
    play.site.slurm.cancel("1")
    looked(play)

    assert [] == start(play, late=True)
    play.checker.before_late(START)
    assert [NO_STAND_IN] == play.checker.wrong


@pytest.mark.parametrize(
    "command",
    [("scontrol", "hold", "2"), ("scontrol", "update", "jobid=2", "requeue=1"), ("scancel", "2")],
    ids=" ".join,
)
def test_a_strangers_job_is_not_to_be_touched(play: Play, command: tuple[str, ...]) -> None:
    play.site.slurm.submit("zoe", "stranger")
    play.checker.before_call(Call("A", "slurm", "run", (command,)))

    assert [f"5: {' '.join(command)} hits #2, a stranger's job"] == play.checker.wrong


def test_results_are_not_to_be_cleaned_before_they_are_at_home(play: Play) -> None:
    play.checker.before_call(Call("A", "far", "clean", (KEY, "alice")))

    assert ["11"] == [violation.partition(":")[0] for violation in play.checker.wrong]


def test_what_is_left_in_the_end_is_told(play: Play) -> None:
    left = {violation.partition(":")[0] for violation in ends.judge(play.site, play.checker)}

    assert {"21", "22"} == left


def test_a_job_must_end_as_its_payload_did(play: Play) -> None:
    play.site.slurm.finish("1", 7)
    wrong = ends.judge(play.site, play.checker)

    assert any(violation.startswith("result: #1 is FAILED 7:0") for violation in wrong)


def test_a_scancel_that_is_not_heard_for_a_minute_is_told(play: Play) -> None:
    play.daemons[0].turn = lambda: None  # type: ignore[method-assign]
    play.site.hurry = False
    play.site.payloads["#1"] = replace(play.site.payloads["#1"], seconds=1000)
    play.site.cancelled["#1"] = play.site.clock.now()
    for _ in range(8):
        play.others(10)

    assert ["23"] == [violation.partition(":")[0] for violation in play.checker.wrong[:1]]
