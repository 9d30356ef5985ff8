"""How much cloud each strategy needs to halve the mean wait: ``python -m bench.policy [LOG...]``.

Each workload is rehearsed as shaken copies, averaged; budgets are steered, nothing is tuned. A log
is given as FILE or FILE:PROCS; without one, the generated workloads are taken.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.table import Table

from bench.workload import workload
from burstd.core.selection import STRATEGIES
from burstd.rehearsal.compare import shaken
from burstd.rehearsal.easy import rehearse
from burstd.rehearsal.history import History
from burstd.rehearsal.measures import Row, measure
from burstd.rehearsal.strategies import DELAY, Clairvoyant, Forecast, LastTwo, Steered, nothing
from burstd.rehearsal.swf import read

SEEDS, STEPS = (1, 2, 3), 6


def main(logs: Sequence[str]) -> int:
    """One row a workload and strategy."""
    table = Table(title="cloud needed to halve the mean wait", title_justify="left")
    for column in (
        "workload",
        "strategy",
        "share",
        "of threshold",
        "spent / budget",
        "by core-hour",
    ):
        table.add_column(column, justify="left" if column in ("workload", "strategy") else "right")
    for history in _histories(logs):
        copies = [shaken(history, seed) for seed in SEEDS]
        base = [measure("none", rehearse(copy, nothing, DELAY)) for copy in copies]
        name = f"{history.name}, {_mean(base) / 3600:.1f} h"
        threshold = 0.0
        for strategy in (*STRATEGIES, "clairvoyant"):
            share, rows = halved(copies, strategy, _mean(base))
            threshold = threshold or share
            spent = fmean(row.cloud_share for row in rows)
            weighted = fmean(row.weighted_wait_s for row in rows) / fmean(
                row.weighted_wait_s for row in base
            )
            table.add_row(
                name, strategy, f"{spent:.2%}", f"{spent / threshold:.2f}", f"{spent / share:.2f}",
                f"{weighted:.2f}",
            )  # fmt: skip
            name = ""
    Console(width=120).print(table)
    return 0


def halved(copies: Sequence[History], strategy: str, base: float) -> tuple[float, list[Row]]:
    """The least budget, as a share of all core-hours, by bisection."""
    low, high = 0.0, 0.4
    found: list[Row] = []
    for _ in range(STEPS + 2):
        share = (low + high) / 2
        rows = [_row(copy, strategy, share) for copy in copies]
        if _mean(rows) <= base / 2:
            high, found = share, rows
        else:
            low = share
    return high, found or [_row(copy, strategy, high) for copy in copies]


def _row(history: History, strategy: str, share: float) -> Row:
    knows = strategy == "clairvoyant"
    forecast: Forecast = Clairvoyant() if knows else LastTwo()
    rule = Steered(history, "marginal" if knows else strategy, share, forecast)
    return measure(strategy, rehearse(history, rule, DELAY, rule.started))


def _mean(rows: Sequence[Row]) -> float:
    return fmean(row.mean_wait_s for row in rows)


def _histories(logs: Sequence[str]) -> Iterator[History]:
    for log in logs:
        path, _, cores = log.partition(":")
        yield read(Path(path), int(cores) if cores else None)
    if not logs:
        yield from map(workload, (1, 2))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
