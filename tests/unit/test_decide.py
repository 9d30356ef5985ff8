"""The decision: for any queue, every job gets one verdict and no bound is ever passed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burstd.core.candidates import candidates, needs_script
from burstd.core.decide import acts, decide
from burstd.core.money import price
from burstd.core.pressure import is_surging
from burstd.domain.directives import Directives, JobMode
from burstd.domain.jobs import CoreHours, JobKey, JobState, QueuedJob
from burstd.domain.plan import Plan, Reason, ScriptFacts, Snapshot
from burstd.domain.policy import QUEUE, BurstPolicy, Ledger, Mode, Watermarks
from burstd.domain.targets import Money
from tests.unit.values import NOW, POLICY, VIEW, identity, queued, snapshot

jobs = st.builds(
    lambda **k: k,
    cpus=st.integers(1, 64),
    reason=st.sampled_from(["Resources", "Priority", "JobHeldUser", "Dependency", "BeginTime"]),
    partition=st.sampled_from(["cae", "cae,short", "short", "burst"]),
    time_limit=st.none() | st.integers(1, 5000).map(lambda m: timedelta(minutes=m)),
    state=st.sampled_from([JobState.PENDING, JobState.PENDING, JobState.RUNNING]),
    tasks=st.just(())
    | st.sets(st.integers(0, 30), min_size=1, max_size=6).map(lambda s: tuple(sorted(s))),
    het=st.booleans(),
    age=st.integers(0, 10_000),
)
queues = st.lists(jobs, max_size=25).map(
    lambda rows: tuple(
        queued(
            n,
            identity=identity(n, submitted_at=NOW - timedelta(seconds=row.pop("age"))),
            **row,
        )
        for n, row in enumerate([dict(r) for r in rows], 1)
    )
)
policies = st.builds(
    lambda low, gap, budget, most, pace: replace(
        POLICY,
        watermarks=Watermarks(CoreHours(low + gap), CoreHours(low)),
        budget=Money(Decimal(budget)),
        max_open_bursts=most,
        max_new_per_tick=pace,
    ),
    st.floats(0, 100), st.floats(0.1, 100), st.integers(0, 50), st.integers(0, 10),
    st.integers(1, 10),
)  # fmt: skip
keys = st.sets(st.integers(1, 25).map(lambda n: JobKey("onprem", n)), max_size=5)
ledgers = st.builds(
    lambda surging, spent, opened, back: Ledger(
        frozenset({QUEUE} if surging else ()), Money(Decimal(spent)),
        open=frozenset(opened), returned=frozenset(back),
    ),
    st.booleans(), st.integers(0, 20), keys, keys,
)  # fmt: skip


def verdicts(plan: Plan) -> list[JobKey]:
    return [p.identity.key for p in plan.placements] + [
        key for d in plan.declined for key in d.elements
    ]


@given(queues, policies, ledgers)
@settings(max_examples=60, deadline=None)
def test_every_waiting_job_gets_exactly_one_verdict(
    queue: tuple[QueuedJob, ...], policy: BurstPolicy, ledger: Ledger
) -> None:
    found = verdicts(decide(snapshot(*queue), policy, ledger))
    judged = [
        key for job in queue for key in job.elements
        if job.state is JobState.PENDING and key not in ledger.open
        and not (not job.tasks and job.key in ledger.open)
    ]  # fmt: skip
    wishes = [j.elements for j in queue if j.state is JobState.RUNNING and j.partition == "burst"]
    judged += [key for elements in wishes for key in elements if key not in ledger.open]

    assert sorted(map(str, judged)) == sorted(map(str, found))


@given(queues, policies, ledgers)
@settings(max_examples=60, deadline=None)
def test_no_bound_is_ever_passed(
    queue: tuple[QueuedJob, ...], policy: BurstPolicy, ledger: Ledger
) -> None:
    plan = decide(snapshot(*queue), policy, ledger)

    assert sum(p.reserved for p in plan.placements) <= ledger.left(policy.budget)
    assert len(plan.placements) <= policy.max_new_per_tick
    assert len(plan.placements) <= max(0, policy.max_open_bursts - len(ledger.open))
    by_id = {job.key.job_id: job for job in queue}
    for placement in plan.placements:
        job = by_id[placement.identity.key.job_id]
        assert price(job.cpus, 0, job.time_limit or timedelta(), VIEW) == placement.reserved
        assert placement.identity.key not in ledger.open | ledger.returned


@given(queues, policies, ledgers, st.randoms())
@settings(max_examples=40, deadline=None)
def test_the_order_of_the_queues_lines_does_not_matter(
    queue: tuple[QueuedJob, ...], policy: BurstPolicy, ledger: Ledger, dice: random.Random
) -> None:
    shuffled = list(queue)
    dice.shuffle(shuffled)
    one, two = (decide(snapshot(*q), policy, ledger) for q in (queue, shuffled))

    assert one.placements == two.placements
    assert {(k, d.text) for d in one.declined for k in d.elements} == {
        (k, d.text) for d in two.declined for k in d.elements
    }


@given(st.lists(st.floats(0, 30), min_size=2, max_size=50))
def test_a_backlog_between_the_marks_never_turns_the_surge(levels: list[float]) -> None:
    surging = False
    for level in levels:
        after = is_surging(level, POLICY.watermarks, was=surging)
        if after != surging:
            assert level >= 10 if after else level < 4
        surging = after


@pytest.mark.parametrize(
    ("backlog", "was", "expected"),
    [(9.9, False, False), (10, False, True), (10, True, True), (4, True, True), (3.9, True, False)],
)
def test_a_surge_starts_at_the_high_mark_and_stops_below_the_low_one(
    backlog: float, was: bool, expected: bool
) -> None:
    assert expected == is_surging(backlog, POLICY.watermarks, was=was)


def test_jobs_leave_oldest_first_until_the_rest_is_below_the_low_mark() -> None:
    queue = [
        queued(n, identity=identity(n, submitted_at=NOW - timedelta(hours=n))) for n in range(1, 7)
    ]  # 6 jobs of 2 core-hours, the highest number the oldest
    plan = decide(snapshot(*queue), POLICY, Ledger())

    assert (12.0, [6, 5, 4, 3, 2]) == (
        plan.backlog,
        [p.identity.key.job_id for p in plan.placements],
    )
    assert [(Reason.DAMPED, 1)] == [(d.reason, d.identity.key.job_id) for d in plan.declined]


def test_below_the_high_mark_all_stay_and_hear_the_numbers() -> None:
    plan = decide(snapshot(queued()), POLICY, Ledger())

    assert ["the queue is below the high-water mark (backlog 2.00 core-hours, high 10, low 4)"] == [
        d.text for d in plan.declined
    ]


def test_elements_of_one_array_are_placed_one_by_one() -> None:
    array = queued(7, tasks=(1, 2, 3, 4, 5, 6))
    ledger = Ledger(
        open=frozenset({JobKey("onprem", 7, 2)}), returned=frozenset({JobKey("onprem", 7, 3)})
    )
    policy = replace(POLICY, watermarks=Watermarks(CoreHours(8), CoreHours(1)), max_new_per_tick=2)
    plan = decide(snapshot(array), policy, ledger)

    assert ["7_1", "7_4"] == [str(p.identity.key) for p in plan.placements]
    assert {Reason.RETURNED_BEFORE: ["7_3"], Reason.PACED: ["7_5", "7_6"]} == {
        d.reason: [str(k) for k in d.elements] for d in plan.declined
    }


def test_no_more_tasks_leave_than_their_array_lets_run_at_once() -> None:
    array = queued(7, tasks=(3, 4, 5, 6), throttle=3)
    here = queued(7, identity=identity(7, task=1), state=JobState.RUNNING, reason="None")
    away = JobKey("onprem", 7, 2)
    policy = replace(POLICY, watermarks=Watermarks(CoreHours(1), CoreHours(0)))
    plan = decide(snapshot(array, here), policy, Ledger(open=frozenset({away})))

    assert ["7_3"] == [str(p.identity.key) for p in plan.placements]
    assert {Reason.THROTTLED: ["7_4", "7_5", "7_6"]} == {
        d.reason: [str(k) for k in d.elements] for d in plan.declined
    }
    assert 2.0 == plan.backlog
    free = decide(snapshot(replace(array, throttle=9), here), policy, Ledger())
    assert 4 == len(free.placements)


def test_a_task_that_slurm_has_given_a_line_of_its_own_counts_with_its_array() -> None:
    """One that came home, or was requeued: its line shows no throttle."""
    array = queued(7, tasks=(3, 4, 5), throttle=3)
    own = [queued(7, identity=identity(7, task=task)) for task in (1, 2)]
    here = queued(7, identity=identity(7, task=0), state=JobState.RUNNING, reason="None")
    policy = replace(POLICY, watermarks=Watermarks(CoreHours(1), CoreHours(0)))
    for lines in permutations((*own, array, here)):
        plan = decide(snapshot(*lines), policy, Ledger())
        assert ["7_1", "7_2"] == [str(p.identity.key) for p in plan.placements]
        assert {Reason.THROTTLED: ["7_3", "7_4", "7_5"]} == {
            d.reason: [str(k) for k in d.elements] for d in plan.declined
        }


class Walked(tuple[QueuedJob, ...]):
    """Counts how often somebody goes through all of them."""

    walks = 0

    def __iter__(self) -> Iterator[QueuedJob]:
        self.walks += 1
        return super().__iter__()


def test_arrays_with_throttles_are_not_each_held_against_the_whole_queue() -> None:
    """40,000 of them took a minute and more."""
    arrays = Walked(queued(number, tasks=(1, 2), throttle=1) for number in range(1, 1000))
    seen = snapshot(*arrays)
    arrays.walks = 0
    seen = replace(seen, queue=replace(seen.queue, jobs=arrays))
    found, declined = candidates(seen, POLICY, Ledger())
    assert (999, 999) == (len(found), len(declined))
    assert arrays.walks <= 3


KEY = JobKey("onprem", 1)


@pytest.mark.parametrize(
    "trips", [Ledger(returned=frozenset({KEY})), Ledger(abandoned=frozenset({KEY}))]
)
def test_a_job_that_got_the_number_of_anothers_trip_may_leave(trips: Ledger) -> None:
    """Slurm begins anew with numbers (MaxJobId), and a crash gives one out again."""

    def leaves(owners: dict[JobKey, str]) -> bool:
        found, _ = candidates(snapshot(queued(1)), POLICY, replace(trips, owners=owners))
        return bool(found)

    assert leaves({KEY: "somebody else"})
    assert not leaves({KEY: identity(1).user})
    assert not leaves({}), "a decision of an older burstd names none"


def test_wishes_come_first_and_obey_the_same_policy() -> None:
    queue = [
        queued(1),
        queued(2),
        queued(3),
        queued(4),
        queued(5, partition="burst", reason="None"),
    ]
    plan = decide(snapshot(*queue), replace(POLICY, max_new_per_tick=1), Ledger())

    assert [(5, True)] == [(p.identity.key.job_id, p.wish) for p in plan.placements]
    refused = decide(
        snapshot(*queue), replace(POLICY, max_new_per_tick=1, users=frozenset({"bob"})), Ledger()
    )
    assert () == refused.placements
    assert [True] == [d.wish for d in refused.declined if d.identity.key.job_id == 5]


def test_the_cheapest_target_that_fits_and_is_open_is_taken() -> None:
    cheap_but_small = replace(VIEW, name=type(VIEW.name)("a"), price=Money(Decimal("0.01")))
    small = replace(cheap_but_small, capabilities=replace(VIEW.capabilities, max_cores=1))
    closed = replace(cheap_but_small, name=type(VIEW.name)("b"), open=False)
    unknown = replace(cheap_but_small, name=type(VIEW.name)("c"))
    policy = replace(POLICY, targets=(small.name, closed.name, VIEW.name))
    plan = decide(
        snapshot(*(queued(n) for n in range(6)), views=(small, closed, unknown, VIEW)),
        policy,
        Ledger(),
    )

    assert {VIEW.name} == {p.target for p in plan.placements}


@pytest.mark.parametrize(
    "change", [{"nodes": 17}, {"cpus": 1025}, {"time_limit": timedelta(days=3)}]
)
def test_a_job_that_no_target_can_run_stays(change: dict[str, object]) -> None:
    queue = [queued(1, **change), *(queued(n) for n in range(2, 9))]
    plan = decide(snapshot(*queue), POLICY, Ledger())

    assert Reason.NO_TARGET_FITS in {d.reason for d in plan.declined if d.identity.key.job_id == 1}


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (ScriptFacts(False), Reason.NO_SCRIPT),
        (ScriptFacts(True), Reason.NO_APPLICATION),
        (ScriptFacts(True, "calculix", asked=Directives(JobMode.NEVER)), Reason.USER_FORBIDS),
    ],
)
def test_the_script_has_its_say(facts: ScriptFacts, reason: Reason) -> None:
    plan = decide(snapshot(queued(), facts=facts), POLICY, Ledger())

    assert [reason] == [d.reason for d in plan.declined]


def test_a_script_that_was_not_read_keeps_the_job_and_is_asked_for() -> None:
    seen = Snapshot(snapshot(queued(1), queued(2, reason="Dependency")).queue, (VIEW,))
    plan = decide(seen, POLICY, Ledger())

    assert Reason.SCRIPT_UNREAD in {d.reason for d in plan.declined}
    assert [1] == [job.key.job_id for job in needs_script(seen, POLICY, Ledger())]
    assert () == needs_script(seen, POLICY, Ledger(open=frozenset({JobKey("onprem", 1)})))


def test_observing_decides_the_same_and_does_not_act() -> None:
    observing = replace(POLICY, mode=Mode.OBSERVE)
    queue = snapshot(*(queued(n) for n in range(1, 9)))

    assert decide(queue, POLICY, Ledger()) == decide(queue, observing, Ledger())
    assert (True, False) == (acts(POLICY), acts(observing))
