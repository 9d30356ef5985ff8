"""pyslurm in a process of its own: a program, ``PYTHON -I pyslurm_worker.py [--check]``.

pyslurm keeps the interpreter to itself through every call, its library may hang, crash or end the
process, and its licence is GPL-2.0-only: so nothing of burstd is imported here, and this is
imported nowhere. Requests and answers are lines of JSON on standard input and output; the end of
the input is the end of the program.

    {"do": "script", "job": 12}   ->  {"done": "#!/bin/sh ..."}
                                      {"refused": "Invalid job id specified"}    Slurm's own words
                                      {"cannot": "..."}      pyslurm has no way to say this
                                      {"failed": "..."}      no answer that tells of the job
"""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

#: What ``slurm_api_version`` of a release's library says (API_CURRENT in Slurm's META).
LIBRARIES = {40: "23.11", 41: "24.05", 42: "24.11", 43: "25.05", 44: "25.11"}
NO_SUCH_JOB = "Invalid job id specified"
UNREADABLE = "\N{REPLACEMENT CHARACTER}"


class Misfit(Exception):
    """pyslurm, Slurm's library and slurmctld are not of one release."""


class Cannot(Exception):
    """pyslurm has no way to say this."""


class Refused(Exception):
    """Slurm's answer, in its own words."""


class Slurmctld:
    """The verbs. ``pyslurm``: the module."""

    def __init__(self, pyslurm: Any) -> None:
        self.pyslurm = pyslurm
        self._fits = False
        self._own: dict[tuple[int, int], int] = {}  # array elements as last seen

    def answer(self, request: Mapping[str, Any]) -> object:
        """What one request asks for."""
        verbs: Mapping[str, Callable[..., object]] = {
            "queue": self.queue,
            "boot": self.boot,
            "show": self.show,
            "script": self.script,
            "hold": lambda job, task: self._plain(job, task).hold(),
            "release": lambda job, task: self._plain(job, task).release(),
            "cancel": lambda job, task: self._plain(job, task).cancel(),
            "update": self.update,
        }
        arguments = {name: value for name, value in request.items() if name != "do"}
        if not self._fits:
            self.boot()
        return verbs[request["do"]](**arguments)

    def boot(self) -> str:
        """slurmctld's start; proves at the same time that it still is of our release."""
        config = self.pyslurm.slurmctld.Config.load()
        fit(self.pyslurm.__version__, library(), config.version)
        self._fits = True
        return str(config.slurmctld_boot_time)

    def queue(self, columns: Sequence[str], over: Sequence[str]) -> list[list[str]]:
        """All jobs whose state is none of ``over``, each as these ``columns`` of squeue(1)."""
        rows = []
        self._own.clear()
        for job in self.pyslurm.Jobs.load().values():
            self._note(job)
            if job.state not in over:
                cells = queue_cells(job)
                rows.append([cells[column] for column in columns])
        return rows

    def show(self, job: int, task: int | None) -> dict[str, object]:
        """The name and the fields of one job's record."""
        found = self.pyslurm.Job.load(job) if task is None else self._element(job, task)
        extra = text(found, "extra")
        return {"name": text(found, "name"), "fields": record_fields(found), "extra": extra}

    def script(self, job: int, task: int | None) -> str:
        """The batch script."""
        own = job if task is None else self._element(job, task).id
        return str(self.pyslurm.Job(own).get_batch_script() or "")

    def update(self, job: int, task: int | None, pairs: Sequence[str]) -> None:
        """Change fields, ``name=value`` as scontrol(1) names them."""
        found = self._plain(job, task)
        description = self.pyslurm.JobSubmitDescription()
        for pair in pairs:
            name, _, value = pair.partition("=")
            if name not in SAYINGS or (value in {"", "0"} and name != "requeue"):
                raise Cannot(f"update {pair}")  # to pyslurm nothing and 0 mean "as it is"
            attribute, convert = SAYINGS[name]
            setattr(description, attribute, convert(value))
        found.modify(description)

    def _plain(self, job: int, task: int | None) -> Any:
        if task is not None:  # one of a waiting array may not have an id of its own yet
            raise Cannot("change an element of an array")
        return self.pyslurm.Job(job)

    def _element(self, job: int, task: int) -> Any:
        """An element of an array, or the array while the element is still part of it."""
        for own in dict.fromkeys((self._own.get((job, task), job), job)):
            try:
                found = self.pyslurm.Job.load(own)
            except self.pyslurm.RPCError as error:
                if str(error) != NO_SUCH_JOB:
                    raise
                continue
            if is_element(found, job, task):
                return found
        inside = None
        for found in self.pyslurm.Jobs.load().values():
            self._note(found)
            if is_element(found, job, task):
                return found
            if found.array_id == job and task in tasks(found.array_tasks_waiting or ""):
                inside = found
        if inside is None:
            raise Refused(NO_SUCH_JOB)
        return inside

    def _note(self, job: Any) -> None:
        if job.array_id and job.array_task_id is not None:
            self._own[job.array_id, job.array_task_id] = job.id


#: ``scontrol update`` name -> what pyslurm calls it, and how it wants the value.
SAYINGS: Mapping[str, tuple[str, Callable[[str], object]]] = {
    "partition": ("partitions", lambda value: [value]),
    "timelimit": ("time_limit", str),
    "requeue": ("is_requeueable", lambda value: value == "1"),
    "numtasks": ("ntasks", int),
    "oversubscribe": ("resource_sharing", str),
    "minmemorynode": ("memory_per_node", str),
    "starttime": ("begin_time", str),
    "extra": ("extra", str),
}


def is_element(job: Any, array: int, task: int) -> bool:
    """The record is that of this one element."""
    return bool(job.array_id == array and job.array_task_id == task)


def tasks(waiting: str) -> set[int]:
    """Array task ids of ``0-5,9%2`` or ``0-10:2``."""
    found: set[int] = set()
    for part in filter(None, waiting.partition("%")[0].split(",")):
        ids, _, step = part.partition(":")
        first, _, last = ids.partition("-")
        found.update(range(int(first), int(last or first) + 1, int(step or 1)))
    return found


def queue_cells(job: Any) -> dict[str, str]:
    """What squeue(1) prints under each letter of ``-o``."""
    waiting = job.array_tasks_waiting
    if waiting and "%" not in waiting and job.array_tasks_parallel:
        waiting = f"{waiting}%{job.array_tasks_parallel}"
    element = job.array_task_id
    group = waiting or ("" if element is None else str(element))
    het = f"{job.heterogeneous_id}+{job.heterogeneous_offset}" if job.heterogeneous_id else ""
    return {
        "i": het or (f"{job.array_id}_[{waiting}]" if waiting else str(job.id)),
        "F": str(job.array_id or job.id),
        "K": group,
        "T": job.state,
        "r": reason(job),
        "P": job.partition or "",
        "a": job.account or "",
        "q": job.qos or "",
        "u": user(job.user_id),
        "C": str(job.cpus),
        "D": str(job.num_nodes or 1),
        "l": "UNLIMITED" if job.time_limit is None else str(job.time_limit),
        "V": str(job.submit_time),
        "S": str(job.start_time or "N/A"),
        "Q": str(job.priority),
        "b": ",".join(f"gres/{name}:{count}" for name, count in job.gres_per_node.items()),
        "W": ",".join(job.licenses),
        "E": dependency(job.dependencies),
        "M": f"0:{job.run_time}",  # minutes and seconds, however many
        "N": job.allocated_nodes or "",
        "k": text(job, "comment"),
        "Z": text(job, "working_directory"),
        "j": text(job, "name"),
    }


def record_fields(job: Any) -> dict[str, str]:
    """What ``scontrol show job`` prints, under its names: those fields that burstd reads."""
    fields = {
        "JobId": str(job.id),
        "UserId": f"{user(job.user_id)}({job.user_id})",
        "Priority": str(job.priority),
        "JobState": job.state,
        "Reason": reason(job).replace(" ", "_"),
        "Requeue": str(int(bool(job.is_requeueable))),
        "Restarts": str(job.requeue_count),
        "BatchFlag": str(int(bool(job.is_batch_job))),
        "ExitCode": f"{job.exit_code or 0}:{job.exit_code_signal or 0}",
        "TimeLimit": time_limit(job.time_limit),
        "SubmitTime": str(job.submit_time),
        "EndTime": str(job.end_time or "Unknown"),
        "Partition": job.partition or "",
        "ReqNodeList": job.required_nodes or "(null)",
        "ExcNodeList": job.excluded_nodes or "(null)",
        "NodeList": job.allocated_nodes or "",
        "NumNodes": node_range(job),
        "NumCPUs": str(job.cpus),
        "NumTasks": str(job.ntasks),
        "CPUs/Task": str(job.cpus_per_task or "N/A"),
        "NtasksPerN:B:S:C": tasks_per(job),
        "OverSubscribe": job.resource_sharing,
        "ReqTRES": requested(job.requested_tres),
        "Dependency": dependency(job.dependencies) or "(null)",
        "EligibleTime": str(job.eligible_time or "Unknown"),
        "NtasksPerTRES": str(job.ntasks_per_gpu or 0),
        "GresEnforceBind": "Yes" if job.gres_binding == "enforce-binding" else "No",
    }
    if job.reservation:
        fields["Reservation"] = job.reservation
    if job.cores_reserved_for_system is not None:
        fields["CoreSpec"] = str(job.cores_reserved_for_system)
    if job.threads_reserved_for_system is not None:
        fields["ThreadSpec"] = str(job.threads_reserved_for_system)
    if job.memory_per_cpu is not None:
        fields["MinMemoryCPU"] = mebibytes(job.memory_per_cpu)
    else:
        fields["MinMemoryNode"] = mebibytes(job.memory_per_node or 0)
    if job.array_id:
        fields["ArrayJobId"] = str(job.array_id)
        fields["ArrayTaskId"] = job.array_tasks_waiting or str(job.array_task_id)
    if job.heterogeneous_id:
        fields["HetJobId"] = str(job.heterogeneous_id)
    return fields


def text(job: Any, attribute: str) -> str:
    """What a user wrote freely. pyslurm can't give what is not UTF-8."""
    try:
        return getattr(job, attribute) or ""
    except UnicodeDecodeError:
        return UNREADABLE


def reason(job: Any) -> str:
    return job.state_reason or "None"


@lru_cache(maxsize=10_000)
def user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def dependency(parts: Mapping[str, Any] | None) -> str:
    """The expression that pyslurm took apart. One without any known kind is still one: pyslurm
    loses ``singleton``, which names no job."""
    if parts is None:
        return ""
    kinds = [
        f"{kind}:{':'.join(str(job) for job in jobs)}"
        for kind, jobs in parts.items()
        if isinstance(jobs, list) and jobs
    ]
    return ("?" if parts["satisfy"] == "any" else ",").join(kinds) or "singleton(unfulfilled)"


def time_limit(minutes: int | None) -> str:
    """``[D-]HH:MM:SS`` as scontrol(1) prints it."""
    if minutes is None:
        return "UNLIMITED"
    days, rest = divmod(minutes, 24 * 60)
    clock = f"{rest // 60:02}:{rest % 60:02}:00"
    return f"{days}-{clock}" if days else clock


def node_range(job: Any) -> str:
    least, most = job.num_nodes or 1, job.max_nodes
    if job.state != "PENDING" or not most:
        return str(least)
    return f"{min(least, most)}-{most}"


def tasks_per(job: Any) -> str:
    """Tasks per node, board, socket and core; ``*`` where there is no bound."""
    inner = (job.ntasks_per_socket, job.ntasks_per_core)
    bounds = [str(count) if isinstance(count, int) else "*" for count in inner]
    return ":".join([str(job.ntasks_per_node or 0), str(job.ntasks_per_board or 0), *bounds])


def mebibytes(count: int) -> str:
    """``500M``, ``2G``; ``0`` is all of the node."""
    units = ["M", "G", "T", "P"]
    while count >= 1024 and count % 1024 == 0 and len(units) > 1:
        count //= 1024
        units.pop(0)
    return f"{count}{units[0]}" if count else "0"


def requested(tres: Any) -> str:
    """The countable part of ``ReqTRES``."""
    kinds = ("cpu", "node", "billing")
    counts = {kind: getattr(tres, kind, None) for kind in kinds}
    return ",".join(f"{kind}={one.count}" for kind, one in counts.items() if one is not None)


def library() -> str:
    """The release of the Slurm library that pyslurm has loaded; empty for one not known here."""
    version = ctypes.CDLL(None).slurm_api_version
    version.restype = ctypes.c_long
    return LIBRARIES.get(version() >> 16, "")


def release(version: str) -> str:
    """``24.11`` of ``24.11.5``."""
    return ".".join(version.split("+")[0].split(".")[:2])


def fit(pyslurm: str, loaded: str, controller: str | None = None) -> None:
    """Raise ``Misfit`` unless these are of one release of Slurm: they share memory layouts."""
    wanted = release(pyslurm)
    if loaded and loaded != wanted:
        raise Misfit(f"pyslurm {pyslurm} is for Slurm {wanted}, the Slurm library here is {loaded}")
    if controller is not None and release(controller) != wanted:
        raise Misfit(f"pyslurm {pyslurm} is for Slurm {wanted}, slurmctld here is {controller}")


def answered(slurmctld: Slurmctld, line: bytes) -> dict[str, object]:
    """The answer to one line."""
    try:
        return {"done": slurmctld.answer(json.loads(line))}
    except Cannot as error:
        return {"cannot": str(error)}
    except Refused as error:
        return {"refused": str(error)}
    except Misfit as error:
        return {"failed": str(error)}
    except slurmctld.pyslurm.RPCError as error:
        if error.errno in {0, None}:
            return {"failed": f"a call failed without a reason ({error})"}
        return {"refused": str(error)}
    except Exception as error:  # noqa: BLE001 - another pyslurm than we know: burstd decides
        return {"failed": f"{type(error).__name__}: {error}"}


def main() -> int:
    """Serve until the input ends; with ``--check`` only see whether pyslurm can be used."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # pyslurm and its library print now and then
    check = sys.argv[1:] == ["--check"]
    if check:
        os.environ["PYSLURM_DISABLE_AUTO_INIT"] = "1"  # slurm.conf may not be here yet
    try:
        import pyslurm

        fit(pyslurm.__version__, library())
    except (ImportError, Misfit) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if check:
        return 0
    slurmctld = Slurmctld(pyslurm)
    for line in sys.stdin.buffer:
        answers.write(json.dumps(answered(slurmctld, line)).encode() + b"\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
