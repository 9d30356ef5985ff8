"""What a site or a user has said holds, in whatever form it was said."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from burstd.config.layers import LayerError, load
from burstd.config.units import cron
from burstd.core.decide import decide
from burstd.core.line import Line
from burstd.core.script import facts
from burstd.domain.applications import Application
from burstd.domain.directives import JobMode
from burstd.domain.gres import Gres, Per
from burstd.domain.jobs import CoreHours, JobState, Shape
from burstd.domain.plan import Reason
from burstd.domain.policy import Ledger, Watermarks
from burstd.domain.targets import Money
from tests.unit.values import CALCULIX, NOW, POLICY, VIEW, queued, snapshot

RUNS = timedelta(hours=10)
VETO = replace(POLICY, veto=True, max_new_per_tick=500, max_open_bursts=1000)


# --- an array is judged by when each of its tasks starts


@pytest.mark.parametrize("told", [True, False], ids=["by Slurm", "by ourselves"])
def test_of_an_array_only_the_tasks_that_start_soon_stay(told: bool) -> None:
    running = queued(
        1, cpus=20, time_limit=RUNS, state=JobState.RUNNING, elapsed=RUNS - timedelta(minutes=2)
    )
    starts = NOW + timedelta(minutes=2) if told else None
    array = queued(5, cpus=10, time_limit=RUNS, tasks=tuple(range(100)), starts=starts)
    policy = replace(VETO, budget=Money(Decimal(10**6)))
    seen = snapshot(running, array)
    plan = decide(seen, policy, Ledger())

    stay = [(d.reason, len(d.elements)) for d in plan.declined]
    soon = 2  # twenty cores become free
    assert [(Reason.SOONER_HERE, soon)] == stay
    assert 100 - soon == len(plan.placements)
    assert not {p.identity.key for p in plan.placements} & set(plan.declined[0].elements)
    line = Line.of(seen, policy)
    late = [line.start(array, ahead) for ahead in (0, 1, 2, 99)]
    hours = [round(start.told.total_seconds() / 3600) for start in late if start is not None]
    assert [0, 0, 10, 490] == hours


def test_a_start_that_has_passed_tells_nothing() -> None:
    late = queued(5, starts=NOW - timedelta(hours=3))
    assert Line.of(snapshot(late), POLICY).start(late) is None


# --- how many GPUs


@pytest.mark.parametrize(
    ("word", "kind", "count"),
    [
        ("gres/gpu:2080ti:2", "2080ti", 2),
        ("gpu:1g.5gb:1", "1g.5gb", 1),
        ("gpu:3090:1", "3090", 1),
        ("gpu:a100:2", "a100", 2),
        ("gpu:2", "", 2),
        ("gpu:2k", "", 2048),
        ("gpu", "", 1),
    ],
)
def test_a_type_of_gpu_may_begin_with_a_digit(word: str, kind: str, count: int) -> None:
    assert Gres("gpu", count, Per.NODE, kind) == Gres.parse(word)


def test_gpus_of_several_types_are_all_counted() -> None:
    both = (Gres("gpu", 2, Per.NODE, "a100"), Gres("gpu", 2, Per.NODE, "h100"))
    assert 8 == Shape(nodes=2, gres=both).gpus
    assert 8 == Shape(nodes=2, gres=(*both, Gres("gpu", 8, Per.JOB))).gpus


# --- what a user says


@pytest.mark.parametrize(
    ("comment", "words"),
    [
        ("burst:never", ["never"]),
        ("project=x burst:class=a,b", ["class=a,b"]),
        ("project=x,burst:never", ["project=x,burst:never"]),
        ("'burst:never'", ["'burst:never'"]),
        ("Burst:never", ["Burst:never"]),
        ("outburst of joy", []),
    ],
)
def test_no_word_to_burstd_in_a_comment_is_overheard(comment: str, words: list[str]) -> None:
    assert words == queued(comment=comment).directives


@pytest.mark.parametrize("line", ["#BURST: mode=never", "#Burst mode=never", "  #BURST mode=never"])
def test_nor_in_a_script(line: str) -> None:
    ccx = Application("calculix", "calculix", (r"\bccx\b",), "calculix")
    asked = facts(f"#!/bin/sh\n{line}\nccx beam\n", [ccx]).asked
    assert (line.strip(),) == asked.unread


@pytest.mark.parametrize("line", ["#BURST", "# BURST off", "#burstiness", "echo '#BURST never'"])
def test_what_is_none_is_none(line: str) -> None:
    asked = facts(f"#!/bin/sh\n{line}\n#BURST prefer\n", []).asked
    assert (JobMode.PREFER, ()) == (asked.mode, asked.unread)


# --- what the files say


def test_days_by_name_and_by_number_are_the_same_days() -> None:
    assert "0 0 * * sat,sun" == cron("0 0 * * 0,sat")
    assert "0 0 * * mon,tue,wed,thu,fri,sun" == cron("0 0 * * 1-5,SUN")


@pytest.mark.parametrize("pattern", ["", "/", "policy.d/**.toml"])
def test_a_pattern_that_is_none_is_told(tmp_path: Path, pattern: str) -> None:
    main = tmp_path / "main.toml"
    main.write_text(f'include = ["{pattern}"]\n')
    with pytest.raises(LayerError, match=r"main\.toml: include: "):
        load(main)


def test_a_circle_that_leads_through_other_directories_is_one(tmp_path: Path) -> None:
    main = tmp_path / "main.toml"
    main.write_text(f'include = ["../{tmp_path.name}/main.toml"]\n')
    with pytest.raises(LayerError, match="includes itself"):
        load(main)


def test_an_empty_list_drops_no_rule_of_another_file(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text('[[policy.labels]]\nto = "secret"\n')
    main = tmp_path / "main.toml"
    main.write_text('include = ["base.toml"]\n[policy]\nlabels = []\n')
    assert [{"to": "secret"}] == load(main).tables["policy"]["labels"]


# --- an exclusive job takes whole nodes


def test_an_exclusive_job_is_promised_and_counted_as_the_nodes_that_it_takes() -> None:
    can = replace(VIEW.capabilities, node_cores=64)
    view = replace(VIEW, capabilities=can, cores=200)
    jobs = [queued(n, cpus=1, time_limit=RUNS) for n in range(1, 9)]
    for exclusive, cores, leave in ((True, 64, 3), (False, 1, 8)):
        shape = Shape(cpus=1, exclusive=exclusive)
        asked = replace(CALCULIX, shape=shape)
        policy = replace(POLICY, watermarks=Watermarks(CoreHours(1), CoreHours(0.5)))
        plan = decide(snapshot(*jobs, views=(view,), facts=asked), policy, Ledger())
        assert {cores} == {placed.cores for placed in plan.placements}
        assert leave == len(plan.placements)
        assert {Decimal(cores) * 10 * view.price} == {p.reserved for p in plan.placements}
