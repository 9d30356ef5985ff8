"""``burst simulate``: a site's past, with and without bursting. Asks no daemon; Slurm only with
``--days``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from burstd.cli.answers import fail
from burstd.cli.client import OK, USAGE
from burstd.cli.own import BadChoice, by_config
from burstd.cli.pasts import Source
from burstd.cli.rehearsed import Found, left_out, show, write
from burstd.domain.policy import BurstPolicy

if TYPE_CHECKING:
    from burstd.rehearsal.history import History

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
Days = Annotated[
    int | None, typer.Option(min=1, help="Ask the Slurm of this machine for its last days.")
]
Partition = Annotated[
    str, typer.Option(help="With --days: only jobs and nodes of these, separated by commas.")
]
Anonymise = Annotated[
    Path | None,
    typer.Option(help="Write the past to this file, in numbers only (SWF), and no more."),
]
Procs = Annotated[
    int | None, typer.Option(min=1, help="Processors of the cluster, if the log's is wrong.")
]
Config = Annotated[
    Path | None,
    typer.Option(
        help="Rehearse this site's own policy and targets: its config.toml. With --recorded: "
        "decide by its policy."
    ),
]
Cycle = Annotated[
    str | None,
    typer.Option(
        help="With --config: from one decision to the next. Longer is faster, and rougher.",
        show_default="site.poll; 5m where more than 500 jobs come a day",
    ),
]
Which = Annotated[
    StrategyName | None,
    typer.Option(help="Which of the waiting jobs leaves.", show_default="marginal"),
]
CloudShare = Annotated[
    float | None,
    typer.Option(
        min=0.0, max=1.0, help="Budget: this share of all core-hours.", show_default="0.05"
    ),
]
Theta = Annotated[
    float | None,
    typer.Option(
        min=0.0, max=1.0, help="marginal: count jobs' hours (0) or core-hours' (1).",
        show_default=f"{BurstPolicy.theta:g}",
    ),
]  # fmt: skip
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
#: Strategy, share, theta and sweep, as far as they were given
Chosen = tuple[StrategyName | None, float | None, float | None, str | None]

Recorded = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="DIR|FILE", help="Decisions that burstd kept (docs/decisions.md); several times."
    ),
]


def simulate(  # noqa: PLR0913  # one parameter an option
    swf: Swf = None,
    sacct: Sacct = None,
    days: Days = None,
    partition: Partition = "",
    anonymise: Anonymise = None,
    procs: Procs = None,
    config: Config = None,
    cycle: Cycle = None,
    strategy: Which = None,
    cloud_share: CloudShare = None,
    theta: Theta = None,
    seed: Seed = None,
    out: Out = None,
    html: Html = None,
    sweep: SweepOf = None,
    recorded: Recorded = None,
) -> None:
    """Rehearse: what would have left, what it would have cost, how long jobs would have waited.

    By a strategy and a budget, or by a site's own rules: --config.

    Example: burst simulate --swf theta.swf.gz --cloud-share 0.05 --json out.json

    Example: burst simulate --config /etc/burstd/config.toml --days 30

    For --sacct: SLURM_TIME_FORMAT=%s sacct -a -X -P -n -S 2026-01-01 -E now -o
    JobIDRaw,Submit,Eligible,Start,ElapsedRaw,TimelimitRaw,AllocCPUS,ReqCPUS,User,Account,Partition,State,JobName

    --recorded decides again what burstd has decided: exit code 3 if anything comes out otherwise.
    """
    if recorded:
        from burstd.cli.recorded import again

        _alone({
            "--days": days, "--sacct": sacct, "--swf": swf, "--partition": partition or None,
            "--anonymise": anonymise, "--procs": procs, "--cycle": cycle, "--strategy": strategy,
            "--cloud-share": cloud_share, "--theta": theta, "--seed": seed, "--html": html,
            "--sweep": sweep,
        })  # fmt: skip
        again(recorded, config, out)
    from burstd.config.read import ConfigError
    from burstd.rehearsal.compare import shaken
    from burstd.rehearsal.history import NotLog
    from burstd.rehearsal.sweep import BadSweep

    try:
        rules = _rules(config, cycle, (strategy, cloud_share, theta, sweep))
        history, words = Source(swf, sacct, days, partition, procs).read(_stand_ins(config))
        if anonymise is not None:
            _anonymised(history, anonymise)
            raise typer.Exit(OK)
        found = rules(history if seed is None else shaken(history, seed))
        found = replace(found, words=(*found.words, *words))
        _tell(found, out, html)
    except (NotLog, BadSweep, BadChoice, ConfigError) as error:
        fail(str(error), USAGE)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", USAGE)
    raise typer.Exit(OK)


def _alone(others: Mapping[str, object]) -> None:
    """Decisions that were kept are a past of their own: what they don't go by is no option."""
    if given := [name for name, value in others.items() if value is not None]:
        fail(f"{', '.join(given)}: --recorded goes with --config and --json alone", USAGE)


def _tell(found: Found, out: Path | None, html: Path | None) -> None:
    from burstd.rehearsal.report import page

    if out is not None:
        write(out, found.as_json())
    if html is not None:
        html.write_text(page(found.history, found.rows, found.swept, found.words))
    if out is None and html is None:
        show(found)


Rules = Callable[["History"], Found]


def _rules(config: Path | None, cycle: str | None, chosen: Chosen) -> Rules:
    """Raises ``BadChoice`` and ``BadSweep``, before any log is read."""
    if config is None:
        if cycle is not None:
            raise BadChoice("--cycle goes with --config: without, each start and end is decided on")
        return _by_budget(*chosen)
    if any(choice is not None for choice in chosen):
        raise BadChoice(
            "--strategy, --cloud-share, --theta and --sweep don't go with --config: "
            "change them in a copy of the file"
        )
    return partial(by_config, config, cycle)


def _stand_ins(config: Path | None) -> str:
    """The partition of jobs that have left. Raises ``ConfigError``."""
    from burstd.config.model import SiteTable
    from burstd.config.read import read_rules

    site = SiteTable() if config is None else read_rules(config).site
    return site.burst_partition


def _by_budget(
    which: StrategyName | None, share: float | None, theta: float | None, text: str | None
) -> Rules:
    from burstd.rehearsal.compare import compare
    from burstd.rehearsal.rules import A_DAY, CYCLE, SHARE, THETA, dense
    from burstd.rehearsal.sweep import parse, sweep

    strategy = (which or StrategyName.MARGINAL).value
    part, weight = SHARE if share is None else share, THETA if theta is None else theta
    wanted = parse(text, strategy) if text else None

    def rules(history: History) -> Found:
        rows = list(compare(history, strategy, part, weight))
        swept = sweep(history, strategy, wanted, weight) if wanted else None
        every = f"decided every {CYCLE.seconds} s, as more than {A_DAY} jobs came a day"
        return Found(history, rows, swept, [every] if dense(history) else [])

    return rules


def _anonymised(history: History, path: Path) -> None:
    from burstd.rehearsal.swf import written

    path.write_text("".join(written(history)))
    sys.stdout.write(f"{len(history.jobs)} jobs; left out: {left_out(history)}\n")
