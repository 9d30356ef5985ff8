"""What a rehearsal tells beside its rows: accounts, plots, the page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from burstd.cli.burst import app
from burstd.rehearsal.easy import Run
from burstd.rehearsal.history import History, PastJob
from burstd.rehearsal.measures import Account, accounts
from burstd.rehearsal.plot import Axis, Series, plot
from burstd.rehearsal.report import queued, waited

DAY = 86400


def run(number: int, submitted: int, started: int, account: str = "", away: bool = False) -> Run:
    trip = 300 if away else 0
    return Run(PastJob(number, submitted, 2, 7200, 3600, account=account), started, away, trip)


def test_accounts_come_largest_first_with_their_own_waits_and_purchases() -> None:
    runs = [run(1, 0, 10, "cfd"), run(2, 0, 300, "crash", away=True), run(3, 0, 100, "crash")]
    crash, cfd = accounts(runs)
    assert Account("crash", 2, 1, 4.0, 2 * 3720 / 3600, 200.0, 290.0) == crash
    assert Account("cfd", 1, 0, 2.0, 0.0, 10.0, 10.0) == cfd


def test_the_queue_is_the_longest_of_each_moment_and_who_leaves_waits_no_more() -> None:
    days = 600  # one bin a day
    runs = [
        run(1, 0, 2 * DAY + 1),
        run(2, DAY, 2 * DAY - 60 + 300, away=True),  # it was sent a minute before the day's end
        run(3, days * DAY, days * DAY),
    ]
    history = History("by hand", 2, tuple(one.job for one in runs))
    at = dict(queued(history, runs))
    assert [4.0, 8.0, 4.0, 0.0] == [at[day] for day in range(4)]


def test_the_distribution_says_how_many_waited_no_longer() -> None:
    points = waited([run(number, 0, 3600 * number) for number in range(101)])
    assert ((0.0, 0.0), (50.0, 50.0), (100.0, 100.0)) == (points[0], points[50], points[100])


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [
        (Axis("", 0, 12.5), [0, 2, 4, 6, 8, 10, 12]),
        (Axis("", 0, 364), [0, 50, 100, 150, 200, 250, 300, 350]),
        (Axis("", 1 / 60, 200, log=True), [0.1, 1, 10, 100]),
    ],
)
def test_ticks_are_round_and_on_the_axis(axis: Axis, ticks: list[float]) -> None:
    assert ticks == pytest.approx(axis.ticks())


def test_an_axis_puts_each_value_in_its_place_and_what_is_beyond_at_its_end() -> None:
    linear, log = Axis("", 0, 10), Axis("", 0.1, 1000, log=True)
    assert [0.25, 1.0, 0.0] == [linear.place(2.5), linear.place(11), linear.place(-1)]
    assert [0.0, 0.25, 1.0] == pytest.approx([log.place(0), log.place(1), log.place(1000)])


def test_a_plot_is_xml_with_its_axes_named_and_a_legend_for_each_series() -> None:
    lines = [Series("A & B", 0, [(0, 0), (1, 2)]), Series("knee", 3, [(1, 1)], marks=True)]
    root = ElementTree.fromstring(plot("T", Axis("days", 0, 1), Axis("hours", 0, 2), lines))
    told = [text.text for text in root.iter("text")]
    assert {"days", "hours", "A & B", "knee"} <= set(told)
    assert 2 == len(list(root.iter("circle")))  # the point, and its sample in the legend


def test_the_command_writes_accounts_and_a_page_that_fetches_nothing(tmp_path: Path) -> None:
    log, out, page = tmp_path / "<log>.swf", tmp_path / "out.json", tmp_path / "out.html"
    rows = [f"{n} {60 * n} -1 3600 2 -1 -1 2 7200 -1 1 7 {n % 2 + 1} 1 1 -1 -1 -1"
            for n in range(1, 60)]  # fmt: skip
    log.write_text("; MaxProcs: 8\n" + "\n".join(rows) + "\n")
    argv = ["simulate", "--swf", str(log), "--json", str(out), "--html", str(page)]
    assert 0 == CliRunner().invoke(app, argv).exit_code

    last = json.loads(out.read_text())["strategies"][-1]
    assert ["1", "2"] == sorted(row["account"] for row in last["accounts"])
    assert last["jobs"] == sum(row["jobs"] for row in last["accounts"])
    told = page.read_text()
    assert 3 == told.count("<svg ")
    assert "&lt;log&gt;.swf" in told and "<log>" not in told
    assert not re.search(r"https?:|src=|@import|url\(|<script|<link", told)
