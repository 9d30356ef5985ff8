"""``burst simulate``: a site's past, with and without bursting. Asks no daemon and no Slurm."""

from __future__ import annotations

import json
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from burstd.cli.client import OK, USAGE

if TYPE_CHECKING:
    from burstd.rehearsal.compare import Rehearsed
    from burstd.rehearsal.history import History

HOUR = 3600


class StrategyName(Enum):
    """Which job leaves; docs/policy.md."""

    THRESHOLD = "threshold"
    WAITING = "waiting"
    MARGINAL = "marginal"


def simulate(  # noqa: PLR0913  # one parameter an option
    swf: Annotated[
        Path, typer.Option("--swf", help="A log in the Standard Workload Format, plain or .gz.")
    ],
    procs: Annotated[
        int | None, typer.Option(min=1, help="Processors of the cluster, if the log's is wrong.")
    ] = None,
    strategy: Annotated[
        StrategyName, typer.Option(help="Which of the waiting jobs leaves.")
    ] = StrategyName.MARGINAL,
    cloud_share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Budget: this share of all core-hours.")
    ] = 0.05,
    theta: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="marginal: count jobs' hours (0) or core-hours' (1)."),
    ] = 0.5,
    seed: Annotated[
        int | None, typer.Option(help="Shake the log: each job comes up to a minute sooner, later.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--json", help="Write the figures to this file, or to -.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a report with plots to this file.")
    ] = None,
) -> None:
    """Rehearse: what would have left, what it would have cost, how long jobs would have waited.

    Example: burst simulate --swf theta.swf.gz --cloud-share 0.05 --json out.json
    """
    from burstd.rehearsal.compare import compare, shaken
    from burstd.rehearsal.report import page
    from burstd.rehearsal.swf import NotSwf, read

    try:
        history = read(swf, procs)
        history = history if seed is None else shaken(history, seed)
        rows = list(compare(history, strategy.value, cloud_share, theta))
        if out is not None:
            _write(out, {"trace": _trace(history), "strategies": [one.as_json() for one in rows]})
        if html is not None:
            html.write_text(page(history, rows))
    except (NotSwf, OSError) as error:
        sys.stderr.write(f"burst: {error}\n")
        raise typer.Exit(USAGE) from error
    if out is None and html is None:
        _show(history, rows)
    raise typer.Exit(OK)


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


def _show(history: History, rehearsed: list[Rehearsed]) -> None:
    from rich.console import Console
    from rich.table import Table

    title = f"{history.name}: {len(history.jobs)} jobs on {history.cores}, load {history.load:.2f}"
    table = Table(title=title, title_justify="left")
    for column in ("", "left", "cloud core-hours", "share", "mean wait", "median", "95 %",
                   "by core-hour", "slowdown"):  # fmt: skip
        table.add_column(column, justify="right" if column else "left")
    for row in (one.row for one in rehearsed):
        waits = (row.mean_wait_s, row.median_wait_s, row.p95_wait_s, row.weighted_wait_s)
        table.add_row(
            row.name, str(row.burst_jobs), f"{row.cloud_core_hours:,.0f}", f"{row.cloud_share:.2%}",
            *(f"{wait / HOUR:.2f} h" for wait in waits), f"{row.mean_bounded_slowdown:.1f}",
        )  # fmt: skip
    Console().print(table)
