"""``burst decisions``: what was decided, when, and why."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from burstd.cli.answers import fail, plain
from burstd.cli.client import ERROR, NOT_FOUND, OK, Answerless, ask_lines

Since = Annotated[
    str,
    typer.Option(metavar="TIME", help="First moment, in UTC: 2026-11-01 or 2026-11-01T14:30."),
]
Until = Annotated[str, typer.Option(metavar="TIME", help="Before this moment; now if not given.")]
Job = Annotated[str, typer.Option(metavar="JOB", help="Each change of the verdict on this job.")]
AsLines = Annotated[
    bool,
    typer.Option("--json", help="Print lines of JSON; those of decisions with every verdict."),
]

_ROW = "{:<20} {:>12} {:<5} {:>6} {:>7} {:>16}  {}"
_MAIN = 3  #: reasons that are named


def decisions(
    since: Since = "", until: Until = "", job: Job = "", as_json: AsLines = False
) -> None:
    """What was decided, one line for each cycle; of the last day, or with --job as far back as
    decisions are kept. A user's numbers and verdicts are those of own jobs.

    Example: burst decisions --since 2026-11-01 --json > decisions.jsonl
    """
    asked = {"since": since, "until": until, "job": job}
    asked["verdicts"] = "1" if as_json else ""
    query = urlencode({name: value for name, value in asked.items() if value})
    try:
        told = _show(ask_lines(f"/v1/decisions?{query}"), job, as_json)
    except Answerless as error:
        fail(str(error), error.code)
    if job and not told:
        fail(f"nothing was decided on a job {job} of yours in that time", NOT_FOUND)
    raise typer.Exit(OK)


def _show(lines: Iterator[dict[str, Any]], job: str, as_json: bool) -> int:
    """How many there were."""
    told = 0
    if not (job or as_json):
        typer.echo(_ROW.format("WHEN", "BACKLOG", "SURGE", "LEAVE", "STAY", "RESERVED", "MOSTLY"))
    for line in lines:
        if "error" in line:
            raise Answerless(ERROR, line["error"])
        if "lost" in line:
            for what in line["lost"]:
                typer.echo(f"burst: {what}", err=True)
            continue
        told += 1
        if as_json:
            sys.stdout.write(f"{json.dumps(line)}\n")
        else:
            typer.echo(plain(_verdict(line) if job else _decision(line)))
    return told


def _decision(found: dict[str, Any]) -> str:
    stay = found["stay"]
    mostly = ", ".join(f"{jobs} {reason}" for reason, jobs in list(stay.items())[:_MAIN])
    return _ROW.format(
        f"{found['at'][:19]}Z",
        f"{found['backlog_core_hours']:.2f}",
        "yes" if found["surging"] else "no",
        found["leave"],
        sum(stay.values()),
        f"{found['reserved']} {found['currency']}",
        mostly,
    ).rstrip()


_WORDS = {True: "leaves", False: "stays", None: "-"}


def _verdict(found: dict[str, Any]) -> str:
    jobs = found["jobs"]
    more = f" and {len(jobs) - 4} more" if len(jobs) > 4 else ""
    word = _WORDS[found["leaves"]]
    return f"{found['at'][:19]}Z  {','.join(jobs[:4])}{more}  {word:<6}  {found['text']}"
