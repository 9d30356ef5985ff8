"""Explanations: every rule's word, by the same rules as the decision."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burstd.core.cures import CURES
from burstd.core.decide import decide
from burstd.core.explain import departures, explain, verdicts
from burstd.domain.budgets import Budget, Charge, Period, Term
from burstd.domain.classes import DataClass, DataRules, Label
from burstd.domain.directives import Directives, JobMode
from burstd.domain.jobs import CoreHours, JobKey, JobState, QueuedJob
from burstd.domain.licences import Pool
from burstd.domain.plan import Reason, Snapshot
from burstd.domain.policy import BurstPolicy, Ledger, Pressure, Watermarks
from burstd.domain.targets import Money, TargetName
from tests.unit.test_decide import ledgers, policies, queues
from tests.unit.values import CALCULIX, NOW, POLICY, VIEW, queued, snapshot

#: What a rule of one job alone can't know.
OF_THE_PLAN = {
    Reason.DAMPED, Reason.PACED, Reason.TOO_MANY_OPEN, Reason.NO_BUDGET, Reason.RETURNED_BEFORE,
    Reason.ABANDONED,
}  # fmt: skip


def failing(job: QueuedJob, seen: Snapshot, policy: BurstPolicy, ledger: Ledger) -> list[str]:
    plan = decide(seen, policy, ledger)
    return [step.text for step in explain(job, seen, policy, ledger, plan) if not step.holds]


@given(queues, policies, ledgers, st.booleans())
@settings(max_examples=60, deadline=None)
def test_what_the_plan_says_is_in_the_explanation_and_nothing_stands_against_who_leaves(
    queue: tuple[QueuedJob, ...], policy: BurstPolicy, ledger: Ledger, steer: bool
) -> None:
    policy, seen = replace(policy, steer=steer, strategy="marginal"), snapshot(*queue)
    plan = decide(seen, policy, ledger)
    leaving = departures(seen, policy, ledger, plan)
    assert {placed.identity.key for placed in plan.placements} == set(leaving)
    for job in queue:
        for key in leaving.keys() & job.elements:
            assert explain(job, seen, policy, ledger, plan) == leaving[key]
        if job.state is not JobState.PENDING:
            continue
        found = failing(job, seen, policy, ledger)
        for decline in plan.declined:
            if decline.identity == job.identity and decline.reason not in OF_THE_PLAN:
                assert decline.reason.value in found
        if any(placed.identity.key in job.elements for placed in plan.placements):
            assert [] == found
        told = [key for group in verdicts(job, plan, "EUR") for key in group.elements]
        free = [key for key in job.elements if key not in ledger.open]
        if job.tasks or job.key not in ledger.open:
            assert sorted(free) == sorted(told)


def test_all_that_stands_in_the_way_is_told_at_once_with_its_place() -> None:
    policy = replace(
        POLICY,
        min_age=timedelta(hours=2),
        accounts=frozenset({"chem"}),
        budget=Money(Decimal("0.01")),
        places={"policy.min_age": "/etc/burstd/config.toml:7"},
    )
    job = queued(cpus=99)
    seen = snapshot(job)
    steps = explain(job, seen, policy, Ledger(), decide(seen, policy, Ledger()))
    against = {step.rule: step for step in steps if not step.holds}

    assert {"account", "age", "pressure", "target cloud"} == set(against)
    assert {"age": "3600s", "min_age": "7200s"} == against["age"].numbers
    assert "/etc/burstd/config.toml:7" == against["age"].place
    assert ("policy.accounts", "") == (against["account"].setting, against["account"].place)
    assert all(step.cure for step in against.values())


def test_what_runs_at_home_needs_no_rules() -> None:
    job = queued(state=JobState.RUNNING)
    seen = snapshot(job)
    (step,) = explain(job, seen, POLICY, Ledger(), decide(seen, POLICY, Ledger()))
    assert (False, True) == (step.holds, "RUNNING on-prem" in step.text)


def test_an_array_is_explained_by_groups() -> None:
    job = queued(7, tasks=(1, 2, 3), cpus=8)
    policy = replace(POLICY, max_new_per_tick=1)
    seen = snapshot(job)
    groups = verdicts(job, decide(seen, policy, Ledger()), "EUR")

    assert [(True, 1), (False, 2)] == [(g.leaves, len(g.elements)) for g in groups]
    assert (JobKey("onprem", 7, 1),) == groups[0].elements
    assert CURES[Reason.PACED] == groups[1].cure


ACCURATE = replace(POLICY, watermarks=Watermarks(CoreHours(1), CoreHours(0.5)), veto=True)


@pytest.mark.parametrize(
    ("policy", "asked"),
    [
        (replace(POLICY, modes=frozenset({"require"})), Directives(JobMode.REQUIRE)),
        (ACCURATE, Directives(JobMode.PREFER)),
    ],
)
def test_nothing_stands_against_one_that_leaves_because_its_user_wants_it(
    policy: BurstPolicy, asked: Directives
) -> None:
    job = queued(starts=NOW + timedelta(seconds=1))
    seen = snapshot(job, facts=replace(CALCULIX, asked=asked))

    assert 1 == len(decide(seen, policy, Ledger()).placements)
    assert [] == failing(job, seen, policy, Ledger())


def test_nothing_stands_against_one_that_is_over_sooner_at_the_second_choice_alone() -> None:
    fast, slow = replace(VIEW, name=TargetName("fast"), price=Money(Decimal(1))), VIEW
    fast = replace(fast, speeds={"calculix": 10.0})
    policy = replace(ACCURATE, targets=(fast.name, slow.name))
    job = queued(starts=NOW + timedelta(seconds=1))
    seen = snapshot(job, views=(slow, fast))

    assert [fast.name] == [p.target for p in decide(seen, policy, Ledger()).placements]
    assert [] == failing(job, seen, policy, Ledger())


def test_its_price_is_told_by_what_it_costs_where_it_would_go() -> None:
    fast = replace(
        VIEW, name=TargetName("fast"), price=Money(Decimal(1)), speeds={"calculix": 10.0}
    )
    policy = replace(
        ACCURATE, targets=(VIEW.name, fast.name), veto=False, steer=True, theta=0.0,
        strategy="marginal", budget=Money(Decimal("3.5")), term=Term(NOW, timedelta(days=30)),
    )  # fmt: skip
    runs = queued(1, state=JobState.RUNNING, cpus=16, time_limit=timedelta(hours=70), reason="None")
    job = queued(2, starts=NOW)  # who is over sooner at the dear one alone goes to the cheap one
    seen = snapshot(runs, job, views=(VIEW, fast))

    assert [VIEW.name] == [p.target for p in decide(seen, policy, Ledger()).placements]
    assert [] == failing(job, seen, policy, Ledger())


PLACES = {
    f"policy.{name}": f"here:{line}"
    for line, name in enumerate(
        ("max_cores", "max_time", "min_core_hours", "labels", "unlabelled", "classes", "windows",
         "blackouts", "modes")
    )
}  # fmt: skip
SECRET = DataRules(
    (DataClass("secret", frozenset()),), (Label("secret", accounts=frozenset({"phys"})),)
)


@pytest.mark.parametrize(
    ("rule", "changes", "closed", "setting"),
    [
        ("size", {"least_core_hours": CoreHours(9), "most_cores": 64}, "", "min_core_hours"),
        ("size", {"most_cores": 1}, "", "max_cores"),
        ("size", {"longest": timedelta(minutes=1)}, "", "max_time"),
        ("class", {"data": DataRules()}, "", "unlabelled"),
        ("class", {"data": SECRET}, "", "classes"),
        ("window", {}, "closed until 2030-01-15T18:00Z", "windows"),
        ("window", {}, "blackout until the end of 2030-01-15", "blackouts"),
    ],
)
def test_the_setting_that_is_named_is_the_one_that_decides(
    rule: str, changes: dict[str, Any], closed: str, setting: str
) -> None:
    """Its line is where an operator goes and looks."""
    job, policy = queued(), replace(POLICY, places=PLACES, **changes)
    seen = replace(snapshot(job), closed=closed)
    steps = explain(job, seen, policy, Ledger(), decide(seen, policy, Ledger()))
    (found,) = (step for step in steps if not step.holds and step.rule == rule)

    assert (f"policy.{setting}", PLACES[f"policy.{setting}"]) == (found.setting, found.place)


@pytest.mark.parametrize(
    ("amount", "charge", "cure"),
    [
        (
            "0.15",
            "0.1",
            "wait for running bursts to settle or the next day; or raise policy.budgets.phys",
        ),
        ("0.05", "0", "ask for less, or raise policy.budgets.phys: all of it would not do"),
    ],
)
def test_of_a_budget_it_is_told_which_and_whether_waiting_helps(
    amount: str, charge: str, cure: str
) -> None:
    mine = Budget("phys", Money(Decimal(amount)), Period.DAY, frozenset({"phys"}))
    policy = replace(POLICY, budgets=(mine,), watermarks=Watermarks(CoreHours(1), CoreHours(0)))
    ledger = Ledger(charges=(Charge(NOW, "phys", "alice", Money(Decimal(charge)), open=True),))
    job = queued()
    seen = snapshot(job)
    plan = decide(seen, policy, ledger)
    (group,) = verdicts(job, plan, "EUR")
    (found,) = (s for s in explain(job, seen, policy, ledger, plan) if not s.holds and s.cure)

    assert [cure.format("policy.budgets.phys")] * 2 == [group.cure, found.cure]


@pytest.mark.parametrize(
    ("changes", "facts", "cure"),
    [
        ({}, "cae:3", "wait until they are given back, or ask for fewer"),
        ({}, "cae:9", "ask for fewer: bursts may have no more of them"),
        ({}, "nobody:1", "add a [licences.*] that counts it, or don't ask for it"),
        ({"licences": "x@far:1"}, "", "add a [licences.*] that counts it, or don't ask for it"),
        ({"licences": "cae::"}, "", "write them as sbatch -L takes them: NAME:COUNT,..."),
        ({"licences": "pod:1"}, "pod:2", "name all that it needs of it by sbatch -L"),
    ],
)
def test_of_licences_it_is_told_whether_waiting_helps(
    changes: dict[str, Any], facts: str, cure: str
) -> None:
    pools = {"cae": Pool("cae", 8, 6), "pod": Pool("pod", 9, 0, slurm="pod")}
    job = queued(**changes)
    asked = replace(CALCULIX, asked=Directives(licences=facts))
    seen = replace(snapshot(job, facts=asked), licences=pools)
    policy = replace(POLICY, watermarks=Watermarks(CoreHours(1), CoreHours(0)))
    plan = decide(seen, policy, Ledger())
    (group,) = verdicts(job, plan, "EUR")
    steps = {step.rule: step for step in explain(job, seen, policy, Ledger(), plan)}

    assert (False, cure, cure) == (steps["licences"].holds, steps["licences"].cure, group.cure)


def test_a_part_of_the_queue_is_told_with_what_waits_of_it() -> None:
    part = Pressure("crash", Watermarks(CoreHours(30), CoreHours(10)), accounts=frozenset({"phys"}))
    job, other = queued(1), queued(2, account="chem")
    seen, policy = snapshot(job, other), replace(POLICY, pressures=(part,))
    plan = decide(seen, policy, Ledger())
    steps = {step.rule: step for step in explain(job, seen, policy, Ledger(), plan)}

    assert "4.00 core-hours" == steps["pressure"].numbers["backlog"]
    assert "2.00" == steps["pressure crash"].numbers["backlog"]
    assert "lower policy.pressures.crash.high" in steps["pressure crash"].cure


def test_every_reason_has_its_cure() -> None:
    assert set(Reason) == set(CURES)
