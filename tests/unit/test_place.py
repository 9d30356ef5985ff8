"""Where a job goes: by cost, time or deadline, and not where there is no room for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from burstd.core.decide import decide
from burstd.core.explain import explain
from burstd.core.line import Line
from burstd.core.place import Ask, Places
from burstd.core.speeds import measured
from burstd.domain.directives import NONE, Directives
from burstd.domain.estimates import Accuracy, Source
from burstd.domain.jobs import CoreHours, JobState, QueuedJob
from burstd.domain.plan import Plan, Reason, ScriptFacts
from burstd.domain.policy import BurstPolicy, End, Ledger, Order, Stand, Watermarks
from burstd.domain.reasons import Step
from burstd.domain.targets import Money, TargetName, TargetView
from burstd.domain.usage import PastRun, Usage
from tests.unit.values import CLOUD, NOW, POLICY, VIEW, queued, snapshot

FAST, CHEAP, HOUR = TargetName("fast"), TargetName("cheap"), timedelta(hours=1)
DEAR = replace(VIEW, name=FAST, price=Money(Decimal("0.20")), speeds={"calculix": 2.0})
SLOW = replace(VIEW, name=CHEAP, price=Money(Decimal("0.04")), speeds={"calculix": 0.5})
OPEN = replace(
    POLICY, watermarks=Watermarks(CoreHours(1), CoreHours(0)), targets=(CLOUD, FAST, CHEAP)
)


def end(target: TargetName = CLOUD, **more: Any) -> End:
    given: dict[str, Any] = {
        "user": "alice", "at": NOW - HOUR, "ran": HOUR / 4, "failed": False, "name": "beam",
        "application": "calculix", "limit": HOUR, "lead": timedelta(minutes=20),
    }  # fmt: skip
    return End(target, **{**given, **more})


def gone(
    *jobs: QueuedJob,
    views: tuple[TargetView, ...] = (VIEW, DEAR, SLOW),
    asked: Directives = NONE,
    policy: BurstPolicy = OPEN,
    ledger: Ledger = Ledger(),  # noqa: B008 - a value
) -> Plan:
    facts = ScriptFacts(True, "calculix", asked)
    return decide(snapshot(*jobs or (queued(),), views=views, facts=facts), policy, ledger)


def where(plan: Plan) -> list[str]:
    return [str(placed.target) for placed in plan.placements]


@pytest.mark.parametrize(
    ("order", "deadline", "expected"),
    [
        (Order.COST, None, "cheap"),  # runs twice as long at 0.04: cheaper than once at 0.20 / 2
        (Order.TIME, None, "fast"),
        (Order.DEADLINE, None, "cheap"),
        (Order.DEADLINE, NOW + 3 * HOUR, "cheap"),
        (Order.DEADLINE, NOW + HOUR * 1.5, "cloud"),
        (Order.DEADLINE, NOW + HOUR, "fast"),
        (Order.DEADLINE, NOW, "fast"),  # nobody makes it: the sooner the better
    ],
)
def test_the_policy_orders_those_that_fit(
    order: Order, deadline: datetime | None, expected: str
) -> None:
    views = (VIEW, DEAR, replace(SLOW, price=Money(Decimal("0.02"))))
    plan = gone(views=views, asked=Directives(deadline=deadline), policy=replace(OPEN, order=order))

    assert [expected] == where(plan)


def test_the_price_is_for_what_runs_there_and_the_promise_for_the_whole_limit() -> None:
    (placed,) = gone(views=(DEAR,)).placements

    assert (Decimal("0.4"), Decimal("0.2")) == (placed.reserved, placed.likely)


def test_who_finds_the_first_full_goes_to_the_next() -> None:
    views = (replace(VIEW, cores=5), DEAR)
    ledger = Ledger(open_at={CLOUD: Stand(2)})
    assert ["cloud", "fast"] == where(gone(queued(1), queued(2), views=views, ledger=ledger))
    full = gone(views=views[:1], ledger=Ledger(open_at={CLOUD: Stand(4)}))
    assert [{"cloud": "4 of 5 cores there are taken"}] == [d.numbers for d in full.declined]


def test_a_target_where_ours_wait_long_is_sold_out_until_they_run() -> None:
    def at(waits: timedelta) -> list[str]:
        ledger = Ledger(open_at={CLOUD: Stand(2, NOW - waits)})
        return where(gone(views=(VIEW, DEAR), ledger=ledger))

    assert ["cloud"] == at(OPEN.sold_out_after)
    assert ["fast"] == at(OPEN.sold_out_after + timedelta(seconds=1))


def test_what_the_first_one_costs_too_much_for_a_budget_the_next_may_not() -> None:
    policy = replace(OPEN, order=Order.TIME, budget=Money(Decimal("0.3")))

    assert ["cloud"] == where(gone(policy=policy))


def test_how_long_it_takes_to_begin_there_is_measured() -> None:
    leads = [timedelta(minutes=m) for m in (5, 10, 60)]
    ledger = Ledger(ends=(*(end(lead=lead) for lead in leads), end(FAST, lead=None)))
    places = Places(snapshot(queued(), views=(VIEW, DEAR)), OPEN, ledger)
    ask = Ask(queued(), NONE, "calculix")
    found = {offer.view.name: (offer.lead, offer.run) for offer in places.offers(ask)}

    assert {CLOUD: (timedelta(minutes=10), HOUR), FAST: (OPEN.start_delay, HOUR / 2)} == found


# --- speeds


def runs(part: float, count: int = 3, name: str = "beam") -> list[PastRun]:
    return [PastRun("alice", name, "", HOUR, HOUR * part)] * count


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        (runs(0.5), [end()] * 5, 2.0),
        (runs(0.5), [end()] * 4, None),  # too few of them
        (runs(0.5, 2), [end()] * 5, None),
        (runs(0.5, name="other"), [end()] * 5, None),
        (runs(0.5), [end(failed=True)] * 9, None),
        (runs(0.5), [end(ran=timedelta())] * 9, None),
        (runs(1.0), [end(ran=timedelta(seconds=1))] * 5, 5.0),  # no machine is that fast
        (runs(0.5), [end()] * 5 + [end(ran=HOUR)] * 2, 2.0),  # an outlier does not count
    ],
)
def test_speed_is_measured_by_runs_of_a_kind(
    here: list[PastRun], there: list[End], expected: float | None
) -> None:
    found = measured(there, Usage(here)).get((CLOUD, "calculix"))

    assert expected == found


@pytest.mark.parametrize(
    ("part", "runs", "expected"),
    [(0.9, 10, ["cloud"]), (0.3, 10, ["cheap"]), (0.9, 0, ["cheap"])],
)
def test_nobody_goes_where_its_limit_would_end_it(
    part: float, runs: int, expected: list[str]
) -> None:
    """At half the speed a run that uses nine tenths of its limit here is killed there. Of whose
    runs nothing is known that can't be said."""
    job, slow = queued(), replace(SLOW, price=Money(Decimal("0.01")))
    past = [PastRun("alice", "beam", "phys", HOUR, part * HOUR, 2)] * runs
    seen = replace(snapshot(job, views=(VIEW, slow)), usage=Usage(past))
    policy = replace(OPEN, watermarks=Watermarks(CoreHours(0.1), CoreHours(0)))
    plan = decide(seen, policy, Ledger())
    assert expected == where(plan)
    told = {s.rule: s.text for s in explain(job, seen, policy, Ledger(), plan)}
    why = "it is too slow: expected to run 109 min there, with a limit of 60 min"
    assert (expected == ["cloud"]) == (told["target cheap"] == why)


def test_what_is_configured_is_not_measured() -> None:
    seen = replace(snapshot(queued(), views=(VIEW, DEAR)), usage=Usage(runs(0.5)))
    ledger = Ledger(ends=tuple([end()] * 5 + [end(FAST)] * 5))
    offers = Places(seen, OPEN, ledger).offers(Ask(queued(), NONE, "calculix"))
    expected = Usage(runs(0.5)).time(queued())

    assert {CLOUD: expected / 2.0, FAST: expected / 2.0} == {o.view.name: o.run for o in offers}
    slower = replace(DEAR, speeds={"calculix": 0.8})
    (offer,) = Places(replace(seen, targets=(slower,)), OPEN, ledger).offers(
        Ask(queued(), NONE, "calculix")
    )
    assert expected / 0.8 == offer.run


# --- the veto


def starting(minutes: float, **more: Any) -> QueuedJob:
    return queued(starts=NOW + timedelta(minutes=minutes), **more)


VETO = replace(OPEN, veto=True)


def kept(plan: Plan) -> list[Reason]:
    return [d.reason for d in plan.declined]


def test_who_is_over_sooner_here_stays() -> None:
    # There: 5 minutes until it begins. It runs as long here as there.
    assert [Reason.SOONER_HERE] == kept(gone(starting(4), views=(VIEW,), policy=VETO))
    assert [] == kept(gone(starting(6), views=(VIEW,), policy=VETO))
    assert [] == kept(gone(starting(4), views=(VIEW,)))  # nobody asked
    assert ["fast"] == where(gone(starting(4), policy=replace(VETO, order=Order.TIME)))


def test_the_veto_believes_an_estimate_no_more_than_it_deserves() -> None:
    seen = snapshot(starting(4), views=(VIEW,))
    wrong = replace(seen, accuracy={Source.SLURM: Accuracy(0.5, 1.0, 2.0, 30)})

    assert [Reason.SOONER_HERE] == kept(decide(seen, VETO, Ledger()))
    assert [] == kept(decide(wrong, VETO, Ledger()))


def test_where_slurm_says_nothing_the_line_itself_tells() -> None:
    soon = queued(1, state=JobState.RUNNING, cpus=4, elapsed=timedelta(minutes=57), reason="None")
    first, second = queued(2, cpus=4), queued(3, cpus=4)
    line = Line.of(snapshot(soon, first, second), VETO)
    told = [line.start(job) for job in (first, second, queued(9))]

    assert [timedelta(minutes=3), timedelta(minutes=63), None] == [t and t.told for t in told]
    plan = decide(snapshot(soon, first, second, views=(VIEW,)), VETO, Ledger())
    assert ([3], [Reason.SOONER_HERE]) == (
        [p.identity.key.job_id for p in plan.placements], kept(plan)
    )  # fmt: skip


def test_it_is_no_trigger_and_holds_up_nobody_who_insists() -> None:
    quiet = replace(VETO, watermarks=POLICY.watermarks)
    assert [Reason.BELOW_WATERMARK] == kept(gone(starting(6000), policy=quiet))
    wish = starting(1, partition="burst")
    assert ["cloud"] == where(gone(wish, views=(VIEW,), policy=VETO))


def test_the_explanation_has_every_offer_and_the_start_here() -> None:
    job, ledger = starting(4), Ledger()
    seen = snapshot(job, views=(VIEW, DEAR))
    plan = decide(seen, VETO, ledger)
    steps: dict[str, Step] = {step.rule: step for step in explain(job, seen, VETO, ledger, plan)}
    assert [DEAR.name] == [placed.target for placed in plan.placements]

    fast = steps["target fast"].numbers
    assert ("0.4000 EUR", "0.2000 EUR", "35 min") == (
        fast["worst_case"], fast["expected"], fast["over_in"]
    )  # fmt: skip
    here = steps["here"]
    assert (True, "64 min", "35 min") == (here.holds, here.numbers["here"], here.numbers["there"])
