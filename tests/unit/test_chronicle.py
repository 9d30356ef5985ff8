"""Decisions as texts: whatever they hold, now or later, they come back as they were."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from burstd.core import chronicle
from burstd.core.chronicle import Reader, Writer, in_queue_order, outline, outline_of
from burstd.core.codec import Unfit, codec, text
from burstd.core.decide import decide
from burstd.core.delta import node
from burstd.core.table import NOTHING
from burstd.domain.budgets import Charge
from burstd.domain.decision import Decision, Outline
from burstd.domain.jobs import JobKey, JobState, QueuedJob, QueueSnapshot
from burstd.domain.licences import Formula, Pool, PoolView, UnseenPool
from burstd.domain.plan import Decline, Placement, Plan, Reason, ScriptFacts, Snapshot
from burstd.domain.policy import BurstPolicy, Ledger
from burstd.domain.targets import Money, TargetName
from burstd.domain.usage import PastRun, Usage
from tests.unit.values import CALCULIX, NOW, POLICY, VIEW, identity, queued, snapshot

#: As Slurm, people and clocks make them, not as hypothesis thinks of first.
st.register_type_strategy(
    datetime, st.datetimes(timezones=st.just(UTC) | st.just(timezone(timedelta(hours=2))))
)
st.register_type_strategy(Decimal, st.decimals(allow_nan=False, allow_infinity=False))
st.register_type_strategy(float, st.floats(allow_nan=False))
st.register_type_strategy(str, st.text(st.characters(), max_size=8))  # surrogates too
st.register_type_strategy(Usage, st.builds(Usage, st.lists(st.from_type(PastRun), max_size=4)))


def told(value: Any, hint: Any) -> Any:
    """It, through a line of JSON."""
    form = codec(hint)
    return form.decode(json.loads(text(form.encode(value))))


@pytest.mark.parametrize("hint", [Snapshot, BurstPolicy, Ledger, Plan, Outline])
@given(st.data())
@settings(max_examples=20, deadline=None)
def test_any_value_comes_back_from_its_words(hint: Any, data: st.DataObject) -> None:
    value = data.draw(st.from_type(hint))
    assert value == told(value, hint)
    cell = node(hint).cell()
    cell.take(json.loads(node(hint).diff(NOTHING, value)))
    assert value == cell.value()


@pytest.mark.parametrize("hint", [Snapshot, BurstPolicy, Ledger, Plan])
@given(st.data())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.data_too_large])
def test_any_value_comes_back_as_what_makes_it_another(hint: Any, data: st.DataObject) -> None:
    """From one to another, by one that has parts of both, and back."""
    one, other = data.draw(st.from_type(hint)), data.draw(st.from_type(hint))
    theirs = data.draw(st.sets(st.sampled_from(sorted(hint.__dataclass_fields__))))
    between = replace(one, **{name: getattr(other, name) for name in theirs})
    _through_differences(hint, [one, between, other, one])


def _through_differences(hint: Any, values: list[Any]) -> list[str]:
    cell, before, lines = node(hint).cell(), NOTHING, []
    for value in values:
        lines.append(node(hint).diff(before, value))
        if lines[-1]:
            cell.take(json.loads(lines[-1]))
        assert value == cell.value()
        before = value
    return lines


jobs = st.builds(
    lambda n, task, **k: queued(n, identity=identity(n, task), **k),
    st.integers(1, 9), st.none() | st.integers(0, 2),
    cpus=st.integers(1, 3), priority=st.integers(0, 9), reason=st.sampled_from("ab"),
    elapsed=st.integers(0, 3).map(lambda n: timedelta(seconds=n)),
    time_limit=st.none() | st.integers(0, 2).map(lambda n: timedelta(hours=n)),
    tasks=st.just(()) | st.just((1, 2)), state=st.sampled_from(JobState),
)  # fmt: skip
queues = st.lists(jobs, max_size=12).map(tuple)


def test_times_as_far_apart_as_can_be_are_told() -> None:
    views = [
        replace(snapshot(), targets=(replace(VIEW, overhead=overhead),))
        for overhead in (timedelta.min, timedelta.max, timedelta(microseconds=-1))
    ]
    _through_differences(Snapshot, views)


@given(st.lists(queues, min_size=2, max_size=5))
@settings(max_examples=80, deadline=None)
def test_lines_that_come_go_move_and_change_are_told(found: list[tuple[QueuedJob, ...]]) -> None:
    snapshots = [
        Snapshot(
            QueueSnapshot("onprem", NOW, queue),
            (),
            {job.identity: ScriptFacts(bool(job.cpus)) for job in reversed(queue)},
        )
        for queue in found
    ]
    _through_differences(Snapshot, snapshots)
    for seen in snapshots:
        cell = node(Snapshot).cell()
        cell.take(json.loads(node(Snapshot).diff(NOTHING, seen)))
        assert list(seen.scripts) == list(cell.value().scripts)  # their order too


def long_queue(lines: int = 300) -> Decision:
    queue = [
        queued(n, priority=n, identity=identity(n, name=f"beam{n}"), state=state)
        for n in range(1, lines + 1)
        for state in [JobState.RUNNING if n <= 20 else JobState.PENDING]
    ]
    return decided(snapshot(*queue))


def decided(seen: Snapshot, policy: BurstPolicy = POLICY, ledger: Ledger | None = None) -> Decision:
    ledger = ledger or Ledger()
    return Decision(seen, policy, ledger, decide(seen, policy, ledger))


def later(decision: Decision, **changes: Any) -> Decision:
    """Half a minute on, when every object is another one, equal as it may be."""
    queue = decision.snapshot.queue
    fresh = told(queue.jobs, tuple[QueuedJob, ...])
    queue = replace(queue, taken_at=queue.taken_at + timedelta(seconds=30), jobs=fresh)
    return decided(replace(decision.snapshot, queue=queue, **changes))


def test_a_decision_in_which_nothing_has_changed_is_short() -> None:
    writer, reader, one = Writer("1"), Reader(whole=True), long_queue()
    first, second = writer.entry(one), writer.entry(two := later(one))

    assert len(second) < 500 < 20_000 < len(first)
    for entry, decision in ((first, one), (second, two)):
        kept = reader.take(entry)
        assert kept is not None
        assert in_order(decision) == kept.decision()


def in_order(decision: Decision) -> Decision:
    return replace(decision, plan=in_queue_order(decision.plan, decision.snapshot))


def test_what_runs_has_run_longer_and_what_waits_has_aged_in_few_words() -> None:
    writer, one = Writer("1"), long_queue()
    writer.entry(one)
    two = later(one)
    older = tuple(
        replace(job, elapsed=job.elapsed + timedelta(seconds=30))
        if job.state is JobState.RUNNING
        else replace(job, priority=job.priority + 7)
        for job in two.snapshot.queue.jobs
    )
    two = decided(replace(two.snapshot, queue=replace(two.snapshot.queue, jobs=older)))
    _, _, given, _ = writer.entry(two).split("\n")

    changed = json.loads(given)["snapshot"]["queue"]["jobs"]["changed"]
    assert {"elapsed": [0, 20, 30_000_000], "priority": [20, 280, 7]} == changed


def test_numbers_that_all_hear_anew_are_told_once() -> None:
    writer, one = Writer("1"), long_queue()
    writer.entry(one)
    frozen = decided(one.snapshot, ledger=Ledger(frozen="bob"))
    _, plan, _, _ = writer.entry(frozen).split("\n")

    found = json.loads(plan)["plan"]["declined"]
    assert [50, 230, [["by", "bob"]]] == found["changed"]["numbers"]  # 50 would have left


@pytest.mark.parametrize(
    ("one", "other"),
    [("1", "1.00"), ("0", "0.0"), ("1E+2", "100")],
)
def test_amounts_that_are_equal_and_look_different_are_told(one: str, other: str) -> None:
    ledgers = [Ledger(spent=Money(Decimal(amount))) for amount in (one, other)]
    cell = node(Ledger).cell()
    for before, after in ((NOTHING, ledgers[0]), (ledgers[0], ledgers[1])):
        cell.take(json.loads(node(Ledger).diff(before, after)))
        assert str(after.spent) == str(cell.value().spent)

    charges = [
        Ledger(charges=(Charge(NOW, "phys", "alice", Money(Decimal(amount)), True),))
        for amount in (one, other)
    ]
    assert '"changed":{"amount":' in node(Ledger).diff(*charges)


@pytest.mark.parametrize("value", [math.inf, -math.inf, 0.1, -0.0, 1e300, 2, 5e-324])
def test_a_number_survives_exactly(value: float) -> None:
    found = told(value, float)
    assert (repr(value), type(value)) == (repr(found), type(found))
    assert math.isnan(told(math.nan, float))


def test_alternatives_say_which_they_are() -> None:
    pools: dict[str, PoolView] = {"a": Pool("a", 3, 1), "b": UnseenPool("b", "away")}
    seen = replace(snapshot(queued()), licences=pools)
    assert pools == told(seen, Snapshot).licences
    facts = ScriptFacts(True, licences={"x": 3, "y": Formula.ABAQUS})
    assert facts == told(facts, ScriptFacts)


def test_what_was_kept_of_runs_tells_the_same_of_a_job() -> None:
    hour = timedelta(hours=1)
    runs = [PastRun("alice", f"beam{n}", "", hour, hour / (n + 1), 4) for n in range(30)]
    runs += [PastRun("bob", "plate", "", timedelta(), hour)]
    usage, job = Usage(runs), queued(time_limit=hour)
    found = told(usage, Usage)

    assert usage == found != Usage()
    assert usage.expected(job) == found.expected(job)
    assert usage.mean == found.mean is not None
    assert usage != "usage"


# --- chains of entries


def entries(count: int = 4) -> tuple[list[str], list[Decision]]:
    writer, decisions = Writer("1"), [decided(snapshot(queued(1), queued(2)))]
    for n in range(3, 2 + count):
        one = decisions[-1].snapshot
        queue = replace(one.queue, jobs=(*one.queue.jobs, queued(n)))
        decisions.append(decided(Snapshot(queue, (VIEW,), {**one.scripts, identity(n): CALCULIX})))
    return [writer.entry(one) for one in decisions], [in_order(one) for one in decisions]


def test_an_entry_whose_forerunner_is_lost_is_not_read_nor_any_until_the_next_whole_one() -> None:
    texts, decisions = entries()
    writer = Writer("1")
    texts += [writer.entry(decisions[0]), writer.entry(decisions[1])]
    reader = Reader(whole=True)
    found = [reader.take(texts[n]) for n in (0, 2, 3, 4)]

    assert [True, False, False, True] == [kept is not None for kept in found]
    last = reader.take(texts[5])
    assert last is not None
    assert decisions[1] == last.decision()
    assert reader.take(texts[1]) is None  # it continues another


def test_what_was_written_after_a_loss_begins_anew() -> None:
    writer, (_, decisions) = Writer("1"), entries()
    writer.entry(decisions[0])
    writer.entry(decisions[1])
    writer.begin()
    kept = Reader(whole=True).take(writer.entry(decisions[2]))
    assert kept is not None
    assert decisions[2] == kept.decision()


def test_a_chain_ends_once_what_follows_is_longer_than_its_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chronicle, "SHORT", 0)
    texts, decisions = entries(30)
    reader, first, more, chains = Reader(whole=True), 0, 0, 0
    for entry, one in zip(texts, decisions, strict=True):
        kept = reader.take(entry)
        assert kept is not None
        assert one == kept.decision()
        if chronicle.start_of(entry)[1]:
            assert chains == 0 or more > first
            first, more, chains = len(entry), 0, chains + 1
        else:
            assert more <= first
            more += len(entry)
    assert 1 < chains < 10


def test_plans_are_read_without_what_they_were_made_from() -> None:
    texts, decisions = entries()
    reader = Reader(whole=False)
    for entry, decision in zip(texts, decisions, strict=True):
        kept = reader.take(entry)
        assert kept is not None
        assert decision.plan == kept.plan()
        assert outline(decision) == kept.outline == outline_of(entry)
        verdicts: tuple[Any, ...] = (*decision.plan.placements, *decision.plan.declined)
        assert [v for v in verdicts if v.identity.key.job_id == 2] == list(kept.verdicts(2))
        assert () == kept.verdicts(99)
        with pytest.raises(Unfit):
            kept.decision()


def test_a_form_of_another_time_is_refused_by_its_number() -> None:
    (entry, *_), _ = entries(1)
    other = entry.replace('"format":1', '"format":7', 1).replace('"burstd":"1"', '"burstd":"9.1"')
    for read in (Reader(whole=True).take, outline_of):
        with pytest.raises(Unfit, match=r"form is 7, and this burstd reads form 1.* burstd 9\.1"):
            read(other)


@pytest.mark.parametrize("entry", ["", "{}\n", "[]\n\n\n", '{"format":1}\n{}\n{}\n', "x\ny\nz\n"])
def test_what_is_no_entry_is_refused_in_words(entry: str) -> None:
    with pytest.raises(Unfit):
        Reader(whole=True).take(entry)
    with pytest.raises(Unfit):
        outline_of(entry)


def test_values_that_do_not_fit_are_refused_when_they_are_asked_for() -> None:
    (entry, *_), _ = entries(1)
    kept = Reader(whole=True).take(entry.replace('"PENDING"', '"PENDENT"'))
    assert kept is not None
    with pytest.raises(Unfit, match="PENDENT"):
        kept.decision()


def test_the_outline_counts_jobs_and_money() -> None:
    one = replace(POLICY, max_new_per_tick=2)
    array = queued(9, tasks=tuple(range(8)))
    found = outline(decided(snapshot(array, queued(10, reason="Dependency")), one))

    assert (2, {"paced": 6, "dependent": 1}) == (found.leave, dict(found.stay))
    assert Decimal("0.2") == found.reserved
    assert chronicle.FORMAT == 1


def test_declines_are_put_into_the_order_of_the_queue_and_keep_all_they_say() -> None:
    seen = snapshot(queued(2), queued(1, tasks=(1, 2)))
    back = frozenset({JobKey("onprem", 1, 2)})
    plan = in_queue_order(decide(seen, POLICY, Ledger(returned=back)), seen)

    assert [2, 1, 1] == [d.identity.key.job_id for d in plan.declined]
    assert [Reason.RETURNED_BEFORE] == [d.reason for d in plan.declined if back == {*d.elements}]
    assert plan == in_queue_order(plan, told(seen, Snapshot))  # other objects, equal ones

    kept = Reader(whole=True).take(Writer("1").entry(decided(seen, ledger=Ledger(returned=back))))
    assert kept is not None
    assert plan == kept.plan() != decide(seen, POLICY, Ledger(returned=back))


def test_a_placement_has_all_its_fields() -> None:
    placed = Placement(
        identity(), TargetName("x"), "calculix", 2, Money(Decimal("1.50")), True, "phys",
        Money(Decimal("0.7")), {"abaqus": 5},
    )  # fmt: skip
    plan = Plan(
        POLICY.watermarks.high,
        frozenset({"queue"}),
        (placed,),
        (Decline(identity(2), Reason.HELD),),
    )
    assert plan == told(plan, Plan)
