"""The lab's clusters, with the hands that the contracts ask for: real Slurm, real users."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

from burstd.adapters.clock import SystemClock
from burstd.adapters.slurm.commands import NOTHING_MORE, Slurm, answer
from burstd.adapters.slurm.controller import CommandController, Controller
from burstd.adapters.slurm.pyslurm_controller import PyslurmController
from burstd.adapters.slurm.queue import SlurmQueue
from burstd.adapters.slurm.worker import Worker
from burstd.ports.queue import Queue
from lab import Host

#: What is the moment's and not the user's.
_PASSING = frozenset(
    {
        "Priority",
        "EligibleTime",
        "AccrueTime",
        "StartTime",
        "EndTime",
        "Deadline",
        "LastSchedEval",
        "Scheduler",
        "Reason",
        "SubmitTime",
        "RunTime",
        "Restarts",
        "JobState",
        "PreemptEligibleTime",
        "PreemptTime",
        "SuspendTime",
        "SecsPreSuspend",
        "AllocNode:Sid",
        "NodeList",
        "BatchHost",
        "AllocTRES",
        "StdErr",
        "StdIn",
        "StdOut",
        "SchedNodeList",
        "ResvTime",
        "Extra",
    }
)
#: Slurm's own estimate of the nodes, shown where no number was asked for.
_ESTIMATE = frozenset({"NumNodes"})
#: Measured: derived figures that stay changed although what was asked for is back.
SHAPES: Mapping[str, frozenset[str]] = {
    "-n1": frozenset(),
    "-n2": _ESTIMATE,
    "-N2": frozenset(),
    "-N1-2 -n2": _ESTIMATE | {"ReqTRES", "TRES"},
    "-N2 --ntasks-per-node=1": frozenset(),
    "-N2 --exclusive": frozenset(),
    "-n1 --exclusive --mem=0": _ESTIMATE,
    "-n1 --mem=1500": frozenset(),
    "-n2 --mem-per-cpu=500": _ESTIMATE,
    "-w n[1-2] -N2": frozenset(),
    "-x n2 -n1": frozenset(),
    "--contiguous -N2": frozenset(),
    "--switches=1 -N2": frozenset(),
    "--nice=100 -n1 --comment=hello --no-requeue": frozenset(),
    "--distribution=block:cyclic -n2": _ESTIMATE,
    "-n1 --oversubscribe": frozenset(),
    "--array=1-3 -n1": frozenset({"JobId"}),
    "--array=1-5%2 -N2 --ntasks-per-node=1": frozenset({"JobId"}),
}
#: 22.05 prints NumNodes=1 for each job that was parked; its TRES is right.
LEGACY_SHAPES = {shape: known | _ESTIMATE for shape, known in SHAPES.items()}


@dataclass(frozen=True)
class BridgedSlurm(Slurm):
    """``adapters.slurm.commands.Slurm`` whose programs run in a host of the lab, as burstd."""

    host: Host | None = None

    def run(self, argv: Sequence[str], environment: Mapping[str, str] = NOTHING_MORE) -> str:
        assert self.host is not None
        variables = {"LC_ALL": "C.UTF-8", "SLURM_TIME_FORMAT": "%s", **environment}
        done = self.host.run(argv, "burstd", env=variables, check=False, timeout=self.deadline)
        return answer(argv[0], done.returncode, done.stdout, done.stderr)


@dataclass
class RealCluster:
    """``Cluster`` of the queue's contract. ``login``: where users and the controller are;
    ``proxy``: where burstd is."""

    login: Host
    proxy: Host
    shapes: Mapping[str, frozenset[str]] = field(default_factory=lambda: SHAPES)
    burst_partition: str = "burst"
    home_partition: str = "cae"
    cluster: str = "onprem"
    blockers: list[str] = field(default_factory=list)
    NODES: ClassVar[tuple[str, ...]] = ("n1", "n2")

    @property
    def queue(self) -> Queue:
        slurm = BridgedSlurm(deadline=20.0, host=self.proxy)
        names = (self.cluster, self.burst_partition, self.home_partition)
        return SlurmQueue(*names, SystemClock().now, slurm, self.controller_by(slurm))

    def controller_by(self, slurm: Slurm) -> Controller:
        return CommandController(slurm)

    # --- before and after a test

    def clear(self) -> None:
        """No job of anybody's is left."""
        users = ["--user=alice", "--user=bob"]
        for user in users:
            self.login.run(["scancel", "--signal=KILL", "--full", user], check=False)
            self.login.run(["scancel", user], check=False)
        assert self.wait(lambda: not self.login.run(["squeue", "-h", "-a"]).stdout, 45)
        self.blockers.clear()

    def fill(self) -> None:
        """Bob's jobs hold all nodes of the home partition."""
        for node in self.NODES:
            argv = ["sbatch", "--parsable", "-w", node, "--exclusive", "-o", "/dev/null"]
            done = self.login.run([*argv, "--wrap", "exec sleep 900"], "bob")
            self.blockers.append(done.stdout.strip())
        argv = ["squeue", "-h", "-t", "R", "-u", "bob"]
        assert self.wait(
            lambda: len(self.login.run(argv).stdout.splitlines()) == len(self.NODES), 20
        )

    # --- the hands

    def submit(self, options: str = "", name: str = "job", script: str = "sleep 300") -> str:
        argv = ["sbatch", "--parsable", f"--job-name={name}", "-o", "/dev/null"]
        text = f"#!/bin/bash\nexec {script}\n" if script.startswith("sleep") else None
        done = self.login.run(
            [*argv, *shlex.split(options)], "alice", input=text or f"#!/bin/bash\n{script}\n"
        )
        return done.stdout.strip()

    def interactive(self) -> str:
        script = "salloc -n1 sleep 100 >/dev/null 2>&1 </dev/null &"
        self.login.run(["sh", "-c", script], "alice")
        asked = ["squeue", "-h", "-o", "%i", "--name=interactive,sleep,sh"]
        assert self.wait(lambda: bool(self.login.run(asked).stdout), 10)
        return self.login.run(asked).stdout.split()[0]

    def heterogeneous(self) -> str | None:
        argv = ["sbatch", "--parsable", "-o", "/dev/null", "-n1", ":", "-n1"]
        done = self.login.run(argv, "alice", input="#!/bin/sh\nsleep 9\n")
        return done.stdout.strip()

    def cancel(self, key: str) -> None:
        # What ends before accounting has heard of it stays there under the name "allocation".
        asked = ["sacct", "-n", "-X", "-P", "-j", key, "-o", "JobName,Partition"]
        assert self.wait(lambda: bool(self.login.run(asked).stdout), 10)
        self.login.run(["scancel", key], "alice")
        argv = ["squeue", "-h", "-j", key, "-t", "PD,R,CG"]
        assert self.wait(lambda: not self.login.run(argv, check=False).stdout, 20)

    def shown(self, key: str) -> Mapping[str, str]:
        text = self.login.run(["scontrol", "show", "job", "-o", key]).stdout.strip()
        pairs = re.finditer(r"(?:^|\s)([A-Za-z:/_-]+)=(.*?)(?=\s[A-Za-z][A-Za-z:/_-]*=|$)", text)
        return {m[1]: m[2] for m in pairs if m[1] not in _PASSING}

    def let_go(self, key: str) -> None:
        self.login.run(["scontrol", "release", key], user="alice")

    def make_room(self) -> None:
        self.login.run(["scancel", *self.blockers])

    def wait(self, until: Callable[[], bool], seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not until():
            if time.monotonic() > end:
                return False
            time.sleep(0.2)
        return True

    def controller(self, *, up: bool) -> None:
        if up:
            time.sleep(max(0.0, 1.1 - time.time() % 1))  # noqa: TID251 - BOOT_TIME has seconds
            self.login.start_service("slurmctld")
        else:
            self.login.stop_service("slurmctld")

    def forget(self, key: str) -> None:
        """As after MinJobAge: a controller that is started without its state knows no job."""
        with self.stopped():
            self.login.sh(
                "rm -f /var/spool/slurmctld/job_state*; "
                f"echo FirstJobId={int(key) + 1} >> /etc/slurm/slurm.conf"
            )
        self.login.sh("sed -i /^FirstJobId/d /etc/slurm/slurm.conf")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        self.login.stop_service("slurmctld")
        yield
        self.login.start_service("slurmctld")


@contextmanager
def without_burstd(proxy: Host) -> Iterator[None]:
    """burstd's daemons rest, and stand-ins are plain jobs: no SPANK plugin on the proxy node."""
    for name in ("burstd", "burst-netd"):
        proxy.end(name)
    plugins = proxy.read("/etc/slurm/plugstack.conf")
    proxy.write("/etc/slurm/plugstack.conf", "")
    try:
        yield
    finally:
        proxy.write("/etc/slurm/plugstack.conf", plugins)


AnyCluster = TypeVar("AnyCluster", bound=RealCluster)
#: Where the hosts see the checkout's worker.
WORKER = "/opt/burstd/src/burstd/adapters/slurm/pyslurm_worker.py"


def worker_in(host: Host, interpreter: str, deadline: float = 20.0) -> Worker:
    """The worker, run in a host of the lab as burstd."""
    return Worker(host.entry([interpreter, "-I", WORKER], "burstd"), deadline)


@dataclass
class PyslurmCluster(RealCluster):
    """The same cluster, asked by pyslurm."""

    worker: Worker = field(kw_only=True)

    def controller_by(self, slurm: Slurm) -> Controller:
        return PyslurmController(self.worker, super().controller_by(slurm))


def full(cluster: AnyCluster) -> Iterator[AnyCluster]:
    """The cluster, with full nodes, for one test."""
    cluster.clear()
    cluster.fill()
    yield cluster
    cluster.clear()
