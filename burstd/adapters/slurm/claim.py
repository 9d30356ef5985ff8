"""The stand-in recipe: which fields of a job change to park it on the fat proxy node, and back.

Measured on 38 shapes of ``sbatch`` options on Slurm 22.05.8 and 24.11.5: a proxy node declared
with resources it does not have lets every shape start after this smallest of updates, and the
same few fields put back after a requeue-and-hold give the original record.
"""

from __future__ import annotations

from collections.abc import Mapping

from burstd.domain.jobs import JobRecord

#: ``scontrol update`` name -> the key that ``scontrol show job`` prints it under.
SHOWN: Mapping[str, str] = {
    "partition": "Partition",
    "timelimit": "TimeLimit",
    "requeue": "Requeue",
    "numnodes": "NumNodes",
    "numtasks": "NumTasks",
    "oversubscribe": "OverSubscribe",
    "minmemorynode": "MinMemoryNode",
    "excnodelist": "ExcNodeList",
    "reqnodelist": "ReqNodeList",
    "taskspernode": "NtasksPerN:B:S:C",
}
#: Beside them: the resources that were asked for, as Slurm counts them. Never written back.
ASKED = "asked"


def kept(f: Mapping[str, str]) -> dict[str, str]:
    """The fields to remember before the first change, by ``scontrol update`` name."""
    fields = {name: f[key] for name, key in SHOWN.items() if key in f}
    return {**fields, ASKED: f.get("ReqTRES", f.get("TRES", ""))}


def parking(fields: Mapping[str, str], burst_partition: str) -> list[list[str]]:
    """The updates that let the job start on the proxy node, in order."""
    first = [f"partition={burst_partition}", "timelimit=UNLIMITED", "requeue=1"]
    updates = [first]
    if several_nodes(fields):
        first.append("numnodes=1")
        if (tasks := _tasks_per_node(fields)) is not None:
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
        first.append(f"numnodes={fields['numnodes']}")
        if _tasks_per_node(fields) is not None:
            updates.append([f"numtasks={fields['numtasks']}"])
    if _exclusive(fields):
        updates.append(["oversubscribe=no"])
    if fields.get("minmemorynode") == "0":
        updates.append(["minmemorynode=0"])
    updates += [
        [f"{name}={fields[name]}"] for name in ("excnodelist", "reqnodelist") if _set(fields, name)
    ]
    return updates


def several_nodes(fields: Mapping[str, str]) -> bool:
    """More than one node, or a range of nodes, was asked for.

    Without a range Slurm may show its own estimate (two tasks on nodes of one CPU): a job that
    left as that and came back with it would be bound to it.
    """
    text = fields.get("numnodes", "1")
    if "-" in text:
        return text != "1-1"
    return text != "1" and f"node={text}" in fields.get(ASKED, f"node={text}").split(",")


def _tasks_per_node(fields: Mapping[str, str]) -> str | None:
    text = fields.get("taskspernode", "0").split(":")[0]
    return None if text in {"0", "*"} else text


def _exclusive(fields: Mapping[str, str]) -> bool:
    return fields.get("oversubscribe") in {"NO", "EXCLUSIVE"}


def _set(fields: Mapping[str, str], name: str) -> bool:
    return fields.get(name, "(null)") not in {"(null)", ""}
