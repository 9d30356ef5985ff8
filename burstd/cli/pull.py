"""``burst pull``: files of a job that still runs elsewhere, or that remain there behind its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from burstd.cli import client
from burstd.cli.answers import Job, Json, asked, fail, lines, plain, print_json
from burstd.cli.client import ERROR, NEGATIVE, OK, PERMISSION

PERIOD = 1.0  #: seconds between two looks
LOGGED_EVERY = 30.0  #: seconds; where nobody watches

Globs = Annotated[
    list[str] | None,
    typer.Argument(
        help="Paths or globs, from the job's directory on; quote. A directory: all in it."
    ),
]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Stay until they are there.")]


def pull(job: Job, globs: Globs = None, wait: Wait = True, as_json: Json = False) -> None:
    """Bring files of a job that runs elsewhere to where the job would have written them, as they
    are now; the job's end replaces them by its results. Or, behind its end, some of those that
    remain there: what its application's profile calls on demand, or all results of a job that was
    cancelled before they were home; without names: list them.

    Example: burst pull 123 'results/*.vtk' monitor.csv
    """
    route = f"/v1/jobs/{job}/pull"
    if not globs:
        _list(_answer(route), as_json)
        raise typer.Exit(OK)
    # A byte that is no letter becomes "?", which stands for any one.
    names = [glob.rstrip("/") or glob for glob in globs]
    wish = f"{route}?{urlencode({'glob': names}, doseq=True, errors='replace')}"
    found = _answer(wish, "POST")
    if "files" not in found:
        found, wait = _fetched(found["remains"], job), True
    while wait and not found["done"]:
        if sys.stderr.isatty():
            typer.echo("\ron their way ...", err=True, nl=False)
        time.sleep(PERIOD)
        found = asked(route)
    if wait and sys.stderr.isatty():
        typer.echo("\r\033[K", err=True, nl=False)
    if as_json:
        print_json(found)
    elif not wait:
        typer.echo("they are on their way")
    else:
        _show(plain(found))
    if wait and not found["files"]:
        fail(f"nothing of job {job} was brought by that name", NEGATIVE)
    raise typer.Exit(OK)


def _answer(route: str, method: str = "GET") -> dict[str, Any]:
    """burstd's, once it knows what remains. A stand-in that ended too early has not said which
    files there are: then we look."""
    found = asked(route, method)
    while method == "POST" and found.get("remains") and found["remains"]["until"] is None:
        time.sleep(PERIOD)  # its job's end is being written down
        found = asked(route, method)
    if found.get("remains") and not found["remains"]["listed"]:
        for note in _spoken(found["remains"]["burst"], None, 0)["notes"]:
            typer.echo(note, err=True)
        found = asked(route, method)
    return found


def _list(found: dict[str, Any], as_json: bool) -> None:
    remains = found.get("remains")
    if as_json:
        print_json(found)
    elif remains is None:
        fail("which files? Nothing of this job remains at a target: name what it writes", NEGATIVE)
    else:
        shown = plain(remains)
        lines([_line(file) for file in shown["files"]])
        size = sum(file["bytes"] for file in remains["files"]) / 1e6
        until = f" until {shown['until']}" if shown["until"] else ""
        cost = f"all would cost {shown['cost']} {shown['currency']}"
        lot = "remain" if not remains["unlanded"] else "never came home and remain"
        what = f"{len(remains['files'])} files, {size:.1f} MB, {lot} at {shown['target']}"
        lines([f"{what}{until}; {cost}"])


def _line(file: dict[str, Any]) -> str:
    name = file["path"].replace("\n", "?")  # one line each
    return f"{file['bytes']:>14}  {name}"


def _show(found: dict[str, Any]) -> None:
    for file in found["files"]:
        torn = "" if file["whole"] else "  (it was written to meanwhile: bytes of several moments)"
        lines([f"{_line(file)}{torn}"])
    lines(found["notes"])


# --- behind the end


def _fetched(remains: dict[str, Any], job: str) -> dict[str, Any]:
    """What came of it; the job's agent is gone, so that a program of ours fetches in its place."""
    paths = [file["path"] for file in remains["files"]]
    if not paths:
        fail(f"nothing by that name remains of job {job}: burst pull {job} lists it", NEGATIVE)
    said = _spoken(remains["burst"], paths, sum(file["bytes"] for file in remains["files"]))
    files = [{**file, "whole": True} for file in said["files"]]
    return {"job": job, "done": True, "files": files, "notes": said["notes"]}


def _spoken(burst: str, wish: list[str] | None, size: int) -> dict[str, Any]:
    """The last words of the program that fetches ``size`` bytes."""
    # -P: a json.py in this directory is not ours.
    argv = [sys.executable, "-P", "-X", "utf8", "-m", "burstd.agent.fetch", burst]
    environment = {**os.environ, "BURSTD_SOCKET": client.SOCKET}
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, env=environment, text=True) as agent:
        if agent.stdin is None or agent.stdout is None:
            fail("no pipes", ERROR)
        json.dump(wish, agent.stdin)
        agent.stdin.close()
        said: dict[str, Any] = {}
        with _bar(size) as move:
            for line in agent.stdout:
                said = json.loads(line)
                if "came" in said:
                    move(said["came"])
    if "files" not in said:
        why = said.get("error", "the program that fetches has ended")
        fail(str(plain(why)), PERMISSION if "no such burst of yours" in why else ERROR)
    return said


@contextmanager
def _bar(size: int) -> Iterator[Any]:
    """How far it is: a bar on a terminal, else a line now and then."""
    if not sys.stderr.isatty():
        yield _Log(size)
        return
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("on their way", total=size)
        yield lambda came: progress.update(task, completed=came)


class _Log:
    def __init__(self, size: int) -> None:
        self._size, self._at = size, time.monotonic()

    def __call__(self, came: int) -> None:
        if time.monotonic() - self._at > LOGGED_EVERY:
            self._at = time.monotonic()
            typer.echo(f"{came / 1e6:.1f} of {self._size / 1e6:.1f} MB", err=True)
