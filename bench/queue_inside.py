"""The part of ``bench.queue`` that runs on the proxy host, as burstd."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from burstd.adapters.clock import SystemClock
from burstd.adapters.slurm.commands import Slurm
from burstd.adapters.slurm.controller import CommandController, Controller
from burstd.adapters.slurm.pyslurm_controller import PyslurmController
from burstd.adapters.slurm.queue import SlurmQueue
from burstd.adapters.slurm.worker import Worker, argv


def cpu_of(pid: int) -> float:
    """Seconds of user and system time of a process. proc(5), stat, fields 14 and 15."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / 100


def peak_mb(pid: int) -> float:
    """The most memory that a process has had. proc(5), status, VmHWM."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main(interpreter: str, turns: int) -> None:
    """Both in turn, so that what slows one down slows the other."""
    slurm = Slurm()
    commands = CommandController(slurm)
    worker = Worker(argv(interpreter))

    def queue(controller: Controller) -> SlurmQueue:
        return SlurmQueue("onprem", "burst", "cae", SystemClock().now, slurm, controller)

    looks: dict[str, Callable[[], int]] = {
        "commands": lambda: len(queue(commands).observe().jobs),
        "pyslurm": lambda: len(queue(PyslurmController(worker, commands)).observe().jobs),
    }
    found: dict[str, dict[str, object]] = {}
    for name, look in looks.items():
        found[name] = {"jobs": look(), "seconds": [], "cpu": 0.0}
    cpu = dict.fromkeys(looks, 0.0)
    seconds: dict[str, list[float]] = {name: [] for name in looks}
    for _ in range(turns):
        for name, look in looks.items():
            children = resource.getrusage(resource.RUSAGE_CHILDREN)
            before = children.ru_utime + children.ru_stime + cpu_of(worker.pid or 0)
            before += time.process_time()
            began = time.monotonic()
            look()
            seconds[name].append(time.monotonic() - began)
            children = resource.getrusage(resource.RUSAGE_CHILDREN)
            after = children.ru_utime + children.ru_stime + cpu_of(worker.pid or 0)
            cpu[name] += after + time.process_time() - before
    squeue = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    for name, peak in {"commands": squeue, "pyslurm": peak_mb(worker.pid or 0)}.items():
        found[name] |= {"seconds": seconds[name], "cpu": cpu[name] / turns, "peak_mb": peak}
    worker.close()
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
