"""Every invariant can fail: one world where all is well, and one planted fault per check."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from burstd.core.audit import chained
from burstd.domain.audit import DAEMON, NOTHING, AuditHead, AuditRecord
from lab.oracle import Errand, Evidence, FileSeen, judge
from lab.oracle.checks import LIVENESS, SAFETY
from lab.oracle.evidence import Life, Queued, Row, Word

NOW = datetime(2030, 1, 15, 12, tzinfo=UTC)
RESULT = "/home/alice/one/top.txt"
RIGHT = FileSeen("ab" * 32, 0o640, 1_700_000_000)
ERRAND = Errand(
    "7", "one", frozenset({("COMPLETED", "0:0")}), {RESULT: RIGHT},
    ("one begins", "one ends"), "/home/alice/one/one.out", where=frozenset({"cloud"}),
)  # fmt: skip
STANDIN = Life("7", "one", "alice", "COMPLETED", "0:0", "burst", 100, 110, 160, ("px",))
TWIN = Life("3", "b-f00", "cae01", "COMPLETED", "0:0", "hpc", 115, 130, 140, ("c1",))
LOCAL = Life("7", "one", "alice", "COMPLETED", "0:0", "cae", 100, 170, 180, ("n1",))
ROW = Row("f00", "7", "settled", open=False, reserved=1.0, cost=0.5)
STORY = ("claiming", "claimed", "staging_in", "staged_in", "submitting", "submitted", "permitting",
         "running", "ended", "staging_out", "staged_out", "settling", "settled")  # fmt: skip
EVENTS = ("Kept", "Claimed", "Begun", "Done", "Begun", "Accepted", "Done", "Done", "Ended", "Begun",
          "Done", "Begun", "Settled")  # fmt: skip
MOVES = tuple(enumerate(zip(EVENTS, STORY, strict=True), 1))


def log(moves: Iterable[tuple[int, tuple[str, str]]] = MOVES) -> tuple[AuditRecord, ...]:
    """The audit log of one burst with these moves: (version, (event, stage))."""
    head, records = NOTHING, []
    for version, (event, stage) in moves:
        detail = {"stage": stage, "cause": "", "version": version}
        record = AuditRecord(0, NOW, DAEMON, f"burst.{event}", "f00", detail)
        records.append(chained(head, record))
        head = AuditHead(records[-1].seq, records[-1].digest)
    return tuple(records)


WORDS = (Word("one", "u1", "start", "c1", 131.0), Word("one", "u1", "end", "c1", 139.0))

WELL = Evidence(
    onprem=(STANDIN,), far=(TWIN,), rows=(ROW,), audit=log(), budget=100.0, errands=(ERRAND,),
    words=WORDS, homes={RESULT: RIGHT}, known=frozenset({RESULT}),
    outputs={"one": ("burstd: the link is down; waiting", "one begins", "one ends")},
    gone={"b-f00": 175.0}, landed={RESULT: 150.0},
)  # fmt: skip

AGAIN = (Word("one", "u2", "start", "n1", 135.0), Word("one", "u2", "end", "n1", 150.0))
LATER = (Word("one", "u2", "start", "c2", 145.0), Word("one", "u2", "end", "c2", 150.0))
HELD = Queued("8", "two", "alice", "PENDING", "JobHeldAdmin", "cae")


def errand(**fields: object) -> Callable[[Evidence], Evidence]:
    return lambda e: replace(e, errands=(replace(e.errands[0], **fields),))  # type: ignore[arg-type]


def at(**fields: object) -> Callable[[Evidence], Evidence]:
    return lambda e: replace(e, **fields)  # type: ignore[arg-type]


PLANTED: list[tuple[str, Callable[[Evidence], Evidence]]] = [
    ("1 one live execution", at(words=(*WORDS, *AGAIN))),
    ("1 one live execution", at(onprem=(STANDIN, replace(LOCAL, start=135)))),
    ("2 no start too many", at(words=(*WORDS, *LATER))),
    ("2 no start too many", lambda e: errand(starts=2)(at(words=(*WORDS, *LATER))(e))),
    ("2 one run per twin", at(far=(TWIN, replace(TWIN, key="4", start=141, end=145)))),
    ("3 here or there", at(onprem=(STANDIN, LOCAL))),
    ("4 no twin without a row", at(far=(TWIN, replace(TWIN, name="b-bad")))),
    ("8 never partial", at(glimpses=(f"{RESULT} was there with other bytes",))),
    ("9 nothing elsewhere", at(homes={RESULT: RIGHT, "/home/alice/.bashrc": RIGHT})),
    ("9 nothing elsewhere", at(homes={RESULT: replace(RIGHT, uid=0)})),
    ("9 nothing elsewhere", at(homes={RESULT: replace(RIGHT, mode=0o4755)})),
    ("10 changes are kept", lambda e: errand(keeps=frozenset({RESULT}))(
        at(homes={RESULT: replace(RIGHT, sha256="cd" * 32)})(e))),
    ("11 far copy until landed", at(landed={RESULT: 190.0})),
    ("12 within budget", at(budget=0.4)),
    ("12 within budget", at(rows=(replace(ROW, cost=1.5),))),
    ("17 audit is whole", at(audit=(*log()[:3], *log()[4:]))),
    ("17 audit is whole", at(audit=(replace(log()[0], actor="root"), *log()[1:]))),
    ("18 along the table", at(audit=log((*MOVES[:3], *MOVES[4:])))),
    ("18 along the table", at(audit=log(((1, ("Kept", "running")), *MOVES[1:])))),
    ("no human needed", at(rows=(replace(ROW, stage="quarantined"),))),
    ("2 one end of each payload", at(words=WORDS[:1])),
    ("5 right ends in sacct", at(onprem=())),
    ("5 right ends in sacct", at(onprem=(replace(STANDIN, state="FAILED"),))),
    ("5 right ends in sacct", at(onprem=(STANDIN, replace(STANDIN, submit=101)))),
    ("6 right place", at(words=tuple(replace(word, host="n1") for word in WORDS))),
    ("7 results are whole", at(homes={})),
    ("7 results are whole", at(homes={RESULT: replace(RIGHT, mtime=1)})),
    ("7 output is once", at(outputs={"one": ("one begins", "one begins", "one ends")})),
    ("21 all is over", at(rows=(replace(ROW, open=True),))),
    ("21 no hold left", at(queue=(HELD,))),
    ("22 nothing left", at(runs=("b-f00",))),
    ("22 nothing left", at(runs=("b-f00",), rows=(replace(ROW, remains=True),))),
    ("22 nothing left", at(left=("the link's interface",))),
    ("22 nothing left", at(far_queue=(replace(HELD, name="b-f00"),))),
    ("23 cancelled in time", errand(cancelled_at=70.0)),
]  # fmt: skip


def test_where_all_is_well_nothing_is_found() -> None:
    assert [] == judge(WELL)


@pytest.mark.parametrize(
    ("invariant", "plant"), PLANTED, ids=[f"{n}-{name}" for n, (name, _) in enumerate(PLANTED)]
)
def test_a_planted_fault_is_found(invariant: str, plant: Callable[[Evidence], Evidence]) -> None:
    found = judge(plant(WELL))
    assert invariant in {finding.invariant for finding in found}
    assert all(str(finding).startswith(f"{finding.invariant}: ") for finding in found)


def test_every_invariant_has_a_fault_that_it_finds() -> None:
    assert {*SAFETY, *LIVENESS} == {name for name, _ in PLANTED}


@pytest.mark.parametrize("state", ["REQUEUED", "NODE_FAIL"])
def test_a_requeued_life_is_not_an_end(state: str) -> None:
    before = replace(STANDIN, state=state, submit=90, start=95, end=99)
    assert [] == judge(at(onprem=(before, STANDIN))(WELL))


def test_a_twin_that_was_lost_may_be_followed_by_a_run_at_home() -> None:
    lost = replace(TWIN, state="NODE_FAIL", start=130, end=140)
    evidence = replace(WELL, onprem=(LOCAL,), far=(lost,))
    assert "3 here or there" not in {finding.invariant for finding in judge(evidence)}


@pytest.mark.parametrize(("remains", "wrong"), [(True, False), (False, True)])
def test_a_cancelled_jobs_results_may_have_stayed(remains: bool, wrong: bool) -> None:
    row = replace(ROW, remains=remains)
    evidence = errand(cancelled_at=120.0)(at(runs=("b-f00",), rows=(row,))(WELL))
    found = {finding.invariant for finding in judge(evidence)}
    assert wrong == ("22 nothing left" in found)


def test_what_an_operator_released_goes_on_where_it_was() -> None:
    held = [(4, ("Broken", "quarantined")), (5, ("Released", "staging_in"))]
    moves = [*MOVES[:3], *held, *((n + 2, move) for n, move in MOVES[3:])]
    assert [] == judge(at(audit=log(moves))(WELL))
