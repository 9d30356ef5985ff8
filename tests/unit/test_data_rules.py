"""What may leave: classes of data, windows, sizes; deny wins, and users may only tighten."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burstd.config.units import cron
from burstd.core import script
from burstd.core.data import classes, forbidden, targets_of, within
from burstd.core.decide import decide
from burstd.core.eligible import Court
from burstd.domain.burst import ZERO, Burst, BurstId
from burstd.domain.classes import OPEN, DataClass, DataRules, Label
from burstd.domain.directives import Directives
from burstd.domain.jobs import CoreHours, JobIdentity, JobKey
from burstd.domain.plan import Reason, ScriptFacts
from burstd.domain.policy import Ledger, Watermarks, Window
from burstd.domain.targets import Money, TargetName
from burstd.shell.calendar import closed
from tests.unit.values import CLOUD, NOW, POLICY, VIEW, case, queued, snapshot

NEAR = TargetName("near")
RULES = DataRules(
    (
        DataClass("open"),
        DataClass("eu", frozenset({CLOUD})),
        DataClass("near", frozenset({NEAR})),
        DataClass("secret", frozenset()),
    ),
    (
        Label("open", accounts=frozenset({"phys"})),
        Label("eu", users=frozenset({"bob"})),
        Label("secret", paths=("/projects/*/secret*", "/vault/*")),
        Label("near", partitions=frozenset({"short"}), accounts=frozenset({"phys"})),
    ),
)


def judge(facts: ScriptFacts | None = None, rules: DataRules = RULES, **job: Any) -> Reason | None:
    judged = case(queued(**job), replace(POLICY, data=rules), facts)
    court = Court(judged.policy)
    found = court.objection(judged) if facts else court.before_reading(judged)
    return found[0] if found else None


@pytest.mark.parametrize(
    ("user", "account", "target", "stays"),
    [
        ("alice", "phys", CLOUD, {"secret"}),
        ("alice", "phys", NEAR, {"secret", "eu"}),
        ("bob", "phys", NEAR, {"secret"}),
        ("alice", "chem", CLOUD, {"secret", "near", "unknown"}),
        ("alice", "chem", NEAR, {"secret", "eu", "unknown"}),
    ],
)
def test_where_inputs_lie_that_may_not_go_to_a_target(
    user: str, account: str, target: TargetName, stays: set[str]
) -> None:
    chem = frozenset({"chem"})
    labels = (
        Label("secret", paths=("/vault/*",)),
        Label("eu", paths=("/eu/*",), users=frozenset({"alice"})),
        Label("near", paths=("/near/*",), accounts=chem),
        Label("unknown", paths=("/unknown/*",), accounts=chem),
        Label("open", paths=("/open/*",)),
        Label("secret", accounts=frozenset({"phys"})),
    )
    job = JobIdentity(JobKey("onprem", 1), NOW, user, "beam")
    away = Burst(BurstId("b"), job, target, "calculix", 1, ZERO, NOW, account=account)
    found = forbidden(away, replace(RULES, labels=labels))
    assert {(name, (f"/{'vault' if name == 'secret' else name}/*",)) for name in stays} == {*found}


@pytest.mark.parametrize(
    ("account", "target", "rest", "patterns"),
    [
        ("chem", CLOUD, None, ("/eu/*", "/open/*")),
        ("chem", NEAR, None, ("/open/*",)),
        ("chem", CLOUD, DataClass("open"), None),
        ("chem", CLOUD, DataClass("near", frozenset({NEAR})), ("/eu/*", "/open/*")),
        ("phys", CLOUD, None, None),
    ],
)
def test_by_which_directories_alone_data_may_leave(
    account: str, target: TargetName, rest: DataClass | None, patterns: tuple[str, ...] | None
) -> None:
    labels = (
        Label("secret", paths=("/vault/*",)),
        Label("eu", paths=("/eu/*",)),
        Label("open", paths=("/open/*",)),
        Label("open", accounts=frozenset({"phys"})),
    )
    job = JobIdentity(JobKey("onprem", 1), NOW, "alice", "beam")
    away = Burst(BurstId("b"), job, target, "calculix", 1, ZERO, NOW, account=account)
    assert patterns == within(away, replace(RULES, labels=labels, unlabelled=rest))


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        ({}, None),
        ({"account": "chem"}, Reason.UNLABELLED),
        ({"directory": "/projects/car/secret-wing"}, Reason.DATA_STAYS),
        ({"directory": "/vault/a/b/c"}, Reason.DATA_STAYS),
        ({"directory": "/projects/car/public"}, None),
        ({"account": "chem", "directory": "/vault/x"}, Reason.DATA_STAYS),
        ({"comment": "burst:class=secret"}, Reason.DATA_STAYS),
        ({"comment": "hello burst:class=eu"}, None),
        ({"comment": "burst:class=topsecret"}, Reason.UNKNOWN_CLASS),
        ({"account": "chem", "comment": "burst:class=open"}, Reason.UNLABELLED),
        ({"partition": "cae,short"}, None),
        ({"partition": "cae,short", "comment": "burst:class=eu"}, Reason.DATA_STAYS),
    ],
)
def test_deny_wins_and_nobody_loosens(job: dict[str, Any], reason: Reason | None) -> None:
    assert reason == judge(**job)


@pytest.mark.parametrize(
    ("directory", "reason"),
    [
        ("/home/../vault/run", Reason.DATA_STAYS),
        ("/vault/./run/..", Reason.UNLABELLED),
        ("//vault//run/", Reason.DATA_STAYS),
        ("/projects/a/secret/", Reason.DATA_STAYS),
        ("/public/../home", Reason.UNLABELLED),
        ("/public/../public/run", None),
        ("", Reason.UNLABELLED),
    ],
)
def test_a_directory_is_what_it_means_and_not_how_it_was_typed(
    directory: str, reason: Reason | None
) -> None:
    """``sbatch --chdir=../other`` is shown so, and would be of the class of where it was typed."""
    rules = replace(RULES, labels=(*RULES.labels, Label("open", paths=("/public/*",))))
    assert reason is judge(rules=rules, account="chem", directory=directory)


def test_a_script_names_classes_too() -> None:
    def facts(*lines: str) -> ScriptFacts:
        return script.facts("#!/bin/sh\n" + "\n".join(lines), ())

    assert ("secret", "eu") == facts("#BURST class=secret", "#BURST class=eu app=x").asked.classes
    assert () == facts("echo '#BURST class=secret'").asked.classes
    known = ScriptFacts(True, "calculix")
    assert judge(known) is None
    assert Reason.DATA_STAYS is judge(replace(known, asked=Directives(classes=("secret",))))
    assert Reason.UNKNOWN_CLASS is judge(replace(known, asked=Directives(classes=("x",))))
    assert Reason.UNLABELLED is judge(
        replace(known, asked=Directives(classes=("open",))), account="chem"
    )


def test_of_several_targets_only_one_where_all_classes_may_go_is_taken() -> None:
    views = (replace(VIEW, name=NEAR, price=Money(VIEW.price * 0)), VIEW)
    policy = replace(
        POLICY, targets=(CLOUD, NEAR), data=RULES, watermarks=Watermarks(CoreHours(1), CoreHours(0))
    )
    for comment, name in (("", NEAR), ("burst:class=eu", CLOUD)):
        plan = decide(snapshot(queued(comment=comment), views=views), policy, Ledger())
        assert [name] == [p.target for p in plan.placements]


names = st.sampled_from(["open", "eu", "near", "secret", "nobody's"])
labels = st.builds(
    Label,
    names,
    accounts=st.sampled_from([frozenset(), frozenset({"phys"}), frozenset({"chem"})]),
    paths=st.sampled_from([(), ("/a/*",), ("*",)]),
)


@given(
    st.lists(labels, max_size=4),
    labels,
    st.none() | st.sampled_from(RULES.classes),
    st.sampled_from(["/a/b", "/b"]),
    st.lists(names, max_size=2),
)
@settings(max_examples=300)
def test_one_more_label_or_word_of_a_user_never_opens_a_target(
    given: list[Label], more: Label, unlabelled: DataClass | None, directory: str, words: list[str]
) -> None:
    def allowed(rules: DataRules, named: list[str]) -> frozenset[TargetName]:
        facts = ScriptFacts(True, "calculix", Directives(classes=tuple(named)))
        judged = case(queued(directory=directory), replace(POLICY, data=rules), facts)
        if Court(judged.policy).objection(judged):
            return frozenset()
        found = targets_of(classes(judged.job, rules, named))
        return frozenset({CLOUD, NEAR}) if found is None else found

    rules = DataRules(RULES.classes, tuple(given), unlabelled)
    before = allowed(rules, [])
    assert allowed(rules, words) <= before
    labelled = classes(queued(directory=directory), replace(rules, unlabelled=None))
    if labelled or unlabelled == DataClass("open"):  # a first label replaces the default
        assert allowed(replace(rules, labels=(*rules.labels, more)), []) <= before


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ({"least_core_hours": CoreHours(2)}, None),
        ({"least_core_hours": CoreHours(2.1)}, Reason.TOO_SMALL),
        ({"most_cores": 2}, None),
        ({"most_cores": 1}, Reason.TOO_LARGE),
        ({"longest": timedelta(hours=1)}, None),
        ({"longest": timedelta(minutes=59)}, Reason.TOO_LARGE),
    ],
)
def test_the_site_says_which_sizes_leave(policy: dict[str, Any], reason: Reason | None) -> None:
    judged = case(queued(), replace(POLICY, **policy))
    found = Court(judged.policy).before_reading(judged)
    assert reason == (found[0] if found else None)


# --- windows

NIGHTS = Window("0 18 * * mon-fri", timedelta(hours=12))


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ("2026-11-26T18:00", ""),  # a Thursday
        ("2026-11-27T05:59", ""),
        ("2026-11-27T06:00", "closed until 2026-11-27T18:00Z"),
        ("2026-11-28T05:00", ""),  # Friday's night
        ("2026-11-28T19:00", "closed until 2026-11-30T18:00Z"),
        ("2026-12-24T05:00", "blackout until the end of 2027-01-01"),
        ("2027-01-01T23:59", "blackout until the end of 2027-01-01"),
        ("2027-01-02T00:00", ""),
        ("2026-12-23T12:00", "closed until 2026-12-23T18:00Z"),
        ("2026-12-23T18:00", ""),
        ("2027-01-02T06:00", "closed until 2027-01-04T18:00Z"),
    ],
)
def test_jobs_leave_in_windows_and_not_on_blackout_days(moment: str, words: str) -> None:
    policy = replace(POLICY, windows=(NIGHTS,), blackouts=((date(2026, 12, 24), date(2027, 1, 1)),))
    assert words == closed(policy, datetime.fromisoformat(moment).replace(tzinfo=UTC))


_CHRISTMAS = "blackout until the end of 2027-01-01"


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ("2026-12-22T12:00", "closed until 2027-01-04T08:00Z"),
        ("2026-12-24T08:30", f"{_CHRISTMAS}, then closed until 2027-01-04T08:00Z"),
        ("2026-12-28T08:30", f"{_CHRISTMAS}, then closed until 2027-01-04T08:00Z"),
        ("2027-01-04T08:59", ""),
        ("2027-01-04T09:30", "closed until 2027-01-11T08:00Z"),
        ("2030-01-07T08:30", "blackout until the end of 9999-12-31"),
        ("2029-12-31T12:00", "closed for ever"),
    ],
)
def test_what_is_told_to_open_next_opens_then(moment: str, words: str) -> None:
    """A window may begin on a day on which nothing leaves; days may follow each other; behind
    them windows may be shut."""
    days = (
        (date(2026, 12, 27), date(2027, 1, 1)), (date(2026, 12, 23), date(2026, 12, 23)),
        (date(2026, 12, 24), date(2026, 12, 26)), (date(2030, 1, 1), date.max),
    )  # fmt: skip
    mornings = (Window("0 8 * * mon", timedelta(hours=1)), Window("0 9 * * *", timedelta()))
    policy = replace(POLICY, windows=mornings, blackouts=days)
    assert words == closed(policy, datetime.fromisoformat(moment).replace(tzinfo=UTC))


@pytest.mark.parametrize("moment", ["17:59:59", "18:00:00", "18:00:01"])
def test_a_window_that_is_as_long_as_its_period_never_closes(moment: str) -> None:
    daily = Window("0 18 * * *", timedelta(hours=24))
    at = datetime.fromisoformat(f"2026-11-27T{moment}").replace(tzinfo=UTC)
    assert "" == closed(replace(POLICY, windows=(daily,)), at)


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("1-5", "mon,tue,wed,thu,fri"),
        ("0", "sun"),
        ("7", "sun"),
        ("5-7", "fri,sat,sun"),
        ("0-2", "mon,tue,sun"),
        ("*/2", "tue,thu,sat,sun"),
        ("1,3-5/2", "mon,wed,fri"),
        ("mon-fri", "mon-fri"),
        ("*", "*"),
    ],
)
def test_days_of_the_week_are_those_of_crontab(field: str, names: str) -> None:
    assert f"0 18 * * {names}" == cron(f"0 18 * * {field}")


@pytest.mark.parametrize("field", ["8", "5-2", "1-", "-1", "1/0", ""])
def test_others_are_mistakes(field: str) -> None:
    with pytest.raises(ValueError, match="crontab"):
        cron(f"0 18 * * {field}")


def test_without_windows_it_is_always_open_and_outside_of_one_nothing_leaves() -> None:
    assert "" == closed(POLICY, NOW)
    shut = replace(snapshot(queued(cpus=99)), closed="closed until 2030-01-15T18:00Z")
    plan = decide(shut, replace(POLICY, data=OPEN), Ledger())
    assert [Reason.OUTSIDE_WINDOW] == [decline.reason for decline in plan.declined]
