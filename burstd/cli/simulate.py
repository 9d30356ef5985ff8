"""``burst simulate``: a site's past, with and without bursting. Asks no daemon and no Slurm."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from burstd.cli.client import OK, USAGE

if TYPE_CHECKING:
    from rich.table import Table

    from burstd.rehearsal.compare import Rehearsed
    from burstd.rehearsal.history import History
    from burstd.rehearsal.measures import Row
    from burstd.rehearsal.sweep import Swept

HOUR = 3600


class StrategyName(Enum):
    """Which job leaves; docs/policy.md."""

    THRESHOLD = "threshold"
    WAITING = "waiting"
    MARGINAL = "marginal"


Swf = Annotated[
    Path | None, typer.Option(help="A log in the Standard Workload Format, plain or .gz.")
]
Sacct = Annotated[
    Path | None,
    typer.Option(help="Output of the sacct command above: a file, or - for stdin."),
]
Anonymise = Annotated[
    Path | None,
    typer.Option(help="Write the history to this file, in numbers only (SWF), and no more."),
]
Procs = Annotated[
    int | None, typer.Option(min=1, help="Processors of the cluster, if the log's is wrong.")
]
Which = Annotated[StrategyName, typer.Option(help="Which of the waiting jobs leaves.")]
CloudShare = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Budget: this share of all core-hours.")
]
Theta = Annotated[
    float,
    typer.Option(min=0.0, max=1.0, help="marginal: count jobs' hours (0) or core-hours' (1)."),
]
Seed = Annotated[
    int | None, typer.Option(help="Shake the log: each job comes up to a minute sooner, later.")
]
Out = Annotated[
    Path | None, typer.Option("--json", help="Write the figures to this file, or to -.")
]
Html = Annotated[Path | None, typer.Option(help="Write a report with plots to this file.")]
SweepOf = Annotated[
    str | None,
    typer.Option(
        help="Try each value: cloud-share=0.01:0.10:0.01, or high=500:5000:500 (threshold's "
        "mark in core-hours, no budget)."
    ),
]

Recorded = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="DIR|FILE", help="Decisions that burstd kept (docs/decisions.md); several times."
    ),
]
ConfigOf = Annotated[
    Path | None, typer.Option(help="For --recorded: decide by this configuration's policy.")
]


def simulate(  # noqa: PLR0913  # one parameter an option
    swf: Swf = None,
    sacct: Sacct = None,
    anonymise: Anonymise = None,
    procs: Procs = None,
    strategy: Which = StrategyName.MARGINAL,
    cloud_share: CloudShare = 0.05,
    theta: Theta = 0.5,
    seed: Seed = None,
    out: Out = None,
    html: Html = None,
    sweep: SweepOf = None,
    recorded: Recorded = None,
    config: ConfigOf = None,
) -> None:
    """Rehearse: what would have left, what it would have cost, how long jobs would have waited.

    Example: burst simulate --swf theta.swf.gz --cloud-share 0.05 --json out.json

    For --sacct: SLURM_TIME_FORMAT=%s sacct -a -X -P -n -S 2026-01-01 -E now -o
    JobIDRaw,Submit,Eligible,Start,ElapsedRaw,TimelimitRaw,AllocCPUS,ReqCPUS,User,Account,Partition,State,JobName

    --recorded decides again what burstd has decided: exit code 3 if anything comes out otherwise.
    """
    if recorded:
        from burstd.cli.recorded import again

        again(recorded, config, out)
    from burstd.rehearsal.compare import compare, shaken
    from burstd.rehearsal.history import NotLog
    from burstd.rehearsal.report import page
    from burstd.rehearsal.sweep import BadSweep, parse
    from burstd.rehearsal.sweep import sweep as swept_over
    from burstd.rehearsal.swf import written

    try:
        wanted = parse(sweep, strategy.value) if sweep else None
        history = _history(swf, sacct, procs)
        if anonymise is not None:
            anonymise.write_text("".join(written(history)))
            sys.stdout.write(f"{len(history.jobs)} jobs; left out: {_left_out(history)}\n")
            raise typer.Exit(OK)
        history = history if seed is None else shaken(history, seed)
        rows = list(compare(history, strategy.value, cloud_share, theta))
        swept = swept_over(history, strategy.value, wanted, theta) if wanted else None
        if out is not None:
            _write(out, _found(history, rows, swept))
        if html is not None:
            html.write_text(page(history, rows, swept))
    except (NotLog, BadSweep, OSError) as error:
        sys.stderr.write(f"burst: {error}\n")
        raise typer.Exit(USAGE) from error
    if out is None and html is None:
        _show(history, rows, swept)
    raise typer.Exit(OK)


def _history(swf: Path | None, sacct: Path | None, procs: int | None) -> History:
    from burstd.rehearsal.history import NotLog
    from burstd.rehearsal.sacct import read as read_sacct
    from burstd.rehearsal.swf import read

    if swf is not None and sacct is None:
        return read(swf, procs)
    if sacct is None or swf is not None:
        raise NotLog("give a log: --swf FILE or --sacct FILE")
    if str(sacct) == "-":
        return read_sacct(sys.stdin, "stdin", procs)
    with sacct.open(errors="replace") as lines:
        return read_sacct(lines, sacct.name, procs)


def _found(history: History, rows: list[Rehearsed], swept: Swept | None) -> dict[str, Any]:
    found = {"trace": _trace(history), "strategies": [one.as_json() for one in rows]}
    return {**found, "sweep": swept.as_json()} if swept else found


def _trace(history: History) -> dict[str, Any]:
    return {
        "name": history.name,
        "jobs": len(history.jobs),
        "left_out": dict(history.left_out),
        "procs": history.cores,
        "days": round(history.seconds / 86400, 2),
        "core_hours": round(history.core_hours, 1),
        "load": round(history.load, 4),
    }


def _write(path: Path, found: dict[str, Any]) -> None:
    text = json.dumps(found, indent=1) + "\n"
    if str(path) == "-":
        sys.stdout.write(text)
    else:
        path.write_text(text)


def _show(history: History, rehearsed: list[Rehearsed], swept: Swept | None) -> None:
    from rich.console import Console

    from burstd.rehearsal.sweep import METHOD

    title = (
        f"{history.name}: {len(history.jobs)} jobs on {history.cores}, load {history.load:.2f}; "
        "waits in hours"
    )
    console = Console()
    console.print(_table(title, "", [one.row for one in rehearsed]))
    console.print(f"left out: {_left_out(history)}", highlight=False)
    if swept:
        title = f"{swept.parameter}, * on the front of cost against mean wait"
        rows = [
            replace(point.row, name=f"{point.value:g}{' *' if point.front else ''}")
            for point in swept.points
        ]
        console.print(_table(title, swept.parameter, rows))
        knee = f"{swept.knee.value:g}" if swept.knee else "none, the front is straight"
        console.print(f"knee: {knee} ({METHOD})")


def _left_out(history: History) -> str:
    return ", ".join(f"{number} {why}" for why, number in history.left_out.items()) or "nothing"


def _table(title: str, head: str, rows: list[Row]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0)
    table.add_column(head)
    for column in ("left", "core-hours", "share", "mean", "median", "95 %", "weighted",
                   "slowdown"):  # fmt: skip
        table.add_column(column, justify="right")
    for row in rows:
        waits = (row.mean_wait_s, row.median_wait_s, row.p95_wait_s, row.weighted_wait_s)
        table.add_row(
            row.name, str(row.burst_jobs), f"{row.cloud_core_hours:,.0f}", f"{row.cloud_share:.2%}",
            *(f"{wait / HOUR:.2f}" for wait in waits), f"{row.mean_bounded_slowdown:.1f}",
        )  # fmt: skip
    return table
