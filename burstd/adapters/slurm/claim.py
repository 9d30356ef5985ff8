"""The stand-in recipe: which fields of a job change to park it on the fat proxy node, and back.

Measured on Slurm 22.05.8 and 24.11.5 (docs/shapes.md): a proxy node declared with resources it does
not have lets nearly every shape start after this smallest of updates, and the same few fields put
back after a requeue-and-hold give the original record. What would not come back is not begun with.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from burstd.adapters.slurm import records
from burstd.domain.jobs import JobRecord

#: ``scontrol update`` name -> the key that ``scontrol show job`` prints it under.
SHOWN: Mapping[str, str] = {
    "partition": "Partition",
    "timelimit": "TimeLimit",
    "requeue": "Requeue",
    "numnodes": "NumNodes",
    "numtasks": "NumTasks",
    "numcpus": "NumCPUs",
    "oversubscribe": "OverSubscribe",
    "minmemorynode": "MinMemoryNode",
    "minmemorycpu": "MinMemoryCPU",
    "excnodelist": "ExcNodeList",
    "reqnodelist": "ReqNodeList",
    "taskspernode": "NtasksPerN:B:S:C",
}
#: Beside them: the resources that were asked for, as Slurm counts them. Never written back.
ASKED = "asked"
#: Shown as 1K, which no update takes.
_COUNTS = frozenset({"numnodes", "numtasks", "numcpus"})
#: Slurm starts no job sooner than two minutes after its requeue; what waits longer was told to.
_REQUEUED = timedelta(minutes=3)


def obstacle(f: Mapping[str, str], now: datetime) -> str | None:
    """Why a pending job is not to be claimed: its stand-in would not start, or would keep others
    from starting, or the job would not come back as it was."""
    if f.get("Priority") == "0":
        return "is held"
    if f.get("Dependency", "(null)") != "(null)":
        return "waits for another job"
    eligible = f.get("EligibleTime", "")
    late = timedelta() if f.get("Restarts", "0") == "0" else _REQUEUED
    if eligible.isdigit() and records.moment(eligible) - now > late:
        return "is to begin later"
    if "Reservation" in f:
        return "has nodes reserved for it"
    if (whose := f.get("OverSubscribe", "")) in {"USER", "MCS"}:
        # It would keep all others from the proxy node; and this is the one form of sharing that
        # no update can ask for.
        return f"wants nodes that no other {'user' if whose == 'USER' else 'label'} is on"
    if f.get("GresEnforceBind") == "Yes":  # it would get whole sockets, or all of the proxy node
        return "wants CPUs that are bound to GPUs"
    if f.get("CoreSpec", "*") != "*" or "ThreadSpec" in f:  # all of the proxy node
        return "leaves cores to the system"
    if f.get("NtasksPerTRES", "0") != "0":  # 24.11 counts its tasks anew, wrongly, at any update
        return "counts its tasks by GPUs"
    return None


def kept(f: Mapping[str, str]) -> dict[str, str]:
    """The fields to remember before the first change, by ``scontrol update`` name."""
    fields = {name: f[key] for name, key in SHOWN.items() if key in f}
    for name in _COUNTS & fields.keys():
        fields[name] = "-".join(_plain(part) for part in fields[name].split("-"))
    return {**fields, ASKED: f.get("ReqTRES", f.get("TRES", ""))}


def _plain(number: str) -> str:
    return str(records.count(number)) if number[:1].isdigit() else number


def parking(fields: Mapping[str, str], burst_partition: str) -> list[list[str]]:
    """The updates that let the job start on the proxy node, in order."""
    first = [f"partition={burst_partition}", "timelimit=UNLIMITED", "requeue=1"]
    updates = [first]
    if several_nodes(fields):
        first.append("numnodes=1")
    if (tasks := _fewer_tasks(fields)) is not None:
        updates.append([f"numtasks={tasks}"])  # 22.05 needs it, 24.11 does not mind
    if _exclusive(fields):
        updates.append(["oversubscribe=yes"])
    if fields.get("minmemorynode") == "0":
        updates.append(["minmemorynode=1"])
    updates += [[f"{name}="] for name in ("excnodelist", "reqnodelist") if _set(fields, name)]
    return updates


def undoing(record: JobRecord) -> list[list[str]]:
    """The updates that put back what ``parking`` changed, in order."""
    fields = record.fields
    first = [f"{name}={fields[name]}" for name in ("partition", "timelimit", "requeue")]
    updates = [first]
    if several_nodes(fields):
        first.append(f"numnodes={_nodes(fields)}")
    if _fewer_tasks(fields) is not None:
        updates.append([f"numtasks={fields['numtasks']}"])
    if _exclusive(fields):
        updates.append(["oversubscribe=no"])
    if fields.get("minmemorynode") == "0":
        updates.append(["minmemorynode=0"])
    updates += [
        [f"{name}={fields[name]}"] for name in ("excnodelist", "reqnodelist") if _set(fields, name)
    ]
    return updates


def mending(record: JobRecord, now: Mapping[str, str]) -> list[list[str]]:
    """The updates that put right what Slurm derived from the ``undoing``; ``now``: what is kept of
    the job after it."""
    was = record.fields
    bounded = "-" in now.get("numnodes", "") and "-" not in was["numnodes"]
    if several_nodes(was) and bounded:  # a number alone binds the job to it
        counts = [f"{name}={was[name]}" for name in ("numtasks", "numcpus") if name in was]
        return [[f"numnodes={_nodes(was)}-0", *counts]]
    if "numcpus" in was and was["numcpus"] != now.get("numcpus"):
        memory = records.mebibytes(was.get("minmemorycpu", ""))
        again = [] if memory is None else [f"minmemorycpu={memory}"]  # its sum is made anew
        return [[f"numcpus={was['numcpus']}", *again]]
    return []


def several_nodes(fields: Mapping[str, str]) -> bool:
    """More than one node, or a range of nodes, was asked for.

    Without a range Slurm may show its own estimate (two tasks on nodes of one CPU), and 22.05 shows
    how many nodes the job had in its last life: a job that left as that and came back with it would
    be bound to it.
    """
    text = fields.get("numnodes", "1")
    return text != "1-1" if "-" in text else _least(fields) != "1"


def _least(fields: Mapping[str, str]) -> str:
    """The number of nodes, at least, that was asked for: none of ``numnodes`` shows it for sure.
    While a job waits its range may be shown as an estimate (8-8 of 2-8)."""
    asked = fields.get(ASKED, "").split(",")
    nodes = (part.removeprefix("node=") for part in asked if part.startswith("node="))
    return next(nodes, fields.get("numnodes", "1").split("-")[0])


def _nodes(fields: Mapping[str, str]) -> str:
    _, dash, most = fields["numnodes"].partition("-")
    return f"{_least(fields)}{dash}{most}"


def _fewer_tasks(fields: Mapping[str, str]) -> str | None:
    """The tasks of one node, if so many were asked for by node and the job has more."""
    per_node = fields.get("taskspernode", "0").split(":")[0]
    more = several_nodes(fields) or fields.get("numtasks") != per_node
    return per_node if more and per_node not in {"0", "*"} and "numtasks" in fields else None


def _exclusive(fields: Mapping[str, str]) -> bool:
    return fields.get("oversubscribe") in {"NO", "EXCLUSIVE"}


def _set(fields: Mapping[str, str], name: str) -> bool:
    return fields.get(name, "(null)") not in {"(null)", ""}
