"""``burst``'s commands that change something: each is in the audit log under its caller's name."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from burstd.cli.answers import Job, Json, Why, answer, asked, fail, lines, print_json
from burstd.cli.client import NEGATIVE, OK

PERIOD = 1.0  #: seconds between two looks at what is on its way
REST = frozenset({"returned", "settled", "quarantined", "abandoned"})

Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Stay until it is done.")]

quarantine = typer.Typer(
    help="Bursts that wait for a human. burst logs ID tells how each came there.",
    no_args_is_help=True,
)


def freeze(why: Why = "", as_json: Json = False) -> None:
    """Begin no new burst, at once; what is under way goes on. For operators.

    Example: burst freeze --why "cloud maintenance"
    """

    def show(found: dict[str, Any]) -> None:
        typer.echo(f"frozen by {found['frozen']}")

    answer("/v1/freeze", as_json, show, "POST", why=why)


def thaw(as_json: Json = False) -> None:
    """Let new bursts begin again. For operators.

    Example: burst thaw
    """
    answer("/v1/thaw", as_json, lambda _: typer.echo("new bursts may begin"), "POST")


def give_back(
    job: Job,
    checkpoint: Annotated[
        bool,
        typer.Option(
            "--checkpoint", help="If it runs there, let it save its state and go on on-prem."
        ),
    ] = False,
    why: Why = "",
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Give a job back that has not started elsewhere: it runs on-prem, as it was submitted. One
    that runs there is stopped only with --checkpoint, if its script says #BURST checkpoint=.

    Example: burst return 123
    """
    query = {"why": why, **({"checkpoint": "1"} if checkpoint else {})}
    found = asked(f"/v1/jobs/{job}/return", "POST", **query)
    if wait:
        _watch([found["burst"]], quiet=as_json)
        found = asked(f"/v1/jobs/{found['burst']}")["burst"]
    there = wait and (found["stage"] == "returned" or found["checkpointed"])
    if as_json:
        print_json(found)
    elif not wait:
        typer.echo(f"job {found['job']} is on its way home; burst logs {job} tells how far")
    elif there:
        typer.echo(f"job {found['job']} is back in its own partition")
    else:
        fail(f"job {found['job']} is {found['stage']}: {found['cause']}", NEGATIVE)
    raise typer.Exit(OK if not wait or there else NEGATIVE)


def give_all_back(why: Why = "", wait: Wait = True, as_json: Json = False) -> None:
    """Give back every job that has not started elsewhere, and begin no new burst until burst thaw.

    What runs at a target goes on and comes home as usual. For operators.

    Example: burst return-all --why "the line is down for a week"
    """
    found = asked("/v1/return", "POST", why=why)
    if wait:
        _watch([b["burst"] for b in found["returning"]], quiet=as_json)
        found["returning"] = asked("/v1/returns")["returning"]
    if as_json:
        print_json(found)
        raise typer.Exit(OK)
    lines([f"{b['job']:>12}  runs on at {b['target']}: {b['stage']}" for b in found["started"]])
    lines([f"{b['job']:>12}  {b['stage']}: {b['cause']}" for b in found["returning"]])
    rest = "" if not found["started"] else f"; {len(found['started'])} run on elsewhere"
    typer.echo(f"{len(found['returning'])} still on their way home{rest}; bursting is frozen")


def approve(
    job: Annotated[str, typer.Argument(help="Job id: 123 or 123_4; none: all that wait.")] = "",
    show: Annotated[bool, typer.Option("--list", help="Only show what waits.")] = False,
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Let proposed jobs leave (policy.mode approve); burst return JOB says no. Of a job whose
    results are larger than is put by for it: let them come home, as large as they are now. They
    are approved one by one, and no budget is passed. For operators.

    Example: burst approve 123
    """
    if show:
        answer("/v1/proposals", as_json, _proposals)
    route = f"/v1/jobs/{job}/approve" if job else "/v1/approve"
    answer(route, as_json, lambda found: _approved(found["approved"]), "POST", why=why)


def _proposals(found: dict[str, Any]) -> None:
    waiting, results, money = found["proposals"], found["results"], found["currency"]
    for b in waiting:
        most = f"at most {b['reserved']} {money}"
        lines([f"{b['job']:>12}  {b['user']}, to {b['target']}, {most}"])
    for b in results:
        lines([f"{b['job']:>12}  {b['user']}, {_size(b)}"])
        lines([f"{'':14}{b['lacks']}"] if b["lacks"] else [])
    typer.echo(f"{len(waiting) + len(results)} wait for an operator")


def _size(b: dict[str, Any]) -> str:
    return f"{b['bytes'] / 1e9:.3f} GB from {b['target']}, {b['more']} {b['currency']} more"


def _approved(taken: list[dict[str, Any]]) -> None:
    for b in taken:
        may = f"may come home: {_size(b)}" if "bytes" in b else f"may leave for {b['target']}"
        lines([f"{b['job']:>12}  {may}"])
    typer.echo(f"{len(taken)} approved")


def cancel(job: Job, why: Why = "", as_json: Json = False) -> None:
    """End a job wherever it runs, as scancel does; also when slurmctld is away just now.

    Example: burst cancel 123
    """

    def show(found: dict[str, Any]) -> None:
        typer.echo(f"job {found['job']} is being cancelled (it is {found['stage']})")

    answer(f"/v1/jobs/{job}/cancel", as_json, show, "POST", why=why)


def accept(as_json: Json = False) -> None:
    """End safe mode: the ledger was restored from a backup, and shall count as it is.

    Before: look for jobs in the burst partition and twins at the targets that burst jobs does not
    show. Such a stand-in is never sent away again; end it with scancel once its twin is over.
    For operators.

    Example: burst accept
    """

    def show(found: dict[str, Any]) -> None:
        said = found["accepted"]
        typer.echo(f"accepted, though {said}" if said else "nothing was suspected")

    answer("/v1/accept", as_json, show, "POST")


@quarantine.command("list")
def held(as_json: Json = False) -> None:
    """All of them, and why.

    Example: burst quarantine list
    """

    def show(found: dict[str, Any]) -> None:
        for b in found["quarantined"]:
            typer.echo(
                f"{b['burst']}  job {b['job']} of {b['user']}, target {b['target']}, since "
                f"{b['since']}, was {b['quarantined_at']}\n    {b['cause']}"
            )
        if not found["quarantined"]:
            typer.echo("none")

    answer("/v1/quarantine", as_json, show)


@quarantine.command("add")
def add(job: Job, why: Why = "", as_json: Json = False) -> None:
    """Stop burstd from touching one burst. Its stand-in and its twin stay as they are.

    Example: burst quarantine add 123 --why "the twin looks odd"
    """
    _judge(job, "add", why, as_json, lambda b: f"burst {b['burst']} waits for a human now")


@quarantine.command("release")
def release(job: Job, why: Why = "", as_json: Json = False) -> None:
    """Let a burst go on where it was, once the cause is mended.

    Example: burst quarantine release 0a1b2c3d4e5f --why "account is there now"
    """
    _judge(job, "release", why, as_json, lambda b: f"burst {b['burst']} goes on: {b['stage']}")


@quarantine.command("abandon")
def abandon(job: Job, why: Why = "", as_json: Json = False) -> None:
    """Let go of a burst for ever: burstd touches neither its job nor its twin any more.

    Its worst case is booked as spent if its twin may have run.

    Example: burst quarantine abandon 0a1b2c3d4e5f
    """

    def text(b: dict[str, Any]) -> str:
        said = f"burst {b['burst']} is abandoned. Job {b['job']} is yours now: scancel {b['job']}"
        if b["twin"]:
            said += f"\nIts twin may be at {b['target']}: scancel --name={b['twin']} there"
        return said

    _judge(job, "abandon", why, as_json, text)


def _judge(
    job: str, verb: str, why: str, as_json: bool, text: Callable[[dict[str, Any]], str]
) -> None:
    def show(found: dict[str, Any]) -> None:
        typer.echo(text(found["burst"]))

    answer(f"/v1/quarantine/{job}/{verb}", as_json, show, "POST", why=why)


def _watch(bursts: list[str], *, quiet: bool) -> None:
    """Until all of them are at rest. Ending this ends only the watching."""
    left = dict.fromkeys(bursts, "")
    if quiet or not sys.stderr.isatty():
        while _look(left, quiet=quiet):
            time.sleep(PERIOD)
        return
    from rich.progress import Progress

    with Progress(transient=True) as progress:
        bar = progress.add_task("going home", total=len(bursts))
        while _look(left, quiet=True):
            progress.update(bar, completed=len(bursts) - len(left))
            time.sleep(PERIOD)


def _look(left: dict[str, str], *, quiet: bool) -> bool:
    """Forget those that are at rest; tell of what moved. False once none is left."""
    for id in list(left):
        burst = asked(f"/v1/jobs/{id}")["burst"]
        if burst["stage"] in REST:
            del left[id]
        now = f"{burst['stage']}: {burst['cause']}"
        if left.get(id, "") != now and not quiet:
            typer.echo(f"job {burst['job']}  {now}", err=True)
        if id in left:
            left[id] = now
    return bool(left)
