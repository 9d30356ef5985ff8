"""What holds for decisions whatever the queue, the policy and the ledger are."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from burstd.core.candidates import rulings_on
from burstd.core.decide import decide
from burstd.domain.budgets import Budget, Charge, Period
from burstd.domain.classes import DataClass, DataRules, Label
from burstd.domain.directives import Directives, JobMode
from burstd.domain.jobs import CoreHours, JobKey, JobState, QueuedJob
from burstd.domain.licences import Pool
from burstd.domain.plan import Plan, ScriptFacts, Snapshot
from burstd.domain.policy import BurstPolicy, Ledger, Order, Pressure, Stand, Watermarks
from burstd.domain.targets import Money, TargetName
from tests.unit.test_decide import ledgers, policies, queues
from tests.unit.values import CLOUD, NOW, POLICY, VIEW, identity, queued, snapshot

NEAR = TargetName("near")
SECRET, NEARBY = DataClass("secret", frozenset()), DataClass("near", frozenset({NEAR}))
VIEWS = (VIEW, replace(VIEW, name=NEAR, price=Money(Decimal("0.07")), cores=9))

CRASH = Pressure("crash", Watermarks(CoreHours(9), CoreHours(3)), accounts=frozenset({"crash"}))

strategies = st.sampled_from(["threshold", "waiting", "marginal"])
jobs: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    account=st.sampled_from(["phys", "crash"]),
    user=st.sampled_from(["alice", "bob"]),
    cpus=st.sampled_from([1, 2, 4, 8, 16]),
    hours=st.sampled_from([1, 2, 8]),
    age=st.integers(0, 9),
    priority=st.sampled_from([10, 20]),
    running=st.sampled_from([False, False, False, True]),
    tasks=st.sampled_from([0, 0, 3, 5]),
    licences=st.sampled_from(["", "", "cae:1", "cae:3"]),
    mode=st.sampled_from([JobMode.AUTO, *JobMode]),
)  # fmt: skip
rich = st.builds(
    lambda policy, strategy, order, step, veto, modes, cap: replace(
        policy,
        strategy=strategy, order=order, step=step, veto=veto, modes=modes,
        targets=(CLOUD, NEAR),
        budgets=(Budget("crash", Money(Decimal(cap)), Period.WEEK, frozenset({"crash"})),),
        pressures=(CRASH,),
        data=DataRules(
            (SECRET, NEARBY),
            (Label("secret", users=frozenset({"bob"}), accounts=frozenset({"phys"})),
             Label("near", accounts=frozenset({"crash"}))),
            DataClass("open"),
        ),
    ),
    policies, strategies, st.sampled_from(Order), st.sampled_from([0.2, 1.0]), st.booleans(),
    st.sampled_from([frozenset[str](), frozenset({"prefer", "require"})]), st.integers(0, 9),
)  # fmt: skip


def site(rows: list[dict[str, Any]]) -> Snapshot:
    lines, scripts = [], {}
    for n, row in enumerate(rows, 1):
        running = row["running"]
        who = identity(n, user=row["user"], submitted_at=NOW - timedelta(hours=row["age"]))
        line = queued(
            n, identity=who, account=row["account"], cpus=row["cpus"], priority=row["priority"],
            time_limit=timedelta(hours=row["hours"]), licences=row["licences"],
            state=JobState.RUNNING if running else JobState.PENDING,
            elapsed=timedelta(minutes=30) if running else timedelta(),
            tasks=() if running else tuple(range(row["tasks"])),
        )  # fmt: skip
        lines.append(line)
        scripts[who] = ScriptFacts(True, "calculix", Directives(row["mode"]))
    pool = Pool("cae", 6, 1, 1, slurm="cae")
    seen = snapshot(*lines, views=VIEWS)
    return replace(seen, scripts=scripts, licences={"cae": pool})


sites = st.lists(jobs, max_size=14).map(site)


def leaving(plan: Plan) -> set[JobKey]:
    return {placed.identity.key for placed in plan.placements}


def by_key(seen: Snapshot) -> dict[JobKey, QueuedJob]:
    return {key: job for job in seen.queue.jobs for key in job.elements}


@given(sites, rich, st.integers(0, 9), st.integers(0, 12))
@settings(max_examples=150, deadline=None)
def test_no_cap_no_pool_no_target_and_no_class_is_ever_passed(
    seen: Snapshot, policy: BurstPolicy, spent: int, busy: int
) -> None:
    charge = Charge(NOW, "crash", "alice", Money(Decimal(spent)), open=True)
    ledger = Ledger(
        spent=Money(Decimal(0)), reserved=Money(Decimal(spent)), charges=(charge,),
        open_at={NEAR: Stand(busy)},
    )  # fmt: skip
    plan, lines = decide(seen, policy, ledger), by_key(seen)
    promised = sum((p.reserved for p in plan.placements), Decimal(0))
    theirs = sum((p.reserved for p in plan.placements if p.account == "crash"), Decimal(0))

    assert promised <= max(Decimal(0), policy.budget - spent)
    assert theirs <= max(Decimal(0), policy.budgets[0].amount - spent)
    held = sum(int(lines[key].licences[4:] or 0) for key in leaving(plan))
    assert held <= 6 - 1 - 1
    there = sum(p.cores for p in plan.placements if p.target == NEAR)
    assert there == 0 or busy + there <= 9
    for placed in plan.placements:
        job = lines[placed.identity.key]
        assert (job.identity.user, job.account) != ("bob", "phys")  # secret
        assert job.account != "crash" or placed.target == NEAR
        assert seen.scripts[job.identity].asked.mode is not JobMode.NEVER


@given(sites, rich, st.booleans())
@settings(max_examples=100, deadline=None)
def test_every_element_that_waits_hears_one_verdict(
    seen: Snapshot, policy: BurstPolicy, surging: bool
) -> None:
    plan = decide(seen, policy, Ledger(surging=frozenset({"queue"} if surging else ())))
    heard = [p.identity.key for p in plan.placements]
    heard += [key for decline in plan.declined for key in decline.elements]
    waiting = [k for k, job in by_key(seen).items() if job.state is JobState.PENDING]

    assert sorted(map(str, waiting)) == sorted(map(str, heard))


#: Nobody is in anybody's way: whether a job leaves is its own affair and the marks'.
WIDE = replace(POLICY, max_new_per_tick=10_000, max_open_bursts=10_000)
tighter = st.sampled_from(
    [
        {"users": frozenset({"alice"})},
        {"accounts": frozenset({"phys"})},
        {"min_age": timedelta(hours=3)},
        {"most_cores": 4},
        {"longest": timedelta(hours=2)},
        {"least_core_hours": CoreHours(8)},
        {"data": DataRules((SECRET,), (), SECRET)},
        {"data": DataRules()},
        {"reasons": frozenset({"Priority"})},
        {"targets": ()},
        {"watermarks": Watermarks(CoreHours(60), CoreHours(4))},
        {"watermarks": Watermarks(CoreHours(60), CoreHours(50))},
        {"step": 0.3},
        {"mode": POLICY.mode, "budget": Money(Decimal(0))},
        {"veto": True},
    ]
)


@given(sites, tighter, st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_tighter_rule_never_lets_one_more_leave(
    seen: Snapshot, change: dict[str, Any], surging: bool
) -> None:
    """Where jobs compete for what is scarce, room that one leaves may be another's: without that,
    nobody leaves because of a rule that was tightened."""
    seen = replace(seen, licences={"cae": Pool("cae", 10**6, 0, slurm="cae")}, targets=(VIEW,))
    policy = replace(WIDE, modes=frozenset({"prefer"}))
    ledger = Ledger(surging=frozenset({"queue"} if surging else ()))

    before = leaving(decide(seen, policy, ledger))
    assert leaving(decide(seen, replace(policy, **change), ledger)) <= before


@given(sites, rich, tighter)
@settings(max_examples=100, deadline=None)
def test_whom_a_rule_objects_to_never_leaves_whoever_else_does(
    seen: Snapshot, policy: BurstPolicy, change: dict[str, Any]
) -> None:
    policy = replace(policy, **change)
    lines = by_key(seen)
    for key in leaving(decide(seen, policy, Ledger())):
        assert all(r.objection is None for r in rulings_on(lines[key], seen, policy))


def split(seen: Snapshot) -> Snapshot:
    """Every array as its tasks, a line each: so Slurm shows one whose tasks differ."""
    lines, scripts = [], {}
    for job in seen.queue.jobs:
        for key in job.elements:
            who = replace(job.identity, key=key)
            lines.append(replace(job, identity=who, tasks=()))
            scripts[who] = seen.scripts[job.identity]
    return replace(seen, queue=replace(seen.queue, jobs=tuple(lines)), scripts=scripts)


@given(sites, rich, st.booleans())
@settings(max_examples=150, deadline=None)
def test_an_array_leaves_the_same_in_one_line_or_in_many(
    seen: Snapshot, policy: BurstPolicy, surging: bool
) -> None:
    ledger = Ledger(surging=frozenset({"queue"} if surging else ()))
    whole, parts = decide(seen, policy, ledger), decide(split(seen), policy, ledger)

    assert abs(whole.backlog - parts.backlog) < 1e-6
    assert [str(p) for p in whole.placements] == [str(p) for p in parts.placements]


@given(queues, policies, ledgers, st.floats(0.1, 0.9))
@settings(max_examples=60, deadline=None)
def test_once_it_has_acted_it_does_not_turn_round(
    queue: tuple[QueuedJob, ...], policy: BurstPolicy, ledger: Ledger, part: float
) -> None:
    """What has left is out of the queue; nothing new has come: a surge that is over stays over,
    one that goes on had no more to give."""
    first = decide(snapshot(*queue), policy, ledger)
    after = replace(ledger, surging=first.surging, open=ledger.open | leaving(first))
    second = decide(snapshot(*queue), policy, after)

    assert second.backlog <= first.backlog + 1e-9
    assert second.surging <= first.surging
