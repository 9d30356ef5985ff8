"""Licences in the decision: none is counted twice, none is forgotten, never more than are free."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burstd.core import script
from burstd.core.decide import decide
from burstd.core.licences import Desk, ask_of, never
from burstd.domain.applications import Application
from burstd.domain.directives import Directives
from burstd.domain.jobs import CoreHours, JobKey, JobState, QueuedJob
from burstd.domain.licences import (
    Formula,
    LicenceAsk,
    Pool,
    PoolView,
    UnseenPool,
    parse_licences,
    tokens,
)
from burstd.domain.plan import Plan, Reason, ScriptFacts, Snapshot
from burstd.domain.policy import Ledger, Watermarks
from tests.unit.values import NOW, POLICY, identity, queued, snapshot

ABAQUS = ScriptFacts(True, "abaqus", licences={"abaqus": Formula.ABAQUS})
#: Nothing but licences keeps anybody here.
OPEN_HANDED = replace(
    POLICY, watermarks=Watermarks(CoreHours(0), CoreHours(0)), max_new_per_tick=1000
)


def view(*pools: PoolView) -> dict[str, PoolView]:
    return {pool.name: pool for pool in pools}


def seen(*jobs: QueuedJob, pools: tuple[PoolView, ...], facts: ScriptFacts = ABAQUS) -> Snapshot:
    return replace(snapshot(*jobs, facts=facts), licences=view(*pools))


def in_line(number: int, **changes: object) -> QueuedJob:
    """The lower its number, the longer it waits."""
    since = NOW - timedelta(hours=2) + timedelta(seconds=number)
    return queued(number, identity=identity(number, submitted_at=since), **changes)


def judge(*jobs: QueuedJob, pools: tuple[PoolView, ...], facts: ScriptFacts = ABAQUS) -> Plan:
    return decide(seen(*jobs, pools=pools, facts=facts), OPEN_HANDED, Ledger())


def placed(plan: Plan) -> list[int]:
    return [p.identity.key.job_id for p in plan.placements]


# --- words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abaqus", {"abaqus": 1}),
        ("abaqus@flex:5,ansys:2", {"abaqus@flex": 5, "ansys": 2}),
        ("a:2,a:3", {"a": 5}),
        ("a:2;b=3,c*4", {"a": 2, "b": 3, "c": 4}),
        ("a:2|b", {"a": 2, "b": 1}),  # Slurm takes either, so both must be there
        ("a:0,b", {"b": 1}),
    ],
)
def test_what_sbatch_takes_is_understood(text: str, expected: dict[str, int]) -> None:
    assert expected == parse_licences(text)


@pytest.mark.parametrize("text", ["", "a:", ":5", "a:-1", "a:x", "a b", "a,,b", "a:1:2", "a:²"])
def test_anything_else_is_not(text: str) -> None:
    with pytest.raises(ValueError, match="not licences"):
        parse_licences(text)


@given(
    st.dictionaries(
        st.from_regex(
            r"[a-z]\w{0,8}(@[a-z]{1,5})?", fullmatch=True, alphabet=st.characters(codec="ascii")
        ),
        st.integers(1, 10**9 - 1),
        min_size=1,
    )
)
def test_what_is_written_is_what_is_read(needs: dict[str, int]) -> None:
    assert needs == parse_licences(",".join(f"{name}:{count}" for name, count in needs.items()))


@pytest.mark.parametrize(
    ("cores", "expected"),
    [(1, 5), (2, 6), (4, 8), (8, 12), (16, 16), (24, 19), (32, 21), (64, 28), (128, 38)],
)
def test_abaqus_tokens_are_those_of_its_table(cores: int, expected: int) -> None:
    assert expected == tokens(Formula.ABAQUS, cores)


def test_other_needs_are_a_number_or_one_for_each_core() -> None:
    assert (3, 24) == (tokens(3, 24), tokens(Formula.PER_CORE, 24))


@given(st.sampled_from([*Formula, 7]), st.integers(1, 10_000))
def test_more_cores_never_need_fewer(rule: Formula | int, cores: int) -> None:
    assert 0 < tokens(rule, cores) <= tokens(rule, cores + 1)


@pytest.mark.parametrize(
    ("pool", "free"),
    [(Pool("a", 50, 20), 30), (Pool("a", 50, 20, kept=10), 20), (Pool("a", 50, 60), 0)],
)
def test_what_is_free_is_never_less_than_nothing(pool: Pool, free: int) -> None:
    assert free == pool.free


def test_a_script_says_what_it_checks_out_and_the_profile_too() -> None:
    app = Application("abaqus", "abaqus", (r"\babaqus\b",), licences={"abaqus": Formula.ABAQUS})
    text = "#!/bin/sh\n#BURST licences=cae:2,abaqus:40\n#BURST licences=x\nabaqus job=beam\n"

    assert replace(ABAQUS, asked=Directives(licences="abaqus:40,cae:2,x:1")) == script.facts(
        text, [app]
    )


# --- what a job asks for


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("", {"abaqus": 19}),
        ("abaqus:30", {"abaqus": 30}),
        ("abaqus:1", {"abaqus": 19}),  # nobody talks himself below the profile
        ("cae:2", {"abaqus": 19, "cae": 2}),
    ],
)
def test_of_profile_and_user_the_larger_need_is_booked(
    named: str, expected: dict[str, int]
) -> None:
    pools = view(Pool("abaqus", 50, 0), Pool("cae", 4, 0))
    ask = ask_of(queued(cpus=24), replace(ABAQUS, asked=Directives(licences=named)), pools)

    assert LicenceAsk(expected) == ask


PLAIN = ScriptFacts(True, "calculix")
SLURMS = Pool("abaqus", 50, 0, slurm="abaqus@flex")


@pytest.mark.parametrize(
    ("licences", "pools", "expected"),
    [
        ("abaqus:5", [], LicenceAsk()),  # Slurm's own: the stand-in keeps it
        ("abaqus@flex:5", [SLURMS], LicenceAsk(held={"abaqus": 5})),
        ("abaqus:5", [Pool("abaqus", 50, 0)], LicenceAsk({"abaqus": 5})),  # a server keeps it
        ("other:5", [SLURMS], LicenceAsk()),
        ("abaqus:5", [SLURMS], LicenceAsk()),  # another licence than the one at flex
    ],
)
def test_what_is_named_by_L_is_counted_by_whoever_keeps_it(
    licences: str, pools: list[PoolView], expected: LicenceAsk
) -> None:
    assert expected == ask_of(queued(licences=licences), PLAIN, view(*pools))


@pytest.mark.parametrize(("named", "booked"), [(5, 19), (30, 30)])
def test_what_a_server_keeps_is_needed_once_by_whatever_way_it_is_said(
    named: int, booked: int
) -> None:
    job = queued(cpus=24, licences=f"abaqus:{named}")

    assert LicenceAsk({"abaqus": booked}) == ask_of(job, ABAQUS, view(Pool("abaqus", 50, 0)))


def test_what_a_running_stand_in_holds_already_is_not_asked_for_again() -> None:
    wish = queued(licences="abaqus@flex:5", state=JobState.RUNNING, partition="burst")

    assert LicenceAsk() == ask_of(wish, PLAIN, view(replace(SLURMS, used=50)))


@pytest.mark.parametrize(
    ("licences", "facts", "pools", "numbers"),
    [
        (
            "", ABAQUS, [],
            {"licence": "abaqus", "asked": "19", "cause": "there is no [licences.abaqus]"},
        ),
        (
            "nastran@slurmdb", PLAIN, [SLURMS],
            {"licence": "nastran@slurmdb", "asked": "1",
             "cause": "no [licences.*] has this feature"},
        ),
        ("a b", PLAIN, [], {"licences": "a b", "cause": "-L can't be read"}),
        (
            "", replace(PLAIN, asked=Directives(licences="abaqus:many")), [],
            {"script": "#BURST licences=abaqus:many", "cause": "can't be read"},
        ),
        (
            "abaqus@flex:5", ABAQUS, [SLURMS],
            {"licence": "abaqus", "asked": "19",
             "cause": "Slurm keeps it, and it has -L abaqus@flex:5"},
        ),
        (
            "", ABAQUS, [Pool("abaqus", 20, 0, kept=2)],
            {"licence": "abaqus", "asked": "19", "total": "20", "kept": "2"},
        ),
    ],
)  # fmt: skip
def test_a_need_that_can_never_be_met_keeps_the_job_and_is_no_pressure(
    licences: str, facts: ScriptFacts, pools: list[PoolView], numbers: dict[str, str]
) -> None:
    job = queued(cpus=24, licences=licences)
    plan = judge(job, pools=tuple(pools), facts=facts)

    assert (Reason.LICENCES, numbers) == never(job, facts, view(*pools))
    assert [(Reason.LICENCES, numbers)] == [(d.reason, d.numbers) for d in plan.declined]
    assert 0.0 == float(plan.backlog)


# --- who gets them


def test_what_a_comment_asks_for_is_booked_as_well() -> None:
    job = in_line(1, cpus=24, comment="burst:licences=cae:2")
    plan = judge(job, pools=(Pool("abaqus", 50, 12), Pool("cae", 4, 0)), facts=ABAQUS)
    assert [{"abaqus": 19, "cae": 2}] == [p.licences for p in plan.placements]
    short = judge(job, pools=(Pool("abaqus", 50, 12), Pool("cae", 1, 0)), facts=ABAQUS)
    assert [Reason.LICENCES] == [d.reason for d in short.declined]


def test_a_job_leaves_when_all_its_licences_are_free_and_books_them() -> None:
    pools = Pool("abaqus", 50, 12), Pool("cae", 4, 0)
    plan = judge(
        in_line(1, cpus=24), in_line(2, cpus=24), in_line(3, cpus=24),
        pools=pools, facts=replace(ABAQUS, asked=Directives(licences="cae:1")),
    )  # fmt: skip

    assert [{"abaqus": 19, "cae": 1}] * 2 == [p.licences for p in plan.placements]
    assert ["not all its licences are free (licence abaqus, asked 19, free 0, total 50)"] == [
        d.text for d in plan.declined
    ]


def test_the_numbers_say_what_is_booked_besides_what_is_used() -> None:
    ledger = Ledger(booked={"abaqus": 20})
    plan = decide(seen(in_line(1, cpus=24), pools=(Pool("abaqus", 50, 20),)), OPEN_HANDED, ledger)

    assert [{"licence": "abaqus", "asked": "19", "free": "10", "total": "50"}] == [
        d.numbers for d in plan.declined
    ]


def test_an_unknown_pool_keeps_who_needs_it_and_says_why() -> None:
    away = UnseenPool("abaqus", "lmutil gave no answer in 10 s")
    plan = judge(in_line(1, cpus=24), pools=(away, Pool("cae", 4, 0)))

    assert [
        "it is not known whether its licences are free "
        "(licence abaqus, asked 19, cause lmutil gave no answer in 10 s)"
    ] == [d.text for d in plan.declined]


def test_who_waits_for_an_unknown_pool_holds_up_nobody_else() -> None:
    both = {"abaqus": 1, "cae": 1}
    desk = Desk(view(UnseenPool("abaqus", "away"), Pool("cae", 1, 0)), Counter())

    refusal = desk.take(queued(1), LicenceAsk(both))
    assert refusal is not None
    assert Reason.LICENCES_UNSEEN is refusal[0]
    assert desk.take(queued(2), LicenceAsk({"cae": 1})) is None


def test_no_younger_job_takes_what_an_older_one_waits_for() -> None:
    pools = (Pool("abaqus", 50, 32),)
    plan = judge(in_line(1, cpus=24), in_line(2, cpus=1), pools=pools)

    assert [] == placed(plan)
    assert {"licence": "abaqus", "asked": "5", "free": "18", "total": "50", "first": "job 1"} == (
        plan.declined[1].numbers
    )


def test_nor_anything_else_that_the_older_one_needs() -> None:
    """Else it would get the one when the other is gone, and never both."""
    desk = Desk(view(Pool("abaqus", 10, 5), Pool("cae", 1, 0)), Counter())

    assert desk.take(queued(1), LicenceAsk({"abaqus": 6, "cae": 1})) is not None
    assert desk.take(queued(2), LicenceAsk({"cae": 1})) is not None


def test_elements_of_an_array_take_theirs_one_by_one() -> None:
    plan = judge(in_line(7, cpus=8, tasks=(1, 2, 3)), pools=(Pool("abaqus", 30, 0),))

    assert ["7_1", "7_2"] == [str(p.identity.key) for p in plan.placements]
    assert [(JobKey("onprem", 7, 3),)] == [d.elements for d in plan.declined]


def test_slurms_licences_are_free_once_for_all_and_booked_nowhere_else() -> None:
    """Two pending jobs of this plan, and one stand-in that still pends: 5 + 5 + 5 of 14."""
    standing = in_line(1, licences="abaqus@flex:5", partition="burst")
    jobs = [in_line(n, licences="abaqus@flex:5") for n in (2, 3)]
    ledger = Ledger(open=frozenset({standing.key}))
    pools = (replace(SLURMS, total=14),)
    plan = decide(seen(standing, *jobs, pools=pools, facts=PLAIN), OPEN_HANDED, ledger)

    assert [2] == placed(plan)
    assert [{}] == [p.licences for p in plan.placements]
    running = replace(standing, state=JobState.RUNNING)
    used = (replace(SLURMS, total=14, used=5),)
    assert (
        plan.placements
        == decide(seen(running, *jobs, pools=used, facts=PLAIN), OPEN_HANDED, ledger).placements
    )


def test_each_element_that_has_left_and_still_pends_counts() -> None:
    standing = in_line(1, licences="abaqus@flex:5", tasks=(1, 2, 3))
    ledger = Ledger(open=frozenset(standing.elements[:2]))
    pools = (replace(SLURMS, total=14),)
    plan = decide(seen(standing, pools=pools, facts=PLAIN), OPEN_HANDED, ledger)

    assert ["4"] == [d.numbers["free"] for d in plan.declined]


def test_other_rules_come_first_and_leave_the_licences_alone() -> None:
    """A job that stays for another reason books nothing and holds up nobody."""
    too_big = in_line(1, cpus=2000)
    plan = judge(too_big, in_line(2, cpus=24), pools=(Pool("abaqus", 200, 181),))

    assert [2] == placed(plan)
    assert [Reason.NO_TARGET_FITS] == [d.reason for d in plan.declined]


# --- for any queue

names = st.sampled_from(["abaqus", "cae", "ansys"])
asks = st.dictionaries(names, st.integers(1, 12), max_size=3)
totals = st.fixed_dictionaries(dict.fromkeys(["abaqus", "cae", "ansys"], st.integers(0, 30)))


def pools_of(sizes: Mapping[str, int], used: Mapping[str, int]) -> dict[str, PoolView]:
    return view(*(Pool(n, total, used.get(n, 0)) for n, total in sizes.items()))


@given(st.lists(asks, max_size=20), totals, totals, totals, st.randoms())
@settings(max_examples=100, deadline=None)
def test_never_more_is_booked_than_is_free_in_any_order_of_the_lines(
    needs: list[dict[str, int]],
    sizes: dict[str, int],
    used: dict[str, int],
    booked: dict[str, int],
    dice: random.Random,
) -> None:
    jobs = [in_line(n) for n in range(1, len(needs) + 1)]
    scripts = {
        job.identity: replace(PLAIN, licences=dict(need))
        for job, need in zip(jobs, needs, strict=True)
    }
    world = replace(snapshot(*jobs), scripts=scripts, licences=pools_of(sizes, used))
    ledger = Ledger(booked=booked)
    plan = decide(world, OPEN_HANDED, ledger)

    taken: Counter[str] = Counter()
    for placement in plan.placements:
        assert scripts[placement.identity].licences == placement.licences
        taken.update(placement.licences)
    assert len(jobs) == len(plan.placements) + sum(len(d.elements) for d in plan.declined)
    for name, count in taken.items():
        assert used[name] + booked[name] + count <= sizes[name]
    dice.shuffle(jobs)
    again = decide(
        replace(world, queue=replace(world.queue, jobs=tuple(jobs))), OPEN_HANDED, ledger
    )
    assert plan.placements == again.placements


@given(st.lists(asks, max_size=20), totals, totals)
@settings(max_examples=200, deadline=None)
def test_a_tighter_pool_never_adds_a_placement(
    needs: list[dict[str, int]], sizes: dict[str, int], used: dict[str, int]
) -> None:
    def granted(pools: Mapping[str, PoolView]) -> set[int]:
        desk = Desk(pools, Counter())
        jobs = [(n, in_line(n), LicenceAsk(need)) for n, need in enumerate(needs, 1)]
        return {n for n, job, ask in jobs if desk.take(job, ask) is None}

    assert granted(pools_of(sizes, used)) <= granted(pools_of(sizes, {}))
