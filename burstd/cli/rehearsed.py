"""What ``burst simulate`` tells of a rehearsal: a table, JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from burstd.rehearsal.compare import Rehearsed
    from burstd.rehearsal.history import History
    from burstd.rehearsal.measures import Row
    from burstd.rehearsal.sweep import Swept

HOUR = 3600


@dataclass(frozen=True)
class Found:
    """What a rehearsal came to. ``words``: what its rows do not tell; ``policy``: the same for
    programs."""

    history: History
    rows: list[Rehearsed]
    swept: Swept | None = None
    words: Sequence[str] = ()
    policy: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Sweep and policy where there are any."""
        found: dict[str, Any] = {
            "trace": _trace(self.history),
            "strategies": [one.as_json() for one in self.rows],
        }
        if self.swept:
            found["sweep"] = self.swept.as_json()
        return {**found, "policy": self.policy} if self.policy else found


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


def write(path: Path, found: dict[str, Any]) -> None:
    """As JSON; ``-``: to stdout."""
    text = json.dumps(found, indent=1) + "\n"
    if str(path) == "-":
        sys.stdout.write(text)
    else:
        path.write_text(text)


def show(found: Found) -> None:
    """To whoever sits at the terminal."""
    from rich.console import Console

    history = found.history
    title = (
        f"{history.name}: {len(history.jobs)} jobs on {history.cores}, load {history.load:.2f}; "
        "waits in hours"
    )
    console = Console()
    console.print(_table(title, "", [one.row for one in found.rows]))
    for line in (f"left out: {left_out(history)}", *found.words):
        console.print(line, highlight=False)
    if found.swept:
        _show_sweep(found.swept, console)


def _show_sweep(swept: Swept, console: Console) -> None:
    from burstd.rehearsal.sweep import METHOD

    title = f"{swept.parameter}, * on the front of cost against mean wait"
    rows = [
        replace(point.row, name=f"{point.value:g}{' *' if point.front else ''}")
        for point in swept.points
    ]
    console.print(_table(title, swept.parameter, rows))
    knee = f"{swept.knee.value:g}" if swept.knee else "none, the front is straight"
    console.print(f"knee: {knee} ({METHOD})")


def left_out(history: History) -> str:
    """Of the log, by reason."""
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
