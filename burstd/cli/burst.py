"""``burst``: what people ask burstd. Rich is imported only where a table is drawn."""

from __future__ import annotations

from typing import Any

import typer

from burstd import __version__
from burstd.cli import audit, control
from burstd.cli.answers import Job, Json, answer, lines
from burstd.cli.cost import cost
from burstd.cli.decisions import decisions
from burstd.cli.doctor import doctor
from burstd.cli.estimate import WORDS, estimate
from burstd.cli.files import files
from burstd.cli.pull import pull
from burstd.cli.reasons import show_why
from burstd.cli.shred import shred
from burstd.cli.simulate import simulate

HELP = """Ask burstd about jobs that run, or may run, in the cloud.

A job is named as Slurm names it: 123, or 123_4 for one task of an array. You see your own jobs,
an operator sees all. Every command takes --json.

Exit codes: 0 ok, 1 error, 2 wrong usage, 3 negative answer, 4 no such job, 5 burstd does not
answer, 6 permission denied.
"""
app = typer.Typer(name="burst", help=HELP, no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(audit.app, name="audit")


@app.command()
def status(as_json: Json = False) -> None:
    """One screen: mode, pressure against the marks, bursts by stage, links, money.

    Example: burst status
    """
    answer("/v1/status", as_json, _show_status)


@app.command()
def jobs(as_json: Json = False) -> None:
    """Your jobs in the queue with squeue's columns, and where each runs.

    Example: burst jobs
    """
    answer("/v1/jobs", as_json, _show_jobs)


@app.command()
def show(job: Job, as_json: Json = False) -> None:
    """Everything about one job's burst: target, stage, remote job, outcome, cost.

    Example: burst show 123_4
    """
    answer(f"/v1/jobs/{job}", as_json, _show_pairs)


@app.command()
def why(job: Job, as_json: Json = False) -> None:
    """Why the job leaves or stays: every rule with its numbers, where it stands in the
    configuration, and what would have to change.

    Example: burst why 123
    """
    answer(f"/v1/jobs/{job}/why", as_json, show_why)


@app.command()
def logs(job: Job, as_json: Json = False) -> None:
    """The story of the job's burst: every stage with its time and cause.

    Example: burst logs 123
    """
    answer(f"/v1/jobs/{job}/journal", as_json, _show_journal)


@app.command()
def plan(as_json: Json = False) -> None:
    """The decision of this moment, not carried out: what would leave, what would stay, and why.

    Example: burst plan --json
    """
    answer("/v1/plan", as_json, _show_plan)


app.command("freeze")(control.freeze)
app.command("thaw")(control.thaw)
app.command("return")(control.give_back)
app.command("return-all")(control.give_all_back)
app.command("approve")(control.approve)
app.command("cancel")(control.cancel)
app.command("accept")(control.accept)
app.add_typer(control.quarantine, name="quarantine")
app.command("cost")(cost)
app.command("estimate", context_settings=WORDS)(estimate)
app.command("decisions")(decisions)
app.command("files")(files)
app.command("pull")(pull)
app.command("shred")(shred)
app.command("doctor")(doctor)
app.command("simulate")(simulate)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"burst {__version__}")


def _budgets(found: dict[str, Any]) -> list[str]:
    """Those beside the site's."""
    money = found["currency"]
    return [
        f"          {b['name']}: {b['taken']} of {b['amount']} {money} this {b['period']}"
        for b in found["budgets"][1:]
    ]


def _show_status(found: dict[str, Any]) -> None:
    state = "BURSTING" if found["surging"] else "idle"
    backlog = found["backlog_core_hours"]
    pressure = "not read yet" if backlog is None else f"{backlog:.2f} core-hours"
    money = found["currency"]
    lines(
        [
            f"mode      {found['mode']}, {state}",
            f"pending   {pressure}, may leave (starts at {found['high']:g}, "
            f"stops below {found['low']:g})",
            f"money     {found['spent']} spent, {found['reserved']} reserved of "
            f"{found['budget']} {money} this month",
            *_budgets(found),
            "bursts    "
            + (", ".join(f"{n} {stage}" for stage, n in found["bursts"].items()) or "none open"),
        ]
    )
    if found["policy_trouble"]:
        typer.echo(f"POLICY    the one before holds: {found['policy_trouble']}")
    if found["frozen"]:
        closed = ", wishes go home" if found["closed"] else ""
        typer.echo(f"FROZEN    by {found['frozen']}{closed}; burst thaw ends it")
    if found["suspect"]:
        typer.echo(f"SAFE MODE {found['suspect']}: the ledger was restored; burst accept ends it")
    if found["quarantined"]:
        typer.echo(f"WAITING   {found['quarantined']} for a human: burst quarantine list")
    for link in found["links"]:
        state = {True: "up", False: "down", None: "unknown"}[link["up"]]
        heard = link.get("last_handshake") or "none"
        typer.echo(f"link      {link['target']}: {state}, last handshake {heard}")


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
            row["where"], _stage(row),
        )  # fmt: skip
        typer.echo(_COLUMNS.format(*cells).rstrip())


def _stage(row: dict[str, Any]) -> str:
    percent = row.get("percent")
    return str(row["stage"]) if percent is None else f"{row['stage']} {percent}%"


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
        most = f"{p['reserved']} {found['currency']}"
        typer.echo(f"{p['job']:>12}  leaves  to {p['target']}, at most {most}")
    for d in found["declines"]:
        more = f" and {len(d['jobs']) - 4} more" if len(d["jobs"]) > 4 else ""
        typer.echo(f"{','.join(d['jobs'][:4]) + more:>12}  stays   {d['text']}")


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
