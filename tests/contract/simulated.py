"""The simulated cluster, with the hands that the queue's contract asks for."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from burstd.ports.queue import Queue
from burstd.testing.simulators import SimulatedSlurm, SteppedClock, simulated_queue
from burstd.testing.slurm import MIN_JOB_AGE

SHAPES: Mapping[str, Mapping[str, str]] = {
    "-n1": {},
    "-N2 --ntasks-per-node=4": {"NumNodes": "2", "NumTasks": "8", "NtasksPerN:B:S:C": "4:0:*:*"},
    "-N2-4": {"NumNodes": "2-4"},
    "--exclusive --mem=0": {"OverSubscribe": "NO", "MinMemoryNode": "0"},
    "-w n1 -x n2": {"ReqNodeList": "n1", "ExcNodeList": "n2"},
    "--no-requeue": {"Requeue": "0"},
}
#: sbatch's option -> where scontrol shows it.
ASKED: Mapping[str, tuple[str, str]] = {
    "--gres": ("TresPerNode", "gres/{}"),
    "--gpus-per-node": ("TresPerNode", "gres/gpu:{}"),
    "--gpus": ("TresPerJob", "gres/gpu:{}"),
    "--gpus-per-task": ("TresPerTask", "cpu=1,gres/gpu={}"),
    "--gpus-per-socket": ("TresPerSocket", "gres/gpu:{}"),
    "--cpus-per-task": ("TresPerTask", "cpu={}"),
    "--cpus-per-gpu": ("CpusPerTres", "gres/gpu:{}"),
    "--mem-per-gpu": ("MemPerTres", "gres/gpu:{}"),
    "--sockets-per-node": ("Socks/Node", "{}"),
    "--mem": ("MinMemoryNode", "{}"),
    "--mem-per-cpu": ("MinMemoryCPU", "{}"),
}


@dataclass
class SimulatedCluster:
    """``Cluster`` of the contract on a stepped clock."""

    slurm: SimulatedSlurm = field(default_factory=lambda: SimulatedSlurm(SteppedClock()))
    shapes: Mapping[str, frozenset[str]] = field(
        default_factory=lambda: dict.fromkeys([*SHAPES, "--array=1-3"], frozenset())
    )
    burst_partition: str = "burst"
    home_partition: str = "cae"

    @property
    def queue(self) -> Queue:
        return simulated_queue(self.slurm)

    def submit(self, options: str = "", name: str = "job", script: str = "sleep 300") -> str:
        shape = options.removeprefix("-t 60 ")
        fields = dict(SHAPES.get(shape, {}))
        words = shlex.split(options)
        tasks: list[int] = []
        for word in words:
            if word.startswith("--array="):
                for part in word[8:].split(","):
                    first, _, last = part.partition("-")
                    tasks += range(int(first), int(last or first) + 1)
            if found := re.fullmatch(r"-([nN])(\d+)", word):
                count = {"n": ("NumTasks", "NumCPUs"), "N": ("NumNodes", "NumTasks", "NumCPUs")}
                fields |= dict.fromkeys(count[found[1]], found[2])
            option, _, value = word.partition("=")
            if option in ASKED:
                shown, form = ASKED[option]
                fields[shown] = form.format(value)
            if option == "--mem":
                fields["MinMemoryCPU"] = ""
            if word.startswith("--dependency="):
                fields["Dependency"] = word[13:] + "(unfulfilled)"
        minutes = int(words[words.index("-t") + 1]) if "-t" in words else 60
        key = self.slurm.submit(
            name=name, script=f"#!/bin/sh\n{script}\n", minutes=minutes, tasks=tasks, **fields
        )
        if "--hold" in words:
            self.slurm.job(key).held, self.slurm.job(key).reason = True, "JobHeldUser"
        self._settle()
        return key

    def interactive(self) -> str:
        return self.slurm.submit(script=None)

    def heterogeneous(self) -> str | None:
        key = self.slurm.submit()
        self.slurm.job(key).het = True
        return key

    def cancel(self, key: str) -> None:
        self.slurm.cancel(key)

    def shown(self, key: str) -> Mapping[str, str]:
        return {k: v for k, v in self.slurm.job(key).shown.items() if v and k != "Extra"}

    def let_go(self, key: str) -> None:
        self.slurm.unhold(key)

    def make_room(self) -> None:
        self.slurm.slots = 2
        self._settle()

    def wait(self, until: Callable[[], bool], seconds: float) -> bool:
        for _ in range(int(seconds)):
            if until():
                return True
            self._settle()
        return until()

    def controller(self, *, up: bool) -> None:
        self.slurm.up = up
        self.slurm.boots += up

    def forget(self, key: str) -> None:
        self.slurm.clock.forward(seconds=MIN_JOB_AGE.total_seconds() + 1)

    def _settle(self) -> None:
        self.slurm.schedule()
        self.slurm.clock.forward(seconds=1)
