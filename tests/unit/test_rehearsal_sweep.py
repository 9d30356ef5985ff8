"""A parameter over a range, its front and its knee, worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from burstd.cli.burst import app
from burstd.rehearsal.compare import decided
from burstd.rehearsal.history import History, PastJob
from burstd.rehearsal.rules import marked
from burstd.rehearsal.sweep import BadSweep, front, knee, parse


def test_a_range_has_both_its_ends() -> None:
    assert (0.01, 0.02, 0.03) == parse("cloud-share=0.01:0.03:0.01", "marginal").values
    assert (500.0, 1000.0) == parse("high=500:1400:500", "threshold").values
    assert (0.1,) == parse("cloud-share=0.1:0.1:1", "waiting").values


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("theta=0:1:0.1", "cloud-share or high can be swept, not 'theta'"),
        ("high=1:2:1", "only --strategy threshold has a mark"),
        ("cloud-share=0.1", "write cloud-share=FIRST:LAST:STEP"),
        ("cloud-share=a:b:c", "write cloud-share=FIRST:LAST:STEP"),
        ("cloud-share=0:0.1:0.1", "from above 0 upwards"),
        ("cloud-share=0.2:0.1:0.1", "from above 0 upwards"),
        ("cloud-share=0.2:1.1:0.1", "a share no higher than 1"),
        ("cloud-share=0.2:0.3:0", "from above 0 upwards"),
        ("cloud-share=0.2:nan:0.1", "from above 0 upwards"),
        ("cloud-share=0.001:0.9:0.001", "more than 100 values"),
    ],
)
def test_what_is_no_range_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(BadSweep, match=said):
        parse(text, "marginal")


def test_the_front_has_no_one_that_another_is_better_than() -> None:
    points = [(0.0, 9.0), (2.0, 5.0), (3.0, 6.0), (2.0, 7.0), (4.0, 1.0), (5.0, 1.0)]
    assert [0, 1, 4] == list(front(points))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_each_point_is_on_the_front_or_worse_than_one_that_is(
    points: list[tuple[int, int]],
) -> None:
    best = [points[place] for place in front([(float(x), float(y)) for x, y in points])]
    assert all(any(a <= x and b <= y for a, b in best) for x, y in points)
    assert not any(a <= x and b <= y for a, b in best for x, y in best if (a, b) != (x, y))


def test_the_knee_is_farthest_below_the_chord_and_a_straight_front_has_none() -> None:
    assert 1 == knee([(0.0, 10.0), (2.0, 2.0), (5.0, 1.0), (10.0, 0.0)])
    assert 2 == knee([(0.0, 10.0), (2.0, 7.0), (4.0, 1.0), (10.0, 0.0)])
    assert knee([(0.0, 2.0), (1.0, 1.0), (2.0, 0.0)]) is None
    assert knee([(0.0, 2.0), (2.0, 0.0)]) is None


def test_above_its_mark_the_threshold_sends_at_any_cost() -> None:
    jobs = [PastJob(number, 0, 1, 36_000, 36_000) for number in range(4)]  # ten core-hours each
    history = History("by hand", 1, tuple(jobs))
    away = {mark: decided("", history, marked(history, mark)).row for mark in (5.0, 15.0, 100.0)}
    assert [3, 2, 0] == [away[mark].burst_jobs for mark in (5.0, 15.0, 100.0)]


def test_the_command_names_the_front_and_the_knee_everywhere(tmp_path: Path) -> None:
    log, out, page = tmp_path / "log.swf", tmp_path / "out.json", tmp_path / "out.html"
    rows = [f"{n} {60 * n} -1 7200 4 -1 -1 4 7200 -1 1 7 1 1 1 -1 -1 -1" for n in range(1, 60)]
    log.write_text("; MaxProcs: 8\n" + "\n".join(rows) + "\n")
    argv = ["simulate", "--swf", str(log), "--strategy", "threshold"]
    argv += ["--sweep", "high=40:400:40"]
    done = CliRunner().invoke(app, [*argv, "--json", str(out), "--html", str(page)])
    assert (0, "") == (done.exit_code, done.output)

    told = json.loads(out.read_text())["sweep"]
    assert ("high", 10) == (told["parameter"], len(told["points"]))
    bought = [point["cloud_core_hours"] for point in told["points"]]
    assert sorted(bought, reverse=True) == bought and bought[0] > bought[-1]
    assert told["knee"] in [point["value"] for point in told["points"] if point["front"]]
    assert f"knee: high {told['knee']:g}" in page.read_text()
    shown = CliRunner().invoke(app, argv).output
    assert f"knee: {told['knee']:g}" in shown


def test_a_wrong_sweep_is_a_wrong_use_and_no_traceback(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["simulate", "--swf", "none", "--sweep", "high=1:2:1"])
    assert (2, True) == (done.exit_code, "only --strategy threshold has a mark" in done.output)
    assert 1 == len(done.output.splitlines())
