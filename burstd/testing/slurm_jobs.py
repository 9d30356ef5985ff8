"""Jobs of the simulated Slurm, and the texts in which its programs show them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from burstd.domain.licences import parse_licences
from burstd.domain.slurm import time_limit

_NONE = timedelta()
OVER = frozenset({"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"})


def _shown() -> dict[str, str]:
    return {
        "Partition": "cae", "TimeLimit": "01:00:00", "Requeue": "1", "Dependency": "(null)",
        "ReqNodeList": "(null)", "ExcNodeList": "(null)", "NumNodes": "1", "NumCPUs": "1",
        "NumTasks": "1", "CPUs/Task": "1", "NtasksPerN:B:S:C": "0:0:*:*", "MinMemoryCPU": "100M",
        "OverSubscribe": "OK", "Licenses": "(null)", "TresPerNode": "(null)",
    }  # fmt: skip


@dataclass
class SimulatedJob:
    """``shown``: fields by the names of ``scontrol show job``.

    ``serial`` is for witnesses only: which submission this is, whatever id or name it has now.
    ``word``: the state that Slurm's programs print for it, where that is none that we know.
    """

    job_id: int
    user: str
    name: str
    submitted_at: datetime
    script: str | None
    array_id: int | None = None
    task: int | None = None
    split: bool = False
    state: str = "PENDING"
    reason: str = "None"
    held: bool = False
    cancelled: bool = False
    requeued: bool = False
    begins_anew: bool = False  #: a user's requeue: as soon as it has ended, which may take a while
    waits_anew: bool = False  #: and then waits, held by its user
    restarts: int = 0
    exit_code: int = 0
    signal: int = 0
    node: str = ""
    comment: str = ""
    het: bool = False
    started_at: datetime | None = None
    ended_at: datetime | None = None
    kill_at: datetime | None = None
    serial: int = 0
    word: str = ""
    shown: dict[str, str] = field(default_factory=_shown)


def key_text(job: SimulatedJob) -> str:
    """``12`` or ``12_3``."""
    return str(job.job_id) if job.array_id is None else f"{job.array_id}_{job.task}"


def squeue_lines(jobs: Iterable[SimulatedJob], form: str) -> Iterator[str]:
    """One line a job; the untouched elements of an array share one."""
    done: set[int] = set()
    jobs = list(jobs)
    for job in jobs:
        whole = job.array_id is not None and not job.split and job.state == "PENDING"
        if whole and job.array_id in done:
            continue
        tasks = _together(job, jobs) if whole else None
        if whole and job.array_id is not None:
            done.add(job.array_id)
        letters = {letter: _letter(letter, job, tasks) for letter in re.findall("%(.)", form)}
        yield re.sub("%(.)", partial(_filled, letters), form) + "\n"


def _filled(letters: Mapping[str, str], found: re.Match[str]) -> str:
    return letters[found[1]]


def _together(job: SimulatedJob, jobs: Sequence[SimulatedJob]) -> str:
    same = [j for j in jobs if j.array_id == job.array_id and not j.split]
    return ",".join(str(j.task) for j in same)


def _letter(letter: str, job: SimulatedJob, tasks: str | None) -> str:
    key = f"{job.array_id}_[{tasks}]" if tasks is not None else key_text(job)
    task = "N/A" if job.array_id is None else (tasks if tasks is not None else str(job.task))
    shown = job.shown
    values = {
        "i": f"{key}+0" if job.het else key,
        "F": str(job.job_id if job.array_id is None else job.array_id),
        "K": task,
        "T": job.word or job.state,
        "r": job.reason,
        "P": shown["Partition"],
        "a": "phys",
        "q": "normal",
        "u": job.user,
        "C": shown["NumCPUs"],
        "D": shown["NumNodes"],
        "l": _squeue_time(shown["TimeLimit"]),
        "V": str(int(job.submitted_at.timestamp())),
        "S": "N/A",
        "Q": "0" if job.held else "1000",
        "b": "N/A" if shown["TresPerNode"] == "(null)" else shown["TresPerNode"],
        "W": shown["Licenses"],
        "E": shown["Dependency"],
        "k": job.comment or "(null)",
        "Z": f"/home/{job.user}",
        "j": job.name,
        "M": "0:00",
        "N": job.node,
    }
    return values[letter]


def _squeue_time(text: str) -> str:
    """squeue leaves leading hours of zero out."""
    return text[3:] if text.startswith("00:") and text.count(":") == 2 else text


def record_line(job: SimulatedJob, jobs: Sequence[SimulatedJob]) -> str:
    """``scontrol show job -o``."""
    array = ""
    if job.array_id is not None:
        task = str(job.task) if job.split else _together(job, jobs)
        array = f"ArrayJobId={job.array_id} ArrayTaskId={task} "
    if job.het:
        array += f"HetJobId={job.job_id} HetJobOffset=0 "
    ended = int(job.ended_at.timestamp()) if job.ended_at else "Unknown"
    stamp = int(job.submitted_at.timestamp())
    late = {k: v for k, v in job.shown.items() if k.startswith("TresPer") and v != "(null)"}
    shown = {k: v for k, v in job.shown.items() if k != "Extra" and not k.startswith("TresPer")}
    pairs = " ".join(f"{name}={value}" for name, value in shown.items())
    extra = f" Extra={job.shown['Extra']}" if "Extra" in job.shown else ""
    extra += "".join(f" {name}={value}" for name, value in late.items())
    return (
        f"JobId={job.job_id} {array}JobName={job.name} UserId={job.user}(1001) "
        f"GroupId={job.user}(1001) MCS_label=N/A Priority={0 if job.held else 1000} Nice=0 "
        f"Account=phys QOS=normal JobState={job.word or job.state} Reason={job.reason} "
        f"Restarts={job.restarts} BatchFlag={0 if job.script is None else 1} Reboot=0 "
        f"ExitCode={job.exit_code}:{job.signal} SubmitTime={stamp} EndTime={ended} "
        f"NodeList={job.node} {pairs} "
        f"Command=/home/{job.user}/job.sh WorkDir=/home/{job.user}{extra}"
    )


def sacct_line(job: SimulatedJob, columns: Sequence[str], bar: str) -> str:
    """One row of ``sacct -P -n -o COLUMNS``."""
    elapsed = (job.ended_at or job.submitted_at) - (job.started_at or job.submitted_at)
    cells: Mapping[str, str] = {
        "JobID": key_text(job),
        "User": job.user,
        "Submit": str(int(job.submitted_at.timestamp())),
        "State": "CANCELLED by 1001" if job.state == "CANCELLED" else job.word or job.state,
        "ExitCode": f"{job.exit_code}:{job.signal}",
        "JobName": job.name,
        "ElapsedRaw": str(int(elapsed.total_seconds())),
        "AllocCPUS": job.shown["NumCPUs"] if job.started_at else "0",
        "NodeList": job.node or "None assigned",
        "End": str(int(job.ended_at.timestamp())) if job.ended_at else "Unknown",
        "Account": "phys",
        "Partition": job.shown["Partition"],
        "TimelimitRaw": str(
            int((time_limit(job.shown["TimeLimit"]) or _NONE).total_seconds() // 60)
        ),
    }
    return bar.join(cells[column] for column in columns) + "\n"


def awaits(job: SimulatedJob, known: Iterable[SimulatedJob]) -> str:
    """The pending reason that its ``--dependency`` gives it; empty where nothing keeps it."""
    kind, _, rest = job.shown["Dependency"].partition(":")
    wanted = rest.partition("(")[0]
    ends = [other.state for other in known if wanted in (key_text(other), str(other.array_id))]
    if not ends or any(state not in OVER for state in ends):
        return "Dependency"
    if kind == "afterok" and set(ends) != {"COMPLETED"}:
        return "DependencyNeverSatisfied"
    return ""


def licence_lines(totals: Mapping[str, int], jobs: Iterable[SimulatedJob]) -> str:
    """``scontrol show licenses -o``: what runs, or has not quite ended, uses what it asked for."""
    used: Counter[str] = Counter()
    for job in jobs:
        if job.state in {"RUNNING", "COMPLETING"} and job.shown["Licenses"] != "(null)":
            used.update(parse_licences(job.shown["Licenses"]))
    return (
        "".join(
            f"LicenseName={name} Total={total} Used={used[name]} Free={max(0, total - used[name])}"
            " Reserved=0 Remote=no\n"
            for name, total in sorted(totals.items())
        )
        or "No licenses configured in Slurm.\n"
    )
