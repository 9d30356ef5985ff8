"""``burst pull``: files of a job that still runs elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from burstd.cli.answers import Job, Json, asked, fail, lines, plain, print_json
from burstd.cli.client import NEGATIVE, OK

PERIOD = 1.0  #: seconds between two looks

Globs = Annotated[
    list[str], typer.Argument(help="Paths or globs, from the job's directory on; quote them.")
]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Stay until they are there.")]


def pull(job: Job, globs: Globs, wait: Wait = True, as_json: Json = False) -> None:
    """Bring files of a job that runs elsewhere to where the job would have written them, as they
    are now. The job's end replaces them by its results.

    Example: burst pull 123 'results/*.vtk' monitor.csv
    """
    route = f"/v1/jobs/{job}/pull"
    found = asked(f"{route}?{urlencode({'glob': globs}, doseq=True)}", "POST")
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


def _show(found: dict[str, Any]) -> None:
    for file in found["files"]:
        torn = "" if file["whole"] else "  (it was written to meanwhile: bytes of several moments)"
        lines([f"{file['bytes']:>14}  {file['path']}{torn}"])
    lines(found["notes"])
