"""The programs of the simulated Slurm, in its own words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from burstd.adapters.slurm.commands import translate
from burstd.testing.slurm_jobs import (
    OVER,
    SimulatedJob,
    key_text,
    licence_lines,
    record_line,
    sacct_line,
    squeue_lines,
)

if TYPE_CHECKING:
    from burstd.testing.slurm import SimulatedSlurm

AWAY = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
_SHOWN = {
    "partition": "Partition", "timelimit": "TimeLimit", "requeue": "Requeue",
    "numnodes": "NumNodes", "numtasks": "NumTasks", "oversubscribe": "OverSubscribe",
    "minmemorynode": "MinMemoryNode", "excnodelist": "ExcNodeList", "reqnodelist": "ReqNodeList",
    "numcpus": "NumCPUs", "minmemorycpu": "MinMemoryCPU", "extra": "Extra",
}  # fmt: skip


def run(slurm: SimulatedSlurm, argv: Sequence[str]) -> str:
    """What the program prints. Raises what ``commands.translate`` makes of its complaint."""
    if argv[0] not in _PROGRAMS:
        raise translate(argv[0], f"{argv[0]}: not simulated")
    accounts = argv[0] in {"sacct", "sacctmgr"}
    if accounts and not slurm.accounting_up:
        raise translate(argv[0], "slurm_persist_conn_open: DBD_OPEN: Connection refused")
    if not accounts and not slurm.up:
        raise translate(argv[0], AWAY)
    return _PROGRAMS[argv[0]](slurm, argv)


def _squeue(slurm: SimulatedSlurm, argv: Sequence[str]) -> str:
    slurm.forget_old()
    wanted = argv[argv.index("-t") + 1]
    states = None if wanted == "all" else set(wanted.split(","))
    names = [w.partition("=")[2].split(",") for w in argv if w.startswith("--name=")]
    jobs = [j for j in slurm.jobs if not names or j.name in names[0]]
    shown = [j for j in jobs if states is None or j.state in states]
    return "".join(squeue_lines(shown, argv[argv.index("-o") + 1]))


def _sinfo(slurm: SimulatedSlurm, _argv: Sequence[str]) -> str:
    """Each job has one CPU of the partition at home."""
    busy = min(slurm.busy, slurm.slots)
    return f"cae|{busy}/{slurm.slots - busy}/0/{slurm.slots}\n{slurm.burst_partition}|0/1/0/1\n"


def _scontrol(slurm: SimulatedSlurm, argv: Sequence[str]) -> str:
    verb, words = argv[1], argv[2:]
    if (verb, words[0]) == ("show", "config"):
        return f"BOOT_TIME               = {1_000_000 + slurm.boots}\n"
    if (verb, words[0]) == ("show", "job"):
        return "\n".join(record_line(job, slurm.jobs) for job in slurm.looked_up(words[-1]))
    if (verb, words[0]) == ("show", "licenses"):
        return licence_lines(slurm.licences, slurm.jobs)
    if verb == "write":
        script = slurm.looked_up(words[1])[0].script
        if script is None:
            raise translate("scontrol", "job script retrieval failed: Job script not specified")
        return script
    flags = [word for word in words if word == "Incomplete"]
    key, *rest = (word for word in words if word != "Incomplete")
    for job in slurm.looked_up(key.removeprefix("jobid=")):
        slurm.split(job)
        _change(slurm, verb, job, flags or rest)
    slurm.note()
    return ""


def _change(slurm: SimulatedSlurm, verb: str, job: SimulatedJob, words: Sequence[str]) -> None:
    if verb == "requeuehold":
        _requeue_held(slurm, job, incomplete="Incomplete" in words)
    elif job.state in OVER:
        raise translate("scontrol", "Job has already completed (slurm_update error)")
    elif verb == "hold":
        job.held = True  # rc 0 and no effect on a job that runs
        job.reason = "JobHeldAdmin" if job.state == "PENDING" else job.reason
    elif verb == "uhold":
        job.held = True
        job.reason = "JobHeldUser" if job.state == "PENDING" else job.reason
    elif verb == "release":
        job.held, job.reason = False, "None"
    else:
        _update(slurm, job, words)


def _requeue_held(slurm: SimulatedSlurm, job: SimulatedJob, *, incomplete: bool) -> None:
    """``_job_requeue_op`` of Slurm's job_mgr.c: what has ended, or is ending, comes back too."""
    if incomplete and job.state != "RUNNING":
        return
    if job.shown["Requeue"] != "1":
        raise translate("scontrol", "Requested operation is presently disabled")
    if job.state == "PENDING":
        raise translate("scontrol", "Job is pending execution")
    if job.state in OVER:
        slurm.begin_again(job, held=True)
    else:
        job.state, job.requeued, job.cancelled = "COMPLETING", True, False
        job.kill_at = None


def _update(slurm: SimulatedSlurm, job: SimulatedJob, words: Sequence[str]) -> None:
    if not slurm.accepts:
        raise translate("scontrol", "slurm_update error: Job rejected by the site's rules")
    for word in words:
        name, _, value = word.partition("=")
        if name == "starttime":
            continue
        if name == "extra" and not slurm.knows_extra:
            raise translate("scontrol", "Update of this parameter is not supported: extra=")
        if job.state != "PENDING" and name != "extra":
            raise translate("scontrol", "Job is no longer pending execution")
        job.shown[_SHOWN[name]] = {"yes": "YES", "no": "NO", "": "(null)"}.get(value, value)


def _scancel(slurm: SimulatedSlurm, argv: Sequence[str]) -> str:
    names = [w.partition("=")[2] for w in argv if w.startswith("--name=")]
    ids = [w for w in argv[1:] if not w.startswith("-")]
    signal = next((w.partition("=")[2] for w in argv if w.startswith("--signal=")), None)
    for job in list(slurm.jobs):
        if (not names or job.name in names) and (not ids or key_text(job) in ids):
            if signal is None:
                slurm.cancel(key_text(job))
            elif job.state == "RUNNING":
                slurm.signals.append((job.name, signal))
    return ""


def _sacctmgr(slurm: SimulatedSlurm, argv: Sequence[str]) -> str:
    found = re.search(r"jobid=(\S+)", " ".join(argv))
    comment = next(w for w in argv if w.startswith("admincomment="))
    slurm.comments[found[1] if found else ""] = comment.partition("=")[2]
    return ""


def _sacct(slurm: SimulatedSlurm, argv: Sequence[str]) -> str:
    bar = next((w[12:] for w in argv if w.startswith("--delimiter=")), "|")
    columns = argv[argv.index("-o") + 1].split(",")
    names = [w.partition("=")[2].split(",") for w in argv if w.startswith("--name=")]
    keys = argv[argv.index("-j") + 1].split(",") if "-j" in argv else None
    return "".join(
        sacct_line(job, columns, bar)
        for job in slurm.accounting.values()
        if (keys is None or key_text(job) in keys)
        and (not names or job.name in names[0])
        and key_text(job) not in slurm.unlisted
        and _in_window(job, argv, slurm.clock.now())
    )


def _in_window(job: SimulatedJob, argv: Sequence[str], now: datetime) -> bool:
    """sacct(1), DEFAULT TIME WINDOW: what ended before ``-S`` is not shown, nor what begins after
    ``-E``, which is the moment by sacct's own clock."""

    def given(option: str, otherwise: datetime) -> datetime:
        if option not in argv:
            return otherwise
        return datetime.fromisoformat(argv[argv.index(option) + 1]).replace(tzinfo=UTC)

    begun = job.started_at or job.submitted_at
    return begun <= given("-E", now) and (job.ended_at or begun) >= given("-S", begun)


_PROGRAMS: Mapping[str, Callable[[SimulatedSlurm, Sequence[str]], str]] = {
    "squeue": _squeue,
    "sinfo": _sinfo,
    "scontrol": _scontrol,
    "scancel": _scancel,
    "sacct": _sacct,
    "sacctmgr": _sacctmgr,
    "sdiag": lambda slurm, _argv: f"DBD Agent queue size: {slurm.unsent}\n",
}
