"""``burst estimate``: where a job would run, when, at what cost, and which files would leave."""

from __future__ import annotations

import getpass
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from burstd.cli.answers import Json, asked, fail, lines, plain, print_json
from burstd.cli.client import ERROR, NEGATIVE, OK, USAGE
from burstd.cli.reasons import show_why
from burstd.domain.spans import between, spoken

if TYPE_CHECKING:
    from burstd.adapters.slurm.submission import Submission, WillRun

#: sbatch's own options go through as they are.
WORDS = {"ignore_unknown_options": True, "allow_interspersed_args": False}
Words = Annotated[
    list[str],
    typer.Argument(help="What sbatch would be given: its options, the script, its arguments."),
]
Files = Annotated[bool, typer.Option("--files", help="Name every file that would leave.")]


def estimate(words: Words, files: Files = False, as_json: Json = False) -> None:
    """What would become of a job, before it is submitted: when it would start here, by Slurm's
    word; whether it would leave, to where, when it would be over there and at what cost; which
    files would leave. Submits nothing. Exit code 3: it would stay.

    Example: burst estimate --time=4:00:00 crash.sh
    """
    at = _script(words)
    text = _read(words[at])
    said, here = _asked_of_slurm(words, at, text)
    directory = str(Path(said.said.get("chdir", ".")).resolve())
    found = asked("/v1/estimate", "POST", _wanted(said, here, text, directory))
    found["files"] = None if found["resolver"] is None else _files(found, said, directory)
    if as_json:
        print_json(found)
    else:
        _show(plain(found), every=files)
    stays = not found["leaves"] or "refused" in (found["files"] or {})
    raise typer.Exit(NEGATIVE if stays else OK)


def _script(words: Sequence[str]) -> int:
    from burstd.adapters.slurm.submission import script_at

    if (at := script_at(words)) is None:
        fail(f"there is no script among: {' '.join(words)}", USAGE)
    return at


def _read(script: str) -> str:
    try:
        return Path(script).read_text(errors="replace")
    except OSError as error:
        fail(f"{script}: {error.strerror}", USAGE)


def _asked_of_slurm(words: Sequence[str], at: int, text: str) -> tuple[Submission, WillRun]:
    from burstd.adapters.slurm.submission import ask_sbatch, submission
    from burstd.domain.plan import Reason
    from burstd.ports.errors import PortError

    try:
        said = submission(words, at, text, os.environ)
        if said.het:  # Slurm does not tell where it would start
            fail(f"it would stay: {Reason.HETEROGENEOUS.value}", NEGATIVE)
        return said, ask_sbatch(said, os.environ)
    except ValueError as error:
        fail(str(error), USAGE)
    except PortError as error:
        fail(f"Slurm would not take it: {error}", ERROR)


def _wanted(said: Submission, here: WillRun, text: str, directory: str) -> dict[str, Any]:
    from burstd.domain.slurm import time_limit

    given = {**_defaults(said, here), **said.said}
    try:
        limit, tasks = time_limit(given.get("time", "")), len(said.tasks)
        shape = said.shape(here.nodes, here.cpus)
    except ValueError as error:
        fail(f"sbatch's options: {error}", USAGE)
    return {
        "script": text,
        "name": given.get("job-name", Path(said.script).name),
        "partition": here.partition,
        "account": given.get("account", ""),
        "qos": given.get("qos", ""),
        "cpus": here.cpus,
        "nodes": here.nodes,
        "time_limit_s": limit.total_seconds() if limit else None,
        "comment": given.get("comment", ""),
        "directory": directory,
        "licences": given.get("licenses", ""),
        "ntasks": shape.tasks,
        "cpus_per_task": shape.cpus_per_task,
        "tasks_per_node": shape.tasks_per_node,
        "memory_per_node": shape.memory_per_node,
        "memory_per_cpu": shape.memory_per_cpu,
        "exclusive": shape.exclusive,
        "sockets_per_node": shape.sockets_per_node,
        "gres": [
            {"name": g.name, "count": g.count, "per": g.per.value, "type": g.type}
            for g in shape.gres
        ],
        "tasks": tasks,
        "throttle": said.throttle,
        "starts_at": here.starts.timestamp(),
    }


def _defaults(said: Submission, here: WillRun) -> dict[str, str]:
    """What Slurm would take for an account and a time limit that were not given."""
    from burstd.adapters.slurm.commands import Slurm
    from burstd.adapters.slurm.submission import own_account, partitions_time
    from burstd.ports.errors import PortError

    slurm, found = Slurm(), {}
    try:
        if "time" not in said.said:
            found["time"] = partitions_time(slurm, here.partition)
        if "account" not in said.said:
            found["account"] = own_account(slurm, getpass.getuser())
    except PortError as error:
        typer.echo(f"burst: Slurm's defaults are not known: {error}", err=True)
    return found


def _files(told: dict[str, Any], said: Submission, directory: str) -> dict[str, Any]:
    """As the agent would find them: by the agent's own program, in the job's directory."""
    script, survey = str(Path(said.script).resolve()), "burstd.agent.survey"
    argv = [sys.executable, "-P", "-m", survey, told["resolver"], script, *said.arguments]
    kept = json.dumps([told["target"] or "", told["kept"]])
    try:
        done = subprocess.run(
            argv, cwd=directory, input=kept, capture_output=True, text=True, check=False
        )
    except OSError as error:
        return {"refused": f"{directory}: {error.strerror}"}
    if done.returncode != 0:
        return {"refused": done.stderr.strip().splitlines()[-1] if done.stderr else "no answer"}
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _show(found: dict[str, Any], every: bool) -> None:
    money, here = found["currency"], found["here"]
    each = f", each of {found['of']} tasks" if found["of"] > 1 else ""
    told = [f"application {found['application'] or 'unknown'}; mode {found['mode']}"]
    if here is not None:
        early, _, late = (timedelta(seconds=second) for second in here["starts_in_s"])
        told.append(
            f"here:      starts {between(early, late)}, over in {_spoken(here['over_in_s'])}"
        )
    told += [
        f"{offer['target'] + ':':<10} begins in {_spoken(offer['begins_in_s'])}, over in "
        f"{_spoken(offer['over_in_s'])}, about {offer['expected']} {money}, "
        f"at most {offer['worst_case']} {money}{each}"
        for offer in found["offers"]
    ]
    told += _told_files(found["files"], every)
    lines(told)
    groups = [
        {**group, "jobs": [_named(job) for job in group["jobs"]]} for group in found["groups"]
    ]
    show_why({"why": [], "groups": groups, "steps": found["steps"]})


def _named(job: str) -> str:
    """A job that has no id yet."""
    _, _, task = job.partition("_")
    return f"task {task}" if task else "this job"


def _told_files(files: dict[str, Any] | None, every: bool) -> list[str]:
    if files is None:
        return []
    if "refused" in files:
        return [f"files:     it would stay: {files['refused']}"]
    size = files["bytes"] / 2**20
    told = [f"files:     {len(files['files'])} would leave, {size:.1f} MiB"]
    return told + ([f"           {path}" for path, _ in files["files"]] if every else [])


def _spoken(seconds: float) -> str:
    return spoken(timedelta(seconds=seconds))
