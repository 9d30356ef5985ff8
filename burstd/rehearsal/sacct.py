"""What Slurm's accounting tells of a site's past: the output of one ``sacct`` command.

Source: sacct(1). Times are seconds since 1970, which no clock change makes ambiguous. The job's
name is last, as it may have any character in it. With a heading (no ``-n``) there may be fields in
any other order before it, and more: of those, ``Priority``, ``QOS`` and ``NNodes`` are used.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from burstd.rehearsal.history import History, NotLog, PastJob

FIELDS: tuple[str, ...] = (
    "JobIDRaw", "Submit", "Eligible", "Start", "ElapsedRaw", "TimelimitRaw", "AllocCPUS",
    "ReqCPUS", "User", "Account", "Partition", "State", "JobName",
)  # fmt: skip
COMMAND = "SLURM_TIME_FORMAT=%s sacct -a -X -P -n -S 2026-01-01 -E now -o " + ",".join(FIELDS)

#: States of jobs that have not come to an end
OPEN = ("PENDING", "RUNNING", "SUSPENDED", "REQUEUED", "RESIZING")
_LOCAL = re.compile(r"\d{4}-\d\d-\d\dT")  #: a local time: an hour of each autumn has it twice
_TAIL = re.compile(r"[\W_]*\d[\d\W_]*$")


def asking(days: int, partitions: str = "") -> list[str]:
    """The same command for the last ``days``; of these partitions, separated by commas."""
    chosen = ["-r", partitions] if partitions else []
    since = ["-S", f"now-{days}days", "-E", "now"]
    return ["sacct", "-a", "-X", "-P", "-n", *chosen, *since, "-o", ",".join(FIELDS)]


def read(lines: Iterable[str], name: str, cores: int | None, away: str = "") -> History:
    """Its jobs that ran on a cluster of so many cores; the rest is left out and counted, by reason.

    ``away``: the partition of those that left. Their stand-ins had other CPUs than they asked for.
    A job could start from when it was eligible: who waits for another job, or for its begin time,
    is not in the queue's way. Raises ``NotLog``.
    """
    if not cores:
        raise NotLog(f"{name} does not say how large the cluster is: give --procs N")
    jobs, left, fields = dict[int, PastJob](), Counter[str](), FIELDS
    for line in filter(None, map(str.strip, lines)):
        if _is_heading(line):
            fields = _headed(line, name)
            left["heading"] += 1
            continue
        job = _read(line, fields, name, cores, away)
        if isinstance(job, str):
            left[job] += 1
        else:
            left["told again"] += job.number in jobs
            jobs[job.number] = job
    if not jobs:
        raise NotLog(f"{name} has no job that ran on {cores} processors: {dict(+left)}")
    ordered = sorted(jobs.values(), key=lambda job: (job.submitted, job.number))
    return History(name, cores, tuple(ordered), dict(+left), epoch=0, named=True)


def _is_heading(line: str) -> bool:
    return {"JobIDRaw", "JobName"} <= set(line.split("|"))


def _headed(line: str, name: str) -> tuple[str, ...]:
    fields = tuple(line.split("|"))
    if lacking := sorted({*FIELDS} - {*fields}):
        raise NotLog(f"{name} lacks {', '.join(lacking)}: ask sacct for {','.join(FIELDS)}")
    if fields[-1] != FIELDS[-1]:
        raise NotLog(f"{name}: JobName must be the last field, as it may have any character in it")
    return fields


def _read(line: str, fields: Sequence[str], name: str, cores: int, away: str) -> PastJob | str:
    """The job, or why it is left out."""
    cells = line.split("|", len(fields) - 1)
    if len(cells) < len(fields):
        return "not readable"
    told = dict(zip(fields, cells, strict=True))
    if _LOCAL.match(told["Submit"]):
        raise NotLog(f"{name} has local times: write SLURM_TIME_FORMAT=%s before sacct")
    if "." in told["JobIDRaw"]:
        return "step of a job"
    if told["State"].split(" ")[0] in OPEN:
        return "not ended"
    return _job(told, cores, away)


def _job(told: dict[str, str], cores: int, away: str) -> PastJob | str:
    number, submitted = _whole(told["JobIDRaw"]), _whole(told["Submit"])
    ran, limit = _whole(told["ElapsedRaw"]), _whole(told["TimelimitRaw"])
    if number is None or submitted is None:
        return "not readable"
    if not ran or _whole(told["Start"]) is None:
        return "never ran"
    had = None if told["Partition"] == away else _whole(told["AllocCPUS"])
    wide = had or _whole(told["ReqCPUS"]) or 0
    if not wide:
        return "no processor"
    if wide > cores:
        return "wider than the cluster"
    before = max(0, (_whole(told["Eligible"]) or 0) - submitted)
    who = (told["User"], told["Account"], _application(told["JobName"]), told["Partition"])
    return PastJob(
        number, submitted + before, wide, max((limit or 0) * 60, ran), ran, *who,
        qos=told.get("QOS", ""),
        nodes=_whole(told.get("NNodes", "")) or 1,
        before=before,
        priority=_whole(told.get("Priority", "")) or 0,
    )  # fmt: skip


def _whole(text: str) -> int | None:
    """None for what is no number: ``Unknown``, ``None``, ``UNLIMITED``, ``Partition_Limit``."""
    return int(text) if text.isascii() and text.isdigit() else None


def _application(name: str) -> str:
    """Runs of one study are named alike but for the number at the end."""
    return _TAIL.sub("", name) or name
