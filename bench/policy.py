"""What each strategy needs to halve the mean wait, and reaches at one budget:
``python -m bench.policy [LOG...]``.

Each workload is rehearsed as shaken copies, averaged; budgets are steered, nothing is tuned. A log
is given as FILE or FILE:PROCS, a workload of our own as generated:SEED; without any, the first two
of these are taken.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.table import Table

from bench.workload import workload
from burstd.rehearsal.compare import bounds, decided, shaken
from burstd.rehearsal.history import History
from burstd.rehearsal.measures import Row
from burstd.rehearsal.rules import DELAY, budgeted
from burstd.rehearsal.swf import read

SEEDS, STEPS, SHARE = (1, 2, 3), 7, 0.05
GENERATED = "generated"  #: instead of a log
HALF = 0.5
LEAST, MOST = 0.002, 0.4  #: shares between which it is looked for, evenly by their logarithm
COLUMNS = (
    "workload", "strategy", "share that halves", "of threshold", "spent / budget",
    f"at {SHARE:.0%}: mean", "by core-hour", "95 %", "of clairvoyant", "spent / budget",
)  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """A strategy with its theta, and whether it knows how long jobs will run."""

    name: str
    strategy: str
    theta: float = 0.0
    knows: bool = False

    def rows(self, copies: Sequence[History], share: float) -> list[Row]:
        """Its figures on each copy, under this budget."""
        return [self._row(copy, share) for copy in copies]

    def _row(self, history: History, share: float) -> Row:
        rule = budgeted(history, self.strategy, share, self.theta)
        return decided(self.name, history, rule, knows=self.knows).row


CLAIRVOYANT = Rule("clairvoyant", "marginal", knows=True)
RULES = (
    Rule("threshold", "threshold"), Rule("waiting", "waiting"), Rule("marginal, 0", "marginal"),
    Rule("marginal, 0.2", "marginal", 0.2), Rule("marginal, 1", "marginal", 1.0), CLAIRVOYANT,
)  # fmt: skip


def main(argv: Sequence[str]) -> int:
    """One row a workload and strategy."""
    parser = argparse.ArgumentParser(prog="python -m bench.policy", description=__doc__)
    parser.add_argument("logs", nargs="*", metavar="LOG")
    names = [rule.name for rule in RULES]
    said = "default: all; threshold, which they are compared with, always"
    parser.add_argument("--rule", action="append", choices=names, help=said)
    options = parser.parse_args(argv)
    rules = [rule for rule in RULES if rule.name in {names[0], *(options.rule or names)}]
    table = Table(title="theta after the strategy's name", title_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in COLUMNS[:2] else "right")
    for history in _histories(options.logs):
        for cells in _measured(history, rules):
            table.add_row(*cells)
            sys.stderr.write(" | ".join(cells) + "\n")  # the whole takes an hour
    Console(width=140).print(table)
    return 0


def _measured(history: History, rules: Sequence[Rule]) -> Iterator[tuple[str, ...]]:
    copies = [shaken(history, seed) for seed in SEEDS]
    base = [next(bounds(copy, DELAY)).row for copy in copies]
    best = _part("mean_wait_s", CLAIRVOYANT.rows(copies, SHARE), base)
    name, threshold = f"{history.name}, {_mean('mean_wait_s', base) / 3600:.1f} h", 0.0
    for rule in rules:
        share, spent = halved(copies, rule, _mean("mean_wait_s", base))
        threshold = threshold or spent
        rows = rule.rows(copies, SHARE)
        waits = [_part(f"{what}_wait_s", rows, base) for what in ("mean", "weighted", "p95")]
        yield (
            name, rule.name, f"{spent:.2%}", f"{spent / threshold:.2f}", f"{spent / share:.2f}",
            *(f"{wait:.2f}" for wait in waits), f"{(1 - waits[0]) / (1 - best):.0%}",
            f"{_mean('cloud_share', rows) / SHARE:.2f}",
        )  # fmt: skip
        name = ""


def halved(copies: Sequence[History], rule: Rule, base: float) -> tuple[float, float]:
    """The least budget, as a share of all core-hours, and what of it is spent: by bisection, and
    between its last two by the logarithms of share and wait, as its steps are of 4 %."""
    low, high = LEAST, MOST
    found: dict[float, tuple[float, float]] = {}
    for _ in range(STEPS):
        share = math.sqrt(low * high)
        rows = rule.rows(copies, share)
        found[share] = _mean("mean_wait_s", rows) / base, _mean("cloud_share", rows)
        if found[share][0] <= HALF:
            high = share
        else:
            low = share
    if not {low, high} <= found.keys():  # it is not between LEAST and MOST
        rows = rule.rows(copies, high)
        return high, _mean("cloud_share", rows)
    (above, before), (below, spent) = found[low], found[high]
    part = math.log(above / HALF) / math.log(above / below)
    return low * (high / low) ** part, before + part * (spent - before)


def _part(figure: str, rows: Sequence[Row], base: Sequence[Row]) -> float:
    return _mean(figure, rows) / _mean(figure, base)


def _mean(figure: str, rows: Sequence[Row]) -> float:
    return fmean(getattr(row, figure) for row in rows)


def _histories(logs: Sequence[str]) -> Iterator[History]:
    for log in logs:
        path, _, cores = log.partition(":")
        if path == GENERATED:
            yield workload(int(cores))
            continue
        yield read(Path(path), int(cores) if cores else None)
    if not logs:
        yield from map(workload, (1, 2))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
