"""What was decided is decided again: the same, or by another policy."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from burstd.adapters.decisions import days
from burstd.core import decide as core
from burstd.domain.jobs import CoreHours
from burstd.domain.plan import Plan
from burstd.domain.policy import Watermarks
from tests.flow.recorded import burst, configured, day, kept
from tests.flow.scene import POLICY, Scene


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """With the decisions of a day."""
    day(tmp_path)
    return tmp_path / "decisions"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return configured(tmp_path)


def simulate(*words: str) -> tuple[int, str]:
    return burst("simulate", *words)


def test_a_recorded_day_is_reproduced(directory: Path, tmp_path: Path) -> None:
    count = len(kept(directory))
    ((_, path),) = days(directory)
    for where in (directory, path):
        assert (0, f"{count} of {count} decisions came out as they were\n") == simulate(
            "--recorded", str(where)
        )
    out = tmp_path / "out.json"
    assert (0, "") == simulate("--recorded", str(path), "--recorded", str(path), "--json", str(out))
    found = json.loads(out.read_text())
    assert {"decisions": 2 * count, "same": 2 * count, "first": None, "lost": []} == found


def test_what_comes_out_otherwise_is_told_and_is_3(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if a later burstd decided otherwise."""

    def stingy(*given: Any) -> Plan:
        plan = core.decide(*given)
        return replace(plan, placements=plan.placements[1:])

    monkeypatch.setattr("burstd.rehearsal.again.decide", stingy)
    code, output = simulate("--recorded", str(directory))

    assert 3 == code
    placing = [one for one in kept(directory) if one.plan.placements]
    count = len(kept(directory))
    first, said, what, *differences = output.splitlines()
    assert f"{count - len(placing)} of {count} decisions came out as they were" == first
    assert said.startswith("made by burstd 1, decided again by ")
    assert f"the first that differs, of {placing[0].at.isoformat()}:" == what
    gone = placing[0].plan.placements[0]
    assert [f"  {gone.identity.key}: leaves to cloud for at most {gone.reserved} then, "
            "no verdict now"] == differences  # fmt: skip


def test_the_same_policy_from_a_file_gives_the_same_verdicts(directory: Path, config: Path) -> None:
    code, output = simulate("--recorded", str(directory), "--config", str(config))
    assert 0 == code, output
    count = len(kept(directory))
    assert output.startswith(
        f"{count} decisions: in 0 some job would have had another verdict, in 0 other jobs"
    )


def test_another_policy_tells_who_would_have_left_and_who_not(
    directory: Path, config: Path, tmp_path: Path
) -> None:
    out, text = tmp_path / "out.json", config.read_text()

    def told(old: str, new: str) -> dict[str, Any]:
        config.write_text(text.replace(old, new))
        code, output = simulate(
            "--recorded", str(directory), "--config", str(config), "--json", str(out)
        )
        assert 0 == code, output
        found: dict[str, Any] = json.loads(out.read_text())
        return found

    left = sum(len(one.plan.placements) for one in kept(directory))
    high = told("2 core-hours", "2000 core-hours")
    stays = {"account": "phys", "reason": "below_watermark", "jobs": left}
    assert ([], [stays]) == (high["would_have_left"], high["would_have_stayed"])
    assert 0 < high["others_leave"] <= high["differ"] <= high["decisions"]

    more = told('["cae"]', '["cae", "long"]')
    assert 2 == more["scripts_unread"]  # nobody reads the script of a job that can't leave
    closed = told("[targets", '[[policy.windows]]\nstart = "0 0 1 1 *"\nlength = "1h"\n[targets')
    assert ["outside_window"] == [row["reason"] for row in closed["would_have_stayed"]]
    config.write_text(text.replace("2 core-hours", "2000 core-hours"))
    _, shown = simulate("--recorded", str(directory), "--config", str(config))
    assert f"{left} jobs left, and would not have" in shown
    assert "it would have stayed: below_watermark" in shown


def test_who_would_have_left_later_anyway_is_not_counted(tmp_path: Path, config: Path) -> None:
    directory = tmp_path / "kept"
    policy = replace(POLICY, watermarks=Watermarks(CoreHours(5), CoreHours(0.5)))
    scene = Scene(policy=policy, decisions=directory)
    scene.slurm.submit(name="beam", minutes=120)
    scene.turn(2)
    scene.slurm.submit(name="plate", minutes=600)
    scene.turn(2)
    scene.slurm.submit(name="dear", minutes=120, account="poor")
    scene.turn(1)
    _, output = simulate("--recorded", str(directory), "--config", str(config))
    assert "in 2 other jobs would have left" in output
    assert "0 jobs would have left, and never did" in output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--recorded", "{tmp}/none"), "there is no {tmp}/none"),
        (("--recorded", "{tmp}"), "there is no decision in {tmp}"),
        (("--recorded", "{dir}", "--config", "{tmp}/none.toml"), "none.toml"),
        (("--recorded", "{dir}", "--swf", "{tmp}/log.swf"), "--swf: --recorded goes with"),
        (
            ("--recorded", "{dir}", "--html", "{tmp}/a.html", "--seed", "1"),
            "--seed, --html: --recorded goes with --config and --json alone",
        ),
    ],
)
def test_what_is_not_there_is_said_and_is_2(
    directory: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    named = {"tmp": str(tmp_path), "dir": str(directory)}
    code, output = simulate(*(word.format(**named) for word in words))
    assert 2 == code
    assert said.format(**named) in output


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[targets.cloud]\n", ""), "has no [targets.NAME]"),
        (("100 EUR/month", "100 USD/month"), "is in EUR, and the policy in USD"),
    ],
)
def test_a_policy_that_those_decisions_can_not_be_judged_by_is_refused(
    directory: Path, config: Path, change: tuple[str, str], said: str
) -> None:
    """Else it would be said that nothing would have left, or that EUR fit into a budget in USD."""
    text = config.read_text().replace(*change)
    config.write_text(
        text.replace("[targets.cloud]", '[targets.cloud]\nprice = "1 USD/core-hour"')
        if "USD" in text
        else text
    )
    code, output = simulate("--recorded", str(directory), "--config", str(config))

    assert 2 == code
    assert said in output
