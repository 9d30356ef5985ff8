"""A work order in sbatch(1)'s words."""

from __future__ import annotations

import math
from datetime import timedelta

from burstd.domain.gres import GPU, GPU_OPTIONS, Per
from burstd.domain.jobs import Shape
from burstd.domain.targets import WorkOrder
from burstd_slurm.settings import SlurmTargetSettings

#: The runner enforces the job's own limit; the margin is for hashing and listing the results.
MARGIN = timedelta(minutes=10)
#: Slurm looks at limits now and then, and lets KillWait pass after one.
OVERHEAD = MARGIN + timedelta(minutes=2)


def arguments(work: WorkOrder, settings: SlurmTargetSettings) -> list[str]:
    """The command line. Held, one at a time by name, never requeued, no variable of ours."""
    shape = work.shape
    minutes = math.ceil((work.time_limit + MARGIN).total_seconds() / 60)
    argv = [
        "sbatch",
        "--parsable",
        "--hold",
        f"--job-name={work.key}",
        "--dependency=singleton",
        "--no-requeue",
        f"--comment={work.key}",
        "--export=NIL",
        f"--chdir={settings.root}/runs/{work.key}",
        f"--output={settings.root}/runs/{work.key}/runner.log",
        "--open-mode=append",
        f"--partition={settings.partition}",
        f"--time={minutes}",
        f"--nodes={shape.nodes}",
        f"--ntasks={shape.tasks}",
        f"--cpus-per-task={shape.cpus_per_task}",
    ]
    if shape.tasks_per_node is not None:
        argv.append(f"--ntasks-per-node={shape.tasks_per_node}")
    if shape.memory_per_node is not None:
        argv.append(f"--mem={shape.memory_per_node}M")
    elif shape.memory_per_cpu is not None:
        argv.append(f"--mem-per-cpu={shape.memory_per_cpu}M")
    elif shape.exclusive:  # on-prem it had the node's memory too, whatever is a job's default there
        argv.append("--mem=0")
    if shape.exclusive:
        argv.append("--exclusive")
    argv += _gpus(shape)
    if settings.account is not None:
        argv.append(f"--account={settings.account}")
    return argv


def _gpus(shape: Shape) -> list[str]:
    """In the words in which the job asks for them."""
    argv = []
    for one in shape.gres:
        if one.name == GPU and one.count is not None:
            kind = f"{one.type}:" if one.type else ""
            argv.append(f"--{GPU_OPTIONS[one.per]}={kind}{one.count}")
            if one.per is Per.SOCKET and shape.sockets_per_node is not None:
                argv.append(f"--sockets-per-node={shape.sockets_per_node}")
    return argv
