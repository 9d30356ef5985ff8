"""burstd on the lab: installed once, started anew for each test that wants it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from demo import install
from demo.decks import Mesh, deck
from lab.host import Host
from lab.lab import Lab
from lab.oracle import gather, judge

PATIENCE = 90.0  #: seconds; only a failing test waits that long


@dataclass
class Site:
    """The running lab with burstd on its proxy host, as a test sees it."""

    lab: Lab
    ids: list[str] = field(default_factory=list)
    since: float = field(default_factory=time.time)  # noqa: TID251 - sacct is asked with it
    judged: bool = False

    @property
    def ctl(self) -> Host:
        return self.lab.host("ctl")

    @property
    def px(self) -> Host:
        return self.lab.host("px")

    def start(self, **settings: str) -> None:
        """burst-netd and burstd with a configuration of this test's."""
        install.install(self.lab, **settings)
        install.start_netd(self.lab)
        install.start_burstd(self.lab)

    def stop(self) -> None:
        install.stop(self.lab)

    def fill(self) -> None:
        """Both compute nodes are taken by a job that does nothing."""
        self.submit("fill", "sleep 600", options=("-N2", "-t", "20"))
        self.until(lambda: self.state(self.ids[-1]) == "RUNNING", "the cluster is full")

    def study(self, name: str, increments: int = 4, missing: bool = False) -> str:
        """A directory of alice's with a deck and its mesh; returns the directory."""
        home = f"/home/alice/{name}"
        mesh = "../mesh/none.inp" if missing else "../mesh/mesh.inp"
        self.write("/home/alice/mesh/mesh.inp", Mesh(3).text())
        self.write(f"{home}/beam.inp", deck(mesh, increments, 0.3))
        return home

    def write(self, path: str, text: str) -> None:
        script = 'mkdir -p "${1%/*}" && cat > "$1"'
        self.ctl.run(["sh", "-c", script, "sh", path], user="alice", input=text)

    def submit(
        self,
        name: str,
        body: str,
        *,
        options: tuple[str, ...] = (),
        directory: str = "/home/alice",
        user: str = "alice",
    ) -> str:
        """``sbatch`` of a bash script; its output goes to NAME.out."""
        argv = ["sbatch", "--parsable", "-J", name, "-o", f"{name}.out", "-t", "60", *options]
        script = f"#!/bin/bash\n{body}\n"
        done = self.ctl.run(argv, user=user, cwd=directory, input=script)
        self.ids.append(done.stdout.strip())
        return self.ids[-1]

    def state(self, job: str) -> str:
        """squeue's state while it is there, then sacct's."""
        out = self.ctl.run(["squeue", "-h", "-j", job, "-o", "%T"], check=False).stdout.split()
        if out:
            return out[0]
        argv = ["sacct", "-n", "-X", "-P", "-j", job, "-o", "State"]
        return (self.ctl.run(argv).stdout.split() or [""])[0]

    def stage(self, job: str) -> str:
        """The stage of the job's burst; empty without one."""
        out = self.px.run(["burst", "show", job, "--json"], user="alice", check=False).stdout
        return str(json.loads(out)["burst"]["stage"]) if out else ""

    def show(self, job: str) -> str:
        """The whole record, without what time alone changes."""
        text = self.ctl.run(["scontrol", "show", "job", job]).stdout
        moving = "RunTime LastSchedEval StartTime EndTime Scheduler AccrueTime SchedNodeList"
        return " ".join(w for w in text.split() if w.split("=")[0] not in moving.split())

    def why(self, job: str, user: str = "alice") -> str:
        return self.px.run(["burst", "why", job], user=user, check=False).stdout

    def judge(self, database: str = "") -> None:
        """The oracle's safety invariants, of all that this test let happen."""
        self.judged = True
        found = judge(
            gather(self.lab, self.since, named=self.ids, database=database), settled=False
        )
        assert [] == [str(finding) for finding in found]

    def until(self, holds: Callable[[], object], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > end:
                log = (self.lab.paths.base / "burstd.log").read_text(errors="replace")[-4000:]
                pytest.fail(f"not within {PATIENCE:g} s: {what}\n{log}")
            time.sleep(0.3)


@pytest.fixture(scope="session")
def _lab() -> Lab:
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    return Lab.here()


@pytest.fixture
def site(_lab: Lab) -> Iterator[Site]:
    """A quiet lab: no job, no burst of an earlier test."""
    _lab.up()
    found = Site(_lab)
    found.stop()
    found.px.sh("rm -rf /var/lib/burstd/*")
    _forget_there(_lab)  # a campaign's burstd may have left its mark
    _lab.wan.set()
    yield found
    try:
        if not found.judged:
            found.judge()
    finally:
        _clear(found)


def _clear(found: Site) -> None:
    found.ctl.sh("scancel -u alice; scancel -u bob; true")
    try:
        found.until(lambda: not found.ctl.sh("squeue -h"), "the queue is empty")
    finally:
        found.stop()
        found.lab.host("cctl").sh("scancel -u cae01; scancel -u cae02; true")
        found.ctl.sh("rm -rf /home/alice/* /home/bob/*")
        _forget_there(found.lab)


def _forget_there(lab: Lab) -> None:
    lab.host("login").sh("rm -rf /scratch/burst/runs/* /scratch/burst/sites")
