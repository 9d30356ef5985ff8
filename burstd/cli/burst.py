"""``burst``: what people ask burstd. Rich is imported only where a table is drawn."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from burstd import __version__
from burstd.cli import audit
from burstd.cli.client import OK, Answerless, ask

HELP = """Ask burstd about jobs that run, or may run, in the cloud.

A job is named as Slurm names it: 123, or 123_4 for one task of an array. You see your own jobs,
an operator sees all. Every command takes --json.

Exit codes: 0 ok, 1 error, 2 wrong usage, 3 negative answer, 4 no such job, 5 burstd does not
answer, 6 permission denied.
"""
app = typer.Typer(name="burst", help=HELP, no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(audit.app, name="audit")
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Job = Annotated[str, typer.Argument(help="Job id: 123 or 123_4; or a burst's id.")]


def _answer(
    route: str, as_json: bool, show: Callable[[dict[str, Any]], None], method: str = "GET"
) -> None:
    try:
        found = ask(route, method)
    except Answerless as error:
        typer.echo(f"burst: {error}", err=True)
        raise typer.Exit(error.code) from None
    if as_json:
        json.dump(found, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        show(found)
    raise typer.Exit(OK)


@app.command()
def status(as_json: Json = False) -> None:
    """One screen: mode, pressure against the marks, bursts by stage, links, money.

    Example: burst status
    """
    _answer("/v1/status", as_json, _show_status)


@app.command()
def jobs(as_json: Json = False) -> None:
    """Your jobs in the queue with squeue's columns, and where each runs.

    Example: burst jobs
    """
    _answer("/v1/jobs", as_json, _show_jobs)


@app.command()
def show(job: Job, as_json: Json = False) -> None:
    """Everything about one job's burst: target, stage, remote job, outcome, cost.

    Example: burst show 123_4
    """
    _answer(f"/v1/jobs/{job}", as_json, _show_pairs)


@app.command()
def why(job: Job, as_json: Json = False) -> None:
    """Why the job leaves or stays, with the numbers that decided it.

    Example: burst why 123
    """
    _answer(f"/v1/jobs/{job}/why", as_json, lambda found: _lines(found["why"]))


@app.command()
def logs(job: Job, as_json: Json = False) -> None:
    """The story of the job's burst: every stage with its time and cause.

    Example: burst logs 123
    """
    _answer(f"/v1/jobs/{job}/journal", as_json, _show_journal)


@app.command()
def plan(as_json: Json = False) -> None:
    """The decision of this moment, not carried out: what would leave, what would stay, and why.

    Example: burst plan --json
    """
    _answer("/v1/plan", as_json, _show_plan)


@app.command()
def freeze(
    why: Annotated[str, typer.Option("--why", help="For those who wonder.")] = "",
    as_json: Json = False,
) -> None:
    """Begin no new burst, at once; what is under way goes on. For operators.

    Example: burst freeze --why "cloud maintenance"
    """
    route = f"/v1/freeze?{urlencode({'why': why})}"
    _answer(route, as_json, lambda found: typer.echo(f"frozen by {found['frozen']}"), "POST")


@app.command()
def thaw(as_json: Json = False) -> None:
    """Let new bursts begin again. For operators.

    Example: burst thaw
    """
    _answer("/v1/thaw", as_json, lambda _: typer.echo("new bursts may begin"), "POST")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"burst {__version__}")


def _lines(lines: list[str]) -> None:
    for line in lines:
        typer.echo(line)


def _show_status(found: dict[str, Any]) -> None:
    state = "BURSTING" if found["surging"] else "idle"
    backlog = found["backlog_core_hours"]
    pressure = "not read yet" if backlog is None else f"{backlog:.2f} core-hours"
    money = found["currency"]
    _lines(
        [
            f"mode      {found['mode']}, {state}",
            f"pending   {pressure}, may leave (starts at {found['high']:g}, "
            f"stops below {found['low']:g})",
            f"money     {found['spent']} spent, {found['reserved']} reserved of "
            f"{found['budget']} {money} this month",
            "bursts    "
            + (", ".join(f"{n} {stage}" for stage, n in found["bursts"].items()) or "none open"),
        ]
    )
    if found["frozen"]:
        typer.echo(f"FROZEN    by {found['frozen']}; burst thaw ends it")
    for link in found["links"]:
        state = {True: "up", False: "down", None: "unknown"}[link["up"]]
        typer.echo(
            f"link      {link['target']}: {state}, last handshake {link.get('last_handshake')}"
        )


_ST = {"PENDING": "PD", "RUNNING": "R", "COMPLETING": "CG", "SUSPENDED": "S"}


#: squeue(1)'s default format, in its widths, then ours.
_COLUMNS = "{:>18.18} {:>9.9} {:>8.8} {:>8.8} {:>2.2} {:>10.10} {:>6.6} {:<20} {:<10} {}"
_HEADER = "JOBID PARTITION NAME USER ST TIME NODES NODELIST(REASON) WHERE STAGE"


def _show_jobs(found: dict[str, Any]) -> None:
    typer.echo(_COLUMNS.format(*_HEADER.split()))
    for row in found["jobs"]:
        why = row["nodelist"] or f"({row['reason']})"
        cells = (
            row["job"], row["partition"], row["name"], row["user"],
            _ST.get(row["state"], row["state"]), _time(row["time_s"]), str(row["nodes"]), why,
            row["where"], row["stage"],
        )  # fmt: skip
        typer.echo(_COLUMNS.format(*cells).rstrip())


def _time(seconds: int) -> str:
    """As squeue prints it: ``[D-[HH:]]MM:SS``."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}-{hours:02}:{minutes:02}:{rest:02}"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _show_pairs(found: dict[str, Any]) -> None:
    for name, value in found["burst"].items():
        if isinstance(value, dict):
            value = ", ".join(f"{k}={v}" for k, v in value.items() if v is not None)
        typer.echo(f"{name:<13} {'' if value is None else value}".rstrip())


def _show_journal(found: dict[str, Any]) -> None:
    for entry in found["journal"]:
        detail = f"  {entry['detail']}" if entry["detail"] else ""
        typer.echo(f"{entry['at']}  {entry['event']:<10} {entry['stage']:<12}{detail}".rstrip())


def _show_plan(found: dict[str, Any]) -> None:
    typer.echo(
        f"pending {found['backlog_core_hours']:g} core-hours that may leave; "
        f"{'a surge' if found['surging'] else 'no surge'}"
    )
    for p in found["placements"]:
        typer.echo(f"{p['job']:>12}  leaves  to {p['target']}, at most {p['reserved']}")
    for d in found["declines"]:
        typer.echo(f"{','.join(d['jobs'][:4]):>12}  stays   {d['text']}")


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
