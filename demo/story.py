"""The story, from a full queue to the last file home."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from demo import install
from demo.people import Alice
from demo.reference import reference
from demo.study import Study
from demo.verdict import Evidence
from lab.lab import Lab

Tell = Callable[[str, float], None]
LONGEST = 240.0  #: seconds until the last job must be over


class TooSlow(Exception):
    """A stage of the story did not come."""


@dataclass
class Story:
    """One run. ``tell(text, done)`` shows progress, ``done`` from 0 to 1."""

    lab: Lab
    build: Path
    tell: Tell

    def play(self) -> Evidence:
        """Returns what the judge needs. Raises ``TooSlow``."""
        study = Study()
        self.tell("installing burstd on the proxy host", 0.02)
        self._rest()
        install.install(self.lab)
        self.tell("the reference: the same study, all of it on-prem", 0.05)
        wanted = reference(self.lab, study, self.build)
        alice = Alice(self.lab)
        alice.unpack(study.jobs)
        self.lab.wan.set()
        with self.lab.wan.capture(self.build / "wan.pcap") as capture:
            evidence = Evidence(self.lab, study, alice, wanted, capture)
            self._submit(evidence)
            self._watch(evidence)
        return evidence

    def _rest(self) -> None:
        """End what an earlier, perhaps interrupted, run left running."""
        px, ctl, cctl = (self.lab.host(name) for name in ("px", "ctl", "cctl"))
        install.stop(self.lab)
        for site in (ctl, cctl):
            site.sh("squeue -h -o %A | xargs -r scancel")
        self._until("earlier jobs end", lambda: not ctl.sh("squeue -h") + cctl.sh("squeue -h"), 60)
        px.sh("rm -rf /var/lib/burstd/*")
        login = self.lab.host("login")
        login.sh("rm -rf /scratch/burst/runs/* /scratch/burst/sites")
        # A gate that still knows a session of an interrupted run would knock at a closed port.
        login.restart_service("wireguard")

    def _submit(self, e: Evidence) -> None:
        self.tell("Alice fills the cluster", 0.3)
        for job in e.study.jobs:
            if job.early:
                e.alice.submit(job)
        self.tell("burstd starts", 0.33)
        install.start_netd(self.lab)
        install.start_burstd(self.lab)
        for job in e.study.jobs:
            if not job.early:
                e.alice.submit(job)

    def _watch(self, e: Evidence) -> None:
        end = time.monotonic() + LONGEST
        total = sum(len(e.keys(job)) for job in e.study.jobs)
        cancelled = False
        while queue := e.alice.queue():
            if time.monotonic() > end:
                raise TooSlow(f"still in the queue after {LONGEST:g} s: {queue}")
            away = sum(value.startswith("burst") for value in queue.values())
            self.tell(
                f"{total - len(queue)} of {total} jobs over, {away} away",
                0.35 + 0.55 * (total - len(queue)) / total,
            )
            if not cancelled and self._seen_live(e):
                e.alice.cancel("long")
                cancelled = True
            time.sleep(1)
        self.tell("the last bursts settle, the link goes down", 0.92)
        self._until("the link goes down", lambda: self._settled(e), 60)

    def _seen_live(self, e: Evidence) -> bool:
        """A line of the solver's, read on-prem while the cloud says that its job runs."""
        burst = self._burst(e, "long")
        state = self.lab.host("cctl").sh(f"squeue -h -n {burst} -o %T").strip() if burst else ""
        if state != "RUNNING":
            return False
        rows = [line.split() for line in e.alice.tail("long/long.sta").splitlines()]
        # Any but the first two: one look may come before the third, the next long after it.
        steps = [row for row in rows[1:] if row[1:2] and row[1].isdigit() and int(row[1]) > 2]
        printed = "increment" in e.alice.tail("long/long.out")
        still = self.lab.host("cctl").sh(f"squeue -h -n {burst} -o %T").strip()
        if not (steps and printed and still == "RUNNING"):
            return False
        e.live.append(f"long.sta: {' '.join(steps[0])}, and the solver's output")
        return True

    def _burst(self, e: Evidence, name: str) -> str:
        """The name of a job's twin at the cloud, by burstd's word: only to know where to look."""
        import json

        argv = ["burst", "show", e.alice.ids[name], "--json"]
        out = self.lab.host("px").run(argv, user="alice", check=False).stdout
        return f"b-{json.loads(out)['burst']['id']}" if out else ""

    def _settled(self, e: Evidence) -> bool:
        px, cctl = self.lab.host("px"), self.lab.host("cctl")
        if px.run(["ip", "link", "show", "burst0"], check=False).returncode == 0:
            return False
        twin = self._burst(e, "long")
        argv = ["sacct", "-n", "-X", "-P", "-a", "-S", "now-1hour", f"--name={twin}", "-o", "State"]
        state = cctl.run(argv).stdout.strip()
        left = [
            self.lab.host(name).sh("pgrep -u cae01 -a ccx || true").strip() for name in ("c1", "c2")
        ]
        if state.startswith("CANCELLED") and not any(left):
            e.twin_gone = f"the cloud's sacct says {state}, no solver is left on its nodes"
        return bool(e.twin_gone)

    def _until(self, what: str, holds: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end:
                raise TooSlow(f"{what}: not within {seconds:g} s")
            time.sleep(0.5)
