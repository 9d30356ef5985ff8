"""Generic resources, as jobs ask for them (Slurm's gres)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

GPU = "gpu"
#: gres/gpu:a100:2 (scontrol), gres/gpu=1 (by task), gres:gpu:2 (22.05), gpu:2 (sbatch): sbatch(1),
#: --gres: name[[:type]:count]; the count may have a suffix (in powers of 1024). A type may begin
#: with a digit (2080ti, MIG's 1g.5gb) where a count follows: alone it is the count.
_WORD = re.compile(
    r"(?:gres[/:])?([A-Za-z]\w*)(?::([A-Za-z][\w.-]*|\w[\w.-]*(?=[:=])))?(?:[:=](\d+)([kmgtKMGT]?))?$"
)
_SCALE = "kmgt"


class Per(Enum):
    """What each of so many is for."""

    NODE = "node"
    JOB = "job"
    TASK = "task"
    SOCKET = "socket"


#: sbatch(1): the options that ask for GPUs.
GPU_OPTIONS: Mapping[Per, str] = {
    Per.NODE: "gpus-per-node", Per.JOB: "gpus", Per.TASK: "gpus-per-task",
    Per.SOCKET: "gpus-per-socket",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Gres:
    """So many of one resource for each node, task or socket, or for the whole job. ``type``: the
    kind of it; empty: any. ``count``: ``None`` where its words can't be read."""

    name: str
    count: int | None = 1
    per: Per = Per.NODE
    type: str = ""

    @classmethod
    def parse(cls, word: str, per: Per = Per.NODE) -> Gres:
        """One of Slurm's words; of one that can't be read nothing but itself is known."""
        found = _WORD.match(word)
        if found is None:
            return cls(word, None, per)
        name, kind, count, suffix = found.groups()
        scale = 1024 ** (1 + _SCALE.index(suffix.lower())) if suffix else 1
        return cls(name, int(count or 1) * scale, per, kind or "")

    def __str__(self) -> str:
        if self.count is None:
            return self.name
        kind = f":{self.type}" if self.type else ""
        return f"{self.name}{kind}:{self.count} by {self.per.value}"
