"""The command line: `python -m lab ...`. Thin: it reads options, calls the Lab, prints.

Exit codes: 0 done; 1 something failed; 2 wrong usage; 3 the machine lacks something; 4 the lab is
not up. `shell` gives the code of the command it ran.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from lab import facts
from lab.bucket import Bucket
from lab.errors import LabError
from lab.facts import HOSTS, OLD, RGW, SITES
from lab.host import Host
from lab.lab import Lab, Report
from lab.status import Status, look
from lab.wan import Weather

app = typer.Typer(
    name="lab",
    help="Two Slurm sites and a WAN between them, on this machine, to try burstd on.",
    no_args_is_help=True,
    add_completion=False,
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the machine lacks something, 4 not up.",
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")]


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        app()
    except LabError as error:
        console = Console(stderr=True)
        console.print(f"[bold red]{type(error).__name__}:[/] ", end="")
        console.print(str(error), markup=False, highlight=False)
        if error.cure:
            console.print(f"  cure: {error.cure}", markup=False, highlight=False)
        sys.exit(error.exit_code)


@app.command()
def up(
    as_json: Json = False,
    legacy: Annotated[
        bool, typer.Option("--legacy", help="Start the host with Slurm 22.05, too.")
    ] = False,
    bucket: Annotated[
        bool, typer.Option("--bucket", help="Start an S3 server in the cloud, too.")
    ] = False,
) -> None:
    """Bring both sites up; builds what is missing (minutes at the first time, seconds later)."""
    lab = Lab.here()
    started = time.monotonic()
    _reported(lab.up, quiet=as_json)
    if legacy:
        _reported(lambda report: _ignore(lab.legacy_up(report)), quiet=as_json)
    if bucket:
        _reported(lambda report: _ignore(lab.bucket_up(report)), quiet=as_json)
    if as_json:
        print(json.dumps({"up": True, "seconds": round(time.monotonic() - started, 1)}))
    else:
        print(f"up after {time.monotonic() - started:.1f} s")
        print("try: python -m lab shell onprem --user alice")


@app.command()
def down(
    purge: Annotated[bool, typer.Option(help="Delete the built roots and all else, too.")] = False,
) -> None:
    """End everything the lab started. Built roots are kept for the next `up`."""
    started = time.monotonic()
    Lab.here().down(purge)
    print(f"down after {time.monotonic() - started:.1f} s")


@app.command()
def status(as_json: Json = False) -> None:
    """Say how the hosts, services, nodes and the WAN are.

    Exit code 4 if the lab is not up, 1 if it is not well.
    """
    seen = look(Lab.here())
    if as_json:
        print(json.dumps(seen.record(), indent=2))
    else:
        _print_status(seen)
    raise typer.Exit(0 if seen.up and not seen.problems else 1 if seen.up else 4)


@app.command()
def shell(
    where: Annotated[str, typer.Argument(metavar="SITE[:HOST]", help="As cloud, or onprem:px.")],
    command: Annotated[list[str] | None, typer.Argument(metavar="[-- CMD...]")] = None,
    user: Annotated[str, typer.Option(help="As whom.")] = "root",
) -> None:
    """Open a shell on a host, or run one command there.

    A site alone means the host where its users log in.
    """
    host = Lab.here().host(_host_name(where))
    argv = command or ["bash", "-l"]
    terminal = {"TERM": os.environ.get("TERM", "dumb")}
    entry = host.entry(argv, user, session=False)
    os.execve(entry[0], entry, host.environment(user, terminal))  # noqa: S606  # becomes the shell


@app.command()
def wan(
    rate: Annotated[str | None, typer.Option(help="Per direction, as 100mbit; 0 for none.")] = None,
    delay: Annotated[str | None, typer.Option(help="One way, as 30ms; 0 for none.")] = None,
    cut: Annotated[bool | None, typer.Option("--cut/--no-cut", help="Let nothing pass.")] = None,
    reset: Annotated[bool, typer.Option(help="No limit, no delay, no cut.")] = False,
) -> None:
    """Make the net between the sites slower, longer or dead. What is not named stays as it is."""
    net = Lab.here().wan
    before = net.now()
    if reset:
        net.set()
    elif (rate, delay, cut) != (None, None, None):
        net.set(
            rate=before.rate if rate is None else _unless_zero(rate),
            delay=before.delay if delay is None else _unless_zero(delay),
            cut=before.cut if cut is None else cut,
        )
    now = net.now()
    print(_weather(now))


def _ignore(_found: Host | Bucket) -> None:
    """A report's work gives nothing back."""


def _host_name(where: str) -> str:
    site, _, host = where.partition(":")
    if site in SITES:
        name = host or SITES[site].entry
        if HOSTS.get(name) and HOSTS[name].site == site:
            return name
    elif where in {*HOSTS, OLD.name, RGW.name}:
        return where
    places = [f"{host.site}:{host.name}" for host in HOSTS.values() if host.site in SITES]
    raise LabError(f"there is no {where}", f"one of: {', '.join([*SITES, *places])}, wan")


def _weather(now: Weather) -> str:
    passing = "cut" if now.cut else "open"
    return f"rate {now.rate or 'unlimited'}, delay {now.delay or 'none'}, {passing}"


def _unless_zero(text: str) -> str | None:
    return None if text == "0" else text


def _reported(work: Callable[[Report], None], quiet: bool) -> None:
    """Do the work with progress for a terminal, plain lines for a log, or nothing."""
    if quiet:
        return work(lambda text, fraction: None)
    if not sys.stdout.isatty():
        started = time.monotonic()
        return work(lambda text, _: print(f"{time.monotonic() - started:6.1f} s  {text}"))
    text = TextColumn("{task.description}")
    columns = (SpinnerColumn(), text, BarColumn(20), TimeElapsedColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("looking", total=1.0)

        def show(text: str, fraction: float | None) -> None:
            progress.update(task, description=text)
            if fraction is not None:
                progress.update(task, completed=fraction)

        return work(show)


def _print_status(seen: Status) -> None:
    console = Console(highlight=False)
    console.print(f"lab at {seen.folder}: {'up' if seen.up else 'not up'}")
    for host in seen.hosts:
        states = ", ".join(f"{name}{'' if ok else ' (DOWN)'}" for name, ok in host.services.items())
        address = facts.HOSTS[host.name].address
        console.print(f"  {host.site:7} {host.name:6} {address:12} {states}", markup=False)
    if seen.up:
        console.print(f"  wan: {_weather(seen.weather)}")
    console.print(f"  container runtimes: {', '.join(seen.runtimes) or 'not built yet'}")
    for problem in seen.problems:
        console.print(f"  problem: {problem}", markup=False)
