"""A rehearsal as one page of HTML: tables and plots, nothing fetched from anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from burstd.rehearsal.compare import Rehearsed
from burstd.rehearsal.easy import Run
from burstd.rehearsal.history import History
from burstd.rehearsal.measures import Row, accounts
from burstd.rehearsal.plot import Axis, Series, plot
from burstd.rehearsal.sweep import METHOD, Swept

BINS = 600  #: of a time axis; each shows the longest queue in it
MINUTE, HOUR, DAY = 60, 3600, 86400
SWEPT = 4  #: the style of what was swept
LISTED = 40  #: accounts, the largest; the figures of all are in the JSON

STYLE = """
:root { color-scheme: light dark; --page: #fff; --ink: #1b1f24; --dim: #57606a; --rule: #d8dee4;
  --s0: #57606a; --s1: #0a58ca; --s2: #c4540a; --s3: #1a7f37; --s4: #8250df; }
@media (prefers-color-scheme: dark) { :root { --page: #14181d; --ink: #e6edf3; --dim: #9aa5b1;
  --rule: #30363d; --s0: #9aa5b1; --s1: #6cb0ff; --s2: #ff9a57; --s3: #56d364; --s4: #c297ff; } }
body { background: var(--page); color: var(--ink); font: 15px/1.45 system-ui, sans-serif;
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .3rem; } p { margin: .3rem 0; }
.dim { color: var(--dim); } .wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid var(--rule); text-align: right; }
th:first-child, td:first-child { text-align: left; }
svg { width: 100%; height: auto; } svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
.axis { fill: none; stroke: var(--ink); } .grid { fill: none; stroke: var(--rule); }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round; } .mark { stroke: var(--page); }
.s0 { stroke: var(--s0); } .s1 { stroke: var(--s1); } .s2 { stroke: var(--s2); }
.s3 { stroke: var(--s3); } .s4 { stroke: var(--s4); }
.line.s1 { stroke-dasharray: 2 3; } .line.s2 { stroke-dasharray: 7 3; }
.mark.s0 { fill: var(--s0); } .mark.s1 { fill: var(--s1); } .mark.s2 { fill: var(--s2); }
.mark.s3 { fill: var(--s3); } .mark.s4 { fill: var(--s4); }
"""


def page(
    history: History,
    rehearsed: Sequence[Rehearsed],
    swept: Swept | None = None,
    words: Sequence[str] = (),
) -> str:
    """The whole report, the rehearsed strategy last. ``words``: what its table does not tell."""
    parts = [
        f"<h1>Rehearsal of {escape(history.name)}</h1>",
        f'<p class="dim">{escape(_about(history))}</p>',
        "<h2>What each rule came to</h2>",
        _table(ROWS, (_cells(one.row) for one in rehearsed)),
        *(f"<p>{escape(line)}</p>" for line in words),
        "<h2>The queue</h2>",
        _queue(history, rehearsed),
        "<h2>How long jobs waited</h2>",
        _waits(rehearsed),
        "<h2>Cost against wait</h2>",
        _cost(rehearsed, swept),
        *([_swept(swept)] if swept else []),
        f"<h2>By account, under {escape(rehearsed[-1].row.name)}</h2>",
        _accounts(rehearsed),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Rehearsal of {escape(history.name)}</title><style>{STYLE}</style></head>\n<body>"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _about(history: History) -> str:
    left = "".join(f", {number:,} {why}" for why, number in history.left_out.items())
    return (
        f"{len(history.jobs):,} jobs in {history.seconds / DAY:.0f} days on {history.cores:,} "
        f"cores; {history.core_hours:,.0f} core-hours, load {history.load:.2f}. "
        f"Left out: {left[2:] or 'nothing'}."
    )


ROWS = ("", "jobs that left", "cloud core-hours", "share of all", "mean wait, h", "median, h",
        "95 %, h", "by core-hour, h", "bounded slowdown")  # fmt: skip


def _cells(row: Row) -> list[str]:
    waits = (row.mean_wait_s, row.median_wait_s, row.p95_wait_s, row.weighted_wait_s)
    return [
        row.name, f"{row.burst_jobs:,}", f"{row.cloud_core_hours:,.0f}", f"{row.cloud_share:.2%}",
        *(f"{wait / HOUR:.2f}" for wait in waits), f"{row.mean_bounded_slowdown:.1f}",
    ]  # fmt: skip


def _table(heads: Sequence[str], rows: Iterator[list[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>" for cells in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _queue(history: History, rehearsed: Sequence[Rehearsed]) -> str:
    lines = [
        Series(one.row.name, style, queued(history, one.runs))
        for style, one in enumerate(rehearsed)
        if one.row.name != "everything"
    ]
    most = max((high for line in lines for _, high in line.points), default=0.0)
    return plot(
        "The queue over time",
        Axis("days since the first submission", 0, max(history.seconds / DAY, 0.01)),
        Axis("core-hours asked for by waiting jobs", 0, most * 1.05 or 1.0),
        lines,
    )


def queued(history: History, runs: Sequence[Run]) -> list[tuple[float, float]]:
    """(days since the first submission, core-hours that waiting jobs ask for): the most in each of
    six hundred equal times. Who leaves waits no more when it is sent."""
    moves = []
    for run in runs:
        asked = run.job.cores * run.job.limit / HOUR
        moves.append((run.job.submitted, asked))
        moves.append((run.started - run.trip, -asked))
    first, width = history.jobs[0].submitted, max(history.seconds, 1) / BINS
    most, waiting, at = [0.0] * BINS, 0.0, 0
    for moment, asked in sorted(moves, key=lambda move: (move[0], -move[1])):
        until = min(BINS - 1, int((moment - first) / width))
        for place in range(at, until + 1):
            most[place] = max(most[place], waiting)
        waiting, at = waiting + asked, until
        if moment - first <= history.seconds:
            most[at] = max(most[at], waiting)
    return [(place * width / DAY, high) for place, high in enumerate(most)]


def _waits(rehearsed: Sequence[Rehearsed]) -> str:
    lines = [Series(one.row.name, style, waited(one.runs)) for style, one in enumerate(rehearsed)]
    longest = max(line.points[-1][0] for line in lines)
    return plot(
        "Distribution of waits",
        Axis("wait, hours (one minute or less: at the left edge)", 1 / 60, max(1.0, longest), True),
        Axis("jobs that waited no longer, %", 0, 100),
        lines,
    )


def waited(runs: Sequence[Run]) -> list[tuple[float, float]]:
    """(hours, per cent of the jobs that waited no longer), at each per cent."""
    waits = sorted(run.wait for run in runs)
    last = len(waits) - 1
    return [(waits[round(last * part / 100)] / HOUR, float(part)) for part in range(101)]


def _cost(rehearsed: Sequence[Rehearsed], swept: Swept | None) -> str:
    drawn = [
        Series(one.row.name, style, [_point(one.row)], marks=True)
        for style, one in enumerate(rehearsed)
        if one.row.name != "everything"
    ]
    if swept:
        ordered = sorted(_point(point.row) for point in swept.points if point.front)
        drawn.insert(0, Series("front", SWEPT, ordered))
        if swept.knee:
            name = f"knee: {swept.parameter} {swept.knee.value:g}"
            drawn.append(Series(name, SWEPT, [_point(swept.knee.row)], marks=True))
    ends = [point for one in drawn for point in one.points]
    return plot(
        "Cost against wait",
        Axis("bought in the cloud, % of all core-hours", 0, max(x for x, _ in ends) * 1.1 or 1.0),
        Axis("mean wait, hours", 0, max(y for _, y in ends) * 1.1 or 1.0),
        drawn,
    )


def _swept(swept: Swept) -> str:
    found = (
        f"{swept.parameter} {swept.knee.value:g}" if swept.knee else "none: the front is straight"
    )
    rows = ([*_cells(point.row), "yes" if point.front else "no"] for point in swept.points)
    heads = (swept.parameter, *ROWS[1:], "on the front")
    return f'<p class="dim">Knee ({escape(METHOD)}): {escape(found)}.</p>' + _table(heads, rows)


def _point(row: Row) -> tuple[float, float]:
    return row.cloud_share * 100, row.mean_wait_s / HOUR


def _accounts(rehearsed: Sequence[Rehearsed]) -> str:
    none = {row.account: row.mean_wait_s for row in accounts(rehearsed[0].runs)}
    rows = (
        [
            row.account or "not known", f"{row.jobs:,}", f"{row.burst_jobs:,}",
            f"{row.core_hours:,.0f}", f"{row.cloud_core_hours:,.0f}",
            f"{none[row.account] / HOUR:.2f}", f"{row.mean_wait_s / HOUR:.2f}",
        ]
        for row in accounts(rehearsed[-1].runs)[:LISTED]
    )  # fmt: skip
    heads = ("", "jobs", "left", "core-hours", "in the cloud", "mean wait without, h", "with, h")
    return _table(heads, rows)
