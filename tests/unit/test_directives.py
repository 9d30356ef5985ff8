"""What users ask of burstd: they tighten, and what nobody can read keeps the job here."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burstd.core.decide import decide
from burstd.core.directives import directives, granted, together
from burstd.domain.directives import NONE, Directives, JobMode
from burstd.domain.jobs import CoreHours
from burstd.domain.plan import Plan, Reason, ScriptFacts
from burstd.domain.policy import Ledger, Watermarks
from burstd.domain.targets import Money, TargetName
from tests.unit.values import CLOUD, NOW, POLICY, VIEW, queued, snapshot

EIGHT = datetime(2026, 11, 28, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", NONE),
        ("never", Directives(JobMode.NEVER)),
        ("mode=prefer", Directives(JobMode.PREFER)),
        ("mode=prefer mode=never mode=auto", Directives(JobMode.NEVER)),
        ("require prefer", Directives(JobMode.REQUIRE)),
        ("app=ccx app=foam", Directives(application="ccx")),
        ("class=a class=b class=a", Directives(classes=("a", "b"))),
        ("licences=x:1 licences=y", Directives(licences="x:1,y:1")),
        ("licences=x:5,y licences=x:3,z:2", Directives(licences="x:5,y:1,z:2")),
        ("licences=x:5 licences=x:5", Directives(licences="x:5")),
        ("licences=x:many licences=x:5", Directives(licences="x:many,x:5")),
        ("target=a,b target=b,c", Directives(targets=frozenset({TargetName("b")}))),
        ("deadline=2026-11-28T08:00", Directives(deadline=EIGHT)),
        ("deadline=2026-11-28T10:00+02:00", Directives(deadline=EIGHT)),
        ("deadline=2026-11-28T10:00 deadline=2026-11-28T08:00", Directives(deadline=EIGHT)),
        ("max-cost=12.50 max-cost=9", Directives(most_cost=Decimal(9))),
        ("max-cost=0", Directives(most_cost=Decimal(0))),
        ("checkpoint=USR1", Directives(checkpoint="USR1")),
        ("checkpoint=SIGUSR2 checkpoint=USR1", Directives(checkpoint="USR2")),
        ("checkpoint=TERM", Directives(unread=("checkpoint=TERM",))),
        ("checkpoint=10", Directives(unread=("checkpoint=10",))),
        ("mode=nevr", Directives(unread=("mode=nevr",))),
        ("nevermore", Directives(unread=("nevermore",))),
        ("colour=red never", Directives(JobMode.NEVER, unread=("colour=red",))),
        ("deadline=soon", Directives(unread=("deadline=soon",))),
        ("max-cost=-1", Directives(unread=("max-cost=-1",))),
        ("max-cost=nan", Directives(unread=("max-cost=nan",))),
        ("class= target=", Directives(unread=("class=", "target="))),
    ],
)
def test_words_are_read_or_kept_as_unread(words: str, expected: Directives) -> None:
    found = directives(words.split())

    assert expected == found
    assert found.deadline is None or found.deadline.astimezone(UTC) == EIGHT


def test_of_too_many_words_or_too_long_ones_little_is_kept_and_the_job_stays() -> None:
    many = directives(f"class=c{number}" for number in range(10**6))
    (long,) = directives([f"class={'x' * 10**6}"]).unread

    assert ("more than 100 words",) == many.unread
    assert 100 == len(many.classes)
    assert len(long) < 100


asked = st.builds(
    Directives,
    st.sampled_from(JobMode),
    classes=st.lists(st.sampled_from("abc"), unique=True, max_size=3).map(tuple),
    targets=st.none() | st.frozensets(st.sampled_from([CLOUD, TargetName("b")])),
    deadline=st.none() | st.sampled_from([EIGHT, EIGHT + timedelta(hours=1)]),
    most_cost=st.none() | st.integers(0, 5).map(Decimal),
)


@given(asked, asked)
def test_two_together_are_no_looser_than_either(one: Directives, other: Directives) -> None:
    both = together(one, other)

    for single in (one, other):
        assert both.mode is JobMode.NEVER or single.mode is not JobMode.NEVER
        assert set(single.classes) <= set(both.classes)
        assert single.targets is None or (
            both.targets is not None and both.targets <= single.targets
        )
        assert single.deadline is None or (both.deadline or EIGHT) <= single.deadline
        assert single.most_cost is None or (both.most_cost or 0) <= single.most_cost
    assert replace(both, classes=()) == replace(together(other, one), classes=())


def test_what_the_site_does_not_grant_was_not_asked() -> None:
    assert JobMode.AUTO is granted(Directives(JobMode.REQUIRE), frozenset({"prefer"})).mode
    for mode in (JobMode.NEVER, JobMode.PREFER):
        assert mode is granted(Directives(mode), frozenset({"prefer"})).mode


# --- what comes of it


def judged(script: Directives = NONE, comment: str = "", modes: str = "prefer require") -> Plan:
    """One job that asks for that, the oldest of five; the others press."""
    jobs = [queued(n) for n in range(1, 6)]
    first = replace(jobs[0], comment=comment)
    seen = snapshot(first, *jobs[1:])
    scripts = {**seen.scripts, first.identity: ScriptFacts(True, "calculix", script)}
    policy = replace(POLICY, modes=frozenset(modes.split()), max_new_per_tick=1)
    return decide(replace(seen, scripts=scripts), policy, Ledger(surging=frozenset({"queue"})))


def why(plan: Plan, number: int = 1) -> Reason:
    (found,) = [d.reason for d in plan.declined if d.identity.key.job_id == number]
    return found


def test_a_comment_that_names_another_profile_than_the_script_shows_keeps_the_job_here() -> None:
    """It would run with the other's image, and its user believe otherwise."""
    assert Reason.BAD_DIRECTIVE is why(judged(comment="burst:app=openfoam"))
    assert [1] == [p.identity.key.job_id for p in judged(comment="burst:app=calculix").placements]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("never", Reason.USER_FORBIDS),
        ("mode=nope", Reason.BAD_DIRECTIVE),
        ("class=x", Reason.UNKNOWN_CLASS),
        ("target=elsewhere", Reason.NO_TARGET_FITS),
        ("max-cost=0.01", Reason.TOO_DEAR),
    ],
)
def test_a_user_keeps_a_job_here_by_script_or_comment(words: str, reason: Reason) -> None:
    assert reason is why(judged(directives([words])))
    assert reason is why(judged(comment=f"hello burst:{words}"))


def test_amounts_that_a_user_is_told_have_their_currency() -> None:
    stays = judged(directives(["max-cost=0.01"])).declined[0]
    assert "0.01 EUR" == stays.numbers["max_cost"]
    assert stays.numbers["worst_case"].endswith(" EUR")


def test_one_that_is_willing_is_taken_for_what_it_is() -> None:
    assert [1] == [p.identity.key.job_id for p in judged(directives(["max-cost=5"])).placements]
    assert [1] == [p.identity.key.job_id for p in judged(comment="burst:target=cloud").placements]


def test_preferred_leaves_first_and_required_without_pressure_as_far_as_the_site_grants_it() -> (
    None
):
    young = replace(queued(9), identity=replace(queued(9).identity, submitted_at=NOW))

    def leaving(mode: JobMode, high: float, modes: str = "prefer require") -> list[int]:
        seen = snapshot(*(queued(n) for n in range(1, 6)), young)
        facts = ScriptFacts(True, "calculix", Directives(mode))
        policy = replace(
            POLICY,
            watermarks=Watermarks(CoreHours(high), CoreHours(1)),
            modes=frozenset(modes.split()),
            max_new_per_tick=1,
        )
        plan = decide(
            replace(seen, scripts={**seen.scripts, young.identity: facts}), policy, Ledger()
        )
        return [p.identity.key.job_id for p in plan.placements]

    assert [1] == leaving(JobMode.AUTO, 5)
    assert [9] == leaving(JobMode.PREFER, 5)
    assert [] == leaving(JobMode.PREFER, 500)
    assert [9] == leaving(JobMode.REQUIRE, 500)
    assert [] == leaving(JobMode.REQUIRE, 500, modes="prefer")


def test_nothing_that_a_user_asks_opens_what_the_policy_shuts() -> None:
    poor = replace(POLICY, budget=Money(Decimal(0)), modes=frozenset({"require"}))
    facts = ScriptFacts(True, "calculix", Directives(JobMode.REQUIRE))
    plan = decide(snapshot(queued(), facts=facts), poor, Ledger())
    assert [Reason.NO_BUDGET] == [d.reason for d in plan.declined]
    frozen = decide(
        snapshot(queued(), facts=facts, views=(VIEW,)),
        replace(poor, budget=POLICY.budget),
        Ledger(frozen="root"),
    )
    assert [Reason.FROZEN] == [d.reason for d in frozen.declined]
