"""A site's own policy over its past: what is read of it, taken for granted, and told."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from burstd.adapters.ssh.mute import Mute
from burstd.app import offers
from burstd.cli.burst import app
from burstd.config.read import ConfigError, read_rules
from burstd.domain.budgets import Budget
from burstd.domain.classes import DataClass, DataRules, Label
from burstd.domain.jobs import CoreHours
from burstd.domain.policy import Mode, Pressure, Watermarks
from burstd.domain.targets import Money, TargetName
from burstd.ports.errors import Unreachable
from burstd.rehearsal.history import History, PastJob
from burstd.rehearsal.rules import epoch
from burstd.rehearsal.site import NEVER_TOLD, Assumed, SiteRules, assume
from tests.unit.values import POLICY, VIEW

T = 1_767_225_600  #: 2026-01-01 00:00Z
HALF = timedelta(seconds=30)
RULES = SiteRules(POLICY, (replace(VIEW, users=frozenset({"alice"})),), HALF, HALF)
MARKS = Watermarks(CoreHours(9), CoreHours(1))


def history(*jobs: PastJob, **more: Any) -> History:
    return History("by hand", 8, jobs, **{"epoch": 0, "named": True, **more})


def job(number: int = 1, **more: Any) -> PastJob:
    told = {"user": "alice", "account": "crash", "queue": "cae", "nodes": 2, **more}
    return PastJob(number, T + number, 4, 7200, 3600, **told)


def said(found: Assumed) -> str:
    assert NEVER_TOLD == found.words[0]
    return "\n".join(found.words[1:])


def test_a_past_that_tells_everything_is_taken_as_it_is() -> None:
    found = assume(history(job(qos="long")), RULES)
    assert (RULES, "", history(job(qos="long"))) == (found.site, said(found), found.history)


def test_a_site_that_only_observes_is_rehearsed_as_if_it_acted() -> None:
    found = assume(history(job()), replace(RULES, policy=replace(POLICY, mode=Mode.OBSERVE)))
    assert "the file says mode observe" in said(found)


def test_who_has_numbers_for_names_is_kept_here_by_no_rule_of_names() -> None:
    rules = replace(RULES, policy=replace(POLICY, users=frozenset({"alice"})))
    found = assume(history(job(user="7", queue="1"), named=False), rules)
    assert "no names of a job's user, account, partition" in said(found)
    assert frozenset() == found.policy.users
    assert found.site.targets[0].users is None
    assert ["cae"] == [one.queue for one in found.history.jobs]


def test_a_field_that_is_empty_everywhere_is_not_told() -> None:
    rules = replace(RULES, policy=replace(POLICY, accounts=frozenset({"crash"})))
    found = assume(history(job(account="")), rules)
    assert "a job's account: none keeps it here" in said(found)
    assert (frozenset(), frozenset({"alice"})) == (
        found.policy.accounts,
        found.site.targets[0].users,
    )


def test_what_had_left_before_is_a_job_of_the_partition_that_it_came_from() -> None:
    found = assume(history(job(1), job(2, queue="burst"), job(3, queue="gpu")), RULES)
    assert "1 jobs of partition burst are taken as jobs of cae" in said(found)
    assert ["cae", "cae", "gpu"] == [one.queue for one in found.history.jobs]


def test_budgets_and_marks_of_what_is_not_told_are_left_out() -> None:
    daily, crash = Budget("daily", Money(Decimal(9))), Budget("crash", Money(Decimal(9)))
    policy = replace(
        POLICY,
        budgets=(daily, replace(crash, accounts=frozenset({"crash"}))),
        pressures=(Pressure("long", MARKS, qos=frozenset({"long"})),
                   Pressure("cae", MARKS, partitions=frozenset({"cae"}))),
    )  # fmt: skip
    told = assume(history(job(qos="long")), replace(RULES, policy=policy))
    assert policy == told.policy
    half = assume(history(job()), replace(RULES, policy=policy))
    assert "whose they are: pressure long" in said(half)
    none = assume(history(job(), named=False), replace(RULES, policy=policy))
    assert "whose they are: budget crash, pressure long, pressure cae" in said(none)
    assert ((daily,), ()) == (none.policy.budgets, none.policy.pressures)


CLASSES = (DataClass("internal"), DataClass("secret", frozenset()))
INTERNAL, SECRET = Label("internal", paths=("/p/*",)), Label("secret", paths=("/s/*",))
CRASH = Label("internal", accounts=frozenset({"crash"}))


@pytest.mark.parametrize(
    ("labels", "kept", "may_leave"),
    [
        ((CRASH,), (CRASH,), False),
        ((CRASH, SECRET), (CRASH,), False),
        ((CRASH, INTERNAL), (CRASH,), True),
        ((replace(CRASH, paths=("/p/*",)),), (), True),
    ],
)
def test_labels_by_what_is_not_told_are_taken_as_met_where_they_let_jobs_leave(
    labels: tuple[Label, ...], kept: tuple[Label, ...], may_leave: bool
) -> None:
    policy = replace(POLICY, data=DataRules(CLASSES, labels))
    found = assume(history(job()), replace(RULES, policy=policy)).policy.data
    assert kept == found.labels
    assert may_leave == (found.unlabelled is not None)


def test_longer_cycles_begin_as_many_bursts_an_hour() -> None:
    policy = replace(POLICY, max_new_per_tick=7, step=0.5)
    rules = replace(RULES, policy=policy, cycle=timedelta(seconds=60))
    found = assume(history(job()), rules)
    assert (14, 0.75) == (found.policy.max_new_per_tick, found.policy.step)
    assert "every 60 s instead of every 30 s, on up to 14 bursts" in said(found)


def test_nodes_speeds_and_results_that_are_not_told_are_said() -> None:
    fast = replace(RULES.targets[0], speeds={"crash": 2.0}, egress=Money(Decimal("0.1")))
    found = assume(history(job(nodes=1)), replace(RULES, targets=(fast,)))
    assert "nodes are not told" in said(found)
    assert "50 GB of each job come home" in said(found)
    assert "no target's speeds are used" in said(found)


def test_a_past_without_a_date_begins_on_a_monday() -> None:
    undated = history(job(), epoch=None)
    assert "on Monday, 2024-01-01, 00:00Z" in said(assume(undated, RULES))
    first = undated.jobs[0].submitted
    assert datetime(2024, 1, 1, tzinfo=UTC) == epoch(undated) + timedelta(seconds=first)
    assert datetime(1970, 1, 1, tzinfo=UTC) == epoch(history(job()))


# --- the configuration

CONFIG = """
[policy]
mode = "observe"
high = "20 core-hours"
low = "8 core-hours"
budget = "100 EUR/month"
partitions = ["batch"]
unlabelled = "any"
min_age = "0s"
[policy.classes.any]
[links.cloud]
known_hosts = "/there/is/no/such/file"
[targets.cloud]
price = "0.10 EUR/core-hour"
link = "cloud"
cores = 64
[targets.cloud.settings]
host = "10.200.0.1"
known_hosts = "/neither/this"
root = "/scratch"
partition = "hpc"
users = { alice = "cae01" }
max_nodes = 2
max_cores = 8
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return path


def test_rules_are_read_where_none_of_the_other_files_is(config: Path) -> None:
    (view,) = offers(read_rules(config), config)
    assert (TargetName("cloud"), Decimal("0.10"), 64) == (view.name, view.price, view.cores)
    assert (2, 8) == (view.capabilities.max_nodes, view.capabilities.max_cores)
    assert frozenset({"alice"}) == view.users
    assert view.overhead > timedelta()


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ("[policy]", "[policy]\nhihg = 1", "policy.hihg: unknown key; did you mean 'high'?"),
        ('low = "8 ', 'low = "80 ', "policy.low: must be below"),
        ("max_cores = 8", "max_cores = 0", "targets.cloud.settings.max_cores"),
        ("[targets.cloud]", '[targets.cloud]\nplugin = "none"', "no plugin 'none' is installed"),
    ],
)
def test_what_can_not_be_used_is_said_with_its_place(
    config: Path, was: str, becomes: str, said: str
) -> None:
    config.write_text(CONFIG.replace(was, becomes))
    with pytest.raises(ConfigError, match=said.replace("?", r"\?")):
        offers(read_rules(config), config)


def test_who_asks_a_target_for_more_than_its_table_hears_that_nobody_is_asked() -> None:
    for question in (
        lambda: Mute().access,
        lambda: Mute().run("a", ["b"]),
        lambda: Mute().certify("a", "b", "c", timedelta()),
    ):
        with pytest.raises(Unreachable, match="no target is asked here"):
            question()


# --- the command


def rows(count: int, user: str = "alice") -> str:
    return "".join(
        f"{n}|{T + 60 * n}|{T}|{T + 60 * n}|7200|240|8|8|{user}|crash|batch|COMPLETED|a{n}\n"
        for n in range(1, count + 1)
    )


def told(argv: list[str]) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["simulate", "--procs", "16", "--json", "-", *argv])
    assert 0 == done.exit_code, done.output
    found: dict[str, Any] = json.loads(done.output)
    return found


def test_the_command_rehearses_a_sites_own_policy(config: Path, tmp_path: Path) -> None:
    log, page = tmp_path / "sacct.txt", tmp_path / "out.html"
    log.write_text(rows(40))
    argv = ["--config", str(config), "--sacct", str(log)]
    found = told([*argv, "--html", str(page)])
    names = ["none", "everything", "clairvoyant", "policy"]
    assert names == [row["name"] for row in found["strategies"]]
    none, _, _, policy = found["strategies"]
    assert 0 < policy["burst_jobs"] < 40
    assert policy["mean_wait_s"] < none["mean_wait_s"]
    (month,) = found["policy"]["months"]
    assert ("2026-01", policy["burst_jobs"]) == (month["month"], month["bursts"])
    # The ledger rounds each burst's cost up.
    assert policy["cloud_core_hours"] * 0.1 == pytest.approx(month["spent"], abs=0.02)
    assert 30 == found["policy"]["cycle_s"]
    assert "the file says mode observe" in " ".join(found["policy"]["assumed"])
    assert found["policy"]["stayed"]
    assert "the file says mode observe" in page.read_text()
    shown = CliRunner().invoke(app, ["simulate", "--procs", "16", *argv], env={"COLUMNS": "200"})
    assert f"spent, of 100 EUR a month: 2026-01 {month['spent']:.2f}" in shown.output
    assert "waited and did not leave, by the last reason:" in shown.output


def test_the_same_log_seed_and_policy_give_the_same_rows(config: Path, tmp_path: Path) -> None:
    log = tmp_path / "sacct.txt"
    log.write_text(rows(25))
    argv = ["--config", str(config), "--sacct", str(log), "--seed"]
    assert told([*argv, "7"]) == told([*argv, "7"]) != told([*argv, "8"])


def test_who_has_no_account_at_a_target_stays(config: Path, tmp_path: Path) -> None:
    log = tmp_path / "sacct.txt"
    log.write_text(rows(25, user="bob"))
    found = told(["--config", str(config), "--sacct", str(log)])
    assert 0 == found["strategies"][-1]["burst_jobs"]
    assert {"no target fits", "the queue is below the high-water mark"} >= {
        *found["policy"]["stayed"]
    }


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--config", "c", "--cloud-share", "0.1"], "don't go with --config"),
        (["--config", "c", "--strategy", "waiting"], "don't go with --config"),
        (["--config", "c", "--sweep", "cloud-share=0.1:0.2:0.1"], "don't go with --config"),
        (["--cycle", "5m"], "--cycle goes with --config"),
    ],
)
def test_choices_that_do_not_go_together_are_a_wrong_use(argv: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["simulate", "--sacct", "none", *argv])
    assert (2, True) == (done.exit_code, said in done.output)
    assert 1 == len(done.output.splitlines())


@pytest.mark.parametrize(
    ("cycle", "said"), [("1s", "site.poll, is longer"), ("soon", "expected a duration")]
)
def test_a_cycle_is_a_duration_no_shorter_than_the_daemons(
    config: Path, tmp_path: Path, cycle: str, said: str
) -> None:
    log = tmp_path / "sacct.txt"
    log.write_text(rows(3))
    argv = ["simulate", "--procs", "16", "--config", str(config), "--sacct", str(log)]
    done = CliRunner().invoke(app, [*argv, "--cycle", cycle])
    assert (2, True) == (done.exit_code, said in done.output)


def test_a_configuration_that_can_not_be_used_is_a_wrong_use_and_no_traceback(
    tmp_path: Path,
) -> None:
    log = tmp_path / "sacct.txt"
    log.write_text(rows(3))
    argv = ["simulate", "--procs", "16", "--config", str(tmp_path / "none"), "--sacct", str(log)]
    done = CliRunner().invoke(app, argv)
    assert (2, True) == (done.exit_code, "No such file" in done.output)
