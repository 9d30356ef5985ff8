"""One run of the campaign: a quiet lab, jobs, burstd with or without a doom, and the verdict."""

from __future__ import annotations

import contextlib
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from burstd.far.depot import SILENCE
from burstd.testing.points import Point
from demo import install
from lab.host import Host, Spawned
from lab.lab import Lab
from lab.oracle import Errand, Evidence, Finding, Notary, gather, judge
from lab.oracle.gather import RUNS, ledger
from lab.pylib import PYTHONPATH
from tests.fault.errands import Job

CONFIG = "/etc/burstd/config.toml"
TRACE = "/tmp/burstd-trace"
SAVED = 6.0  #: seconds; SAVE_MAX_WAIT is 5
PATIENCE = 240.0  #: seconds until a run without further faults must be over


class Stuck(Exception):
    """Something that had to come did not."""


@dataclass
class Rig:
    """One run. `finals`, `lines` and the like come from the jobs that were given."""

    lab: Lab
    since: float = 0.0
    errands: list[Errand] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    deaths: int = 0
    unreached: list[Point] = field(default_factory=list)
    patience: float = PATIENCE
    freezes: bool = False  #: burstd stops at its point instead of dying there
    earlier: frozenset[str] = frozenset()  #: twins of other runs: a clock may have been ahead
    clock: str = ""  #: file with the seconds by which burstd's clock is set ahead
    _daemon: Spawned | None = None
    _doom: list[Point] = field(default_factory=list)
    _notary: Notary | None = None

    @property
    def ctl(self) -> Host:
        return self.lab.host("ctl")

    @property
    def px(self) -> Host:
        return self.lab.host("px")

    @property
    def cctl(self) -> Host:
        return self.lab.host("cctl")

    @property
    def notary(self) -> Notary:
        if self._notary is None:
            self._notary = Notary(self.lab)
        return self._notary

    # --- before

    def _twins(self) -> frozenset[str]:
        """The far jobs that accounting knows by now, also of a clock that was ahead."""
        argv = [
            "sacct",
            "-n",
            "-X",
            "-P",
            "-a",
            "-S",
            "now-1day",
            "-E",
            "now+1day",
            "-o",
            "JobName",
        ]
        return frozenset(name for name in self.cctl.run(argv).stdout.split() if name[:2] == "b-")

    def clear(self) -> None:
        """Nothing of an earlier run: no job, burst, file, link or weather."""
        self.lab.wan.set()
        install.stop(self.lab)
        for site in (self.ctl, self.cctl):
            site.sh("squeue -h -o %A | sort -u | xargs -r scancel")
        quiet = "squeue -h"
        self.until(lambda: not self.ctl.sh(quiet) + self.cctl.sh(quiet), "earlier jobs end", 90)
        self.px.sh(f"rm -rf /var/lib/burstd/* {TRACE} /tmp/burst-agent-*; ip link del burst0; true")
        self.ctl.sh("rm -rf /home/alice/* /home/bob/*")
        login = self.lab.host("login")
        login.sh(f"rm -rf {RUNS}/* /scratch/burst/sites; rm -f /scratch/burst/bin/burst-far-*")
        login.restart_service("wireguard")
        install.install(self.lab)  # a wish starts on the proxy node as soon as it is submitted
        self.earlier = self._twins()
        self.since = time.time()  # noqa: TID251
        self.notary.start()

    def without_image(self) -> None:
        """The image is not at the target: it has to be sent."""
        self.lab.host("login").sh("rm -f /scratch/burst/images/[0-9a-f]*.sqfs")

    def fill(self) -> None:
        """Both compute nodes are taken by a job that does nothing."""
        argv = ["sbatch", "--parsable", "-J", "fill", "-N2", "-t", "60", "-o", "/dev/null"]
        script = "#!/bin/sh\nsleep 3000\n"
        self.ids["fill"] = self.ctl.run(argv, user="alice", input=script).stdout.strip()
        running = ["squeue", "-h", "-j", self.ids["fill"], "-t", "R", "-o", "%i"]
        self.until(lambda: self.ctl.run(running).stdout, "the cluster is full", 30)

    def empty(self) -> None:
        """Room on the compute nodes again."""
        self.ctl.run(["scancel", self.ids["fill"]], user="alice", check=False)

    def give(self, *jobs: Job, user: str = "alice") -> None:
        """Submit jobs of the campaign."""
        for job in jobs:
            for path, text in job.inputs.items():
                script = 'mkdir -p "${1%/*}" && cat > "$1"'
                argv = ["sh", "-c", script, "sh", f"{job.directory}/{path}"]
                self.ctl.run(argv, user=user, input=text)
            output = f"{job.name}_%a.out" if job.tasks else f"{job.name}.out"
            options = ["-J", job.name, "-o", output, "-t", str(job.minutes), *job.options]
            if job.after:
                options.append(f"--dependency=afterok:{self.ids[job.after]}")
            argv = ["sbatch", "--parsable", *options]
            done = self.ctl.run(argv, user=user, cwd=job.directory, input=job.script)
            self.ids[job.name] = done.stdout.strip()
            self.expect(job, self.ids[job.name])

    def expect(self, job: Job, id: str) -> None:
        """What must come of a job that is in the queue as `id`."""
        errands = job.errands(id)
        self.errands += errands
        names = [*job.inputs, *job.results, *job.litter]
        names += [name for n in job.names for name in (f"{n}.out", f"witness.{n}")]
        self.known |= {f"{job.directory}/{name}" for name in names}
        self.notary.finals = {
            **self.notary.finals,
            **{path: seen for errand in errands for path, seen in errand.files.items()},
        }

    def change(self, name: str, **fields: Any) -> None:
        """Another end is right for the errand of this name, after what was done to it."""
        self.errands = [
            replace(errand, **fields) if errand.name == name else errand for errand in self.errands
        ]

    # --- burstd

    def begin(self, points: Sequence[Point] = (), **settings: str) -> None:
        """burst-netd and burstd; burstd dies at the first point, its successor at the next."""
        given = {"high": "0.5", "low": "0.1", "poll": "1s", **settings}
        install.install(self.lab, **given)
        install.start_netd(self.lab)
        self._doom = list(points)
        self.start()

    def start(self) -> None:
        """burstd, with its next doom."""
        argv = ["python3", "-m", "burstd.testing.doomed", "--trace", TRACE, "--config", CONFIG]
        if self.clock:
            argv += ["--clock", self.clock]
        if self._doom:
            argv += ["--freeze" if self.freezes else "--at", str(self._doom[0])]
        log = self.lab.paths.base / "burstd.log"
        self._daemon = self.px.spawn("burstd", argv, "burstd", log, env={"PYTHONPATH": PYTHONPATH})

    def tend(self) -> None:
        """Start burstd again if its doom has come."""
        daemon = self._daemon
        if daemon is None or daemon.poll() is None:
            return
        if daemon.poll() not in (-9, 137) or not self._doom:
            raise Stuck(f"burstd ended with {daemon.poll()}: {self._tail()}")
        self.deaths += 1
        del self._doom[0]
        self.start()

    def dead(self) -> None:
        """Wait until its doom has come; what looks after burstd later starts the next one."""
        end = time.monotonic() + self.patience
        while self._daemon is not None and self._daemon.poll() is None:
            if time.monotonic() > end:
                raise Stuck(f"burstd never came to {self._doom}\n{self._tail()}")
            time.sleep(0.1)

    def go_on(self) -> None:
        """burstd is frozen no more."""
        if self._daemon is not None and self._doom.pop():
            self._daemon.signal(signal.SIGCONT)

    def kill(self) -> None:
        """burstd is killed now, from outside."""
        if self._daemon is not None:
            self._daemon.signal(9)
            self._daemon.wait(10)
            self._daemon = None
            self.deaths += 1

    # --- meanwhile

    def until(self, holds: Callable[[], object], what: str, seconds: float | None = None) -> None:
        """Wait for it, looking after burstd. Raises ``Stuck``."""
        end = time.monotonic() + (seconds or self.patience)
        while not holds():
            if time.monotonic() > end:
                raise Stuck(f"not within {seconds or self.patience:g} s: {what}\n{self._tail()}")
            self.tend()
            time.sleep(0.3)

    def stage(self, name: str) -> str:
        """By the ledger: only to know when to do something."""
        key = self.key(name)
        rows = [row for row in ledger(self.lab)[0] if row.job == key]
        return rows[-1].stage if rows else ""

    def reached(self, name: str, stage: str) -> bool:
        """The job is at this stage or past it: a short one may be over before anybody looks."""
        now, life = self.stage(name), _LIFE
        return now in life and life.index(now) >= life.index(stage)

    def at(self, name: str, stage: str) -> None:
        """Wait until the job is at this stage or past it."""
        self.until(lambda: self.reached(name, stage), f"{name} is {stage}")

    def label(self, label: str, times: int = 1) -> None:
        """Wait until burstd has come past a point; see ``burstd.testing.points``."""
        self.until(lambda: self._labels().count(label) >= times, label)

    def _labels(self) -> list[str]:
        return self.px.sh(f"cat {TRACE} 2>/dev/null || true").split()

    def key(self, name: str) -> str:
        return next(errand.key for errand in self.errands if errand.name == name)

    def twin(self, name: str) -> str:
        """The name of its far job, "" if it has no burst."""
        rows = [row for row in ledger(self.lab)[0] if row.job == self.key(name)]
        return f"b-{rows[-1].id}" if rows else ""

    def cancel(self, name: str) -> None:
        """As its user does; from now on the far end has a minute."""
        self.change(name, cancelled_at=time.time())  # noqa: TID251
        self.ctl.run(["scancel", self.key(name)], user="alice")

    def state(self, key: str) -> str:
        """squeue's partition and state of a job, "" once it is over."""
        argv = ["squeue", "-h", "-r", "-j", key, "-o", "%P %T"]
        return self.ctl.run(argv, check=False).stdout.strip()

    # --- in the end

    def over(self) -> bool:
        """Nothing is in the queue but what fills it, no burst is open, the link is down."""
        argv = ["squeue", "-h", "-a", "-o", "%j"]
        if set(self.ctl.run(argv).stdout.split()) - {"fill"}:
            return False
        if any(row.open for row in ledger(self.lab)[0]):
            return False
        return self.px.run(["ip", "link", "show", "burst0"], check=False).returncode != 0

    def _conversations(self) -> bool:
        """Whether the far end still waits for an agent's next word."""
        login = self.lab.host("login")
        return login.run(["pgrep", "-f", "burst-far.* serve "], check=False).returncode == 0

    def finish(self) -> list[Finding]:
        """Wait for the end and judge. What doom was not met is in `unreached`."""
        try:
            self.until(self.over, "all is over")
        except Stuck as stuck:
            found = self.verdict()
            raise Stuck(f"{'; '.join(map(str, found))}\n{stuck}") from stuck
        with contextlib.suppress(Stuck):  # the last point may be just behind what is over
            self.until(lambda: not self._doom, "the last point", 5)
        self.unreached = list(self._doom)
        self._doom = []
        self.empty()
        self.until(lambda: not self.ctl.sh("squeue -h"), "the filler ends", 60)
        with contextlib.suppress(Stuck):  # a cut leaves it with nobody to talk to
            self.until(lambda: not self._conversations(), "the far end notices", SILENCE + 5)
        return self.verdict()

    def verdict(self) -> list[Finding]:
        """The oracle's, on what both sites show now."""
        return judge(self.evidence())

    def evidence(self) -> Evidence:
        self.notary.stop()
        notary = self.notary
        seen = gather(self.lab, self.since, named=sorted({e.key for e in self.errands}))
        return replace(
            seen,
            far=tuple(life for life in seen.far if life.name not in self.earlier),
            errands=tuple(self.errands),
            words=tuple(notary.words),
            known=frozenset(self.known),
            glimpses=tuple(sorted(notary.glimpses)),
            gone=dict(notary.gone),
            landed=dict(notary.landed),
            outputs={errand.name: self._lines(errand.output) for errand in self.errands},
        )

    def reached_labels(self) -> set[str]:
        """Every label that a burstd of this run came past."""
        return set(self._labels())

    def close(self) -> None:
        """End burstd, whatever has become of the run."""
        self.notary.stop()
        self._doom = []
        install.stop(self.lab)

    def _lines(self, path: str) -> tuple[str, ...]:
        file = self.lab.share("onprem", path)
        return tuple(file.read_text(errors="replace").splitlines()) if file.exists() else ()

    def _tail(self) -> str:
        log = self.lab.paths.base / "burstd.log"
        queue = self.ctl.run(["squeue", "-a"], check=False).stdout
        names = {errand.key: errand.name for errand in self.errands}
        rows = ledger(self.lab)[0]
        bursts = "".join(f"{r.job} {names.get(r.job)}: {r.id} {r.stage}\n" for r in rows)
        told = [line for line in log.read_text(errors="replace").splitlines() if _NEWS(line)]
        return f"{queue}\n{bursts}\n" + "\n".join(told[-12:])


#: Every tick says that it has decided: no news where somebody waits in vain.
_NEWS = re.compile(r'^(?!.*"plan.decided")').match
_LIFE = [
    "planned", "claiming", "claimed", "staging_in", "staged_in", "submitting", "submitted",
    "permitting", "running", "cancelling", "ended", "staging_out", "staged_out", "settling",
    "settled",
]  # fmt: skip


@contextmanager
def rig(lab: Lab) -> Iterator[Rig]:
    """A run on a cleared lab; burstd is ended after it."""
    run = Rig(lab)
    try:
        run.clear()
        yield run
    finally:
        run.close()


def whole_life(run: Rig, jobs: Sequence[Job], points: Sequence[Point] = ()) -> list[Finding]:
    """All jobs at once on a full cluster, from submission to the end; burstd dies at the points.

    What comes home waits for the nodes, which are freed once everything else is away.
    """
    run.fill()
    run.give(*jobs)
    run.begin(points)
    home = {job.name for job in jobs if job.where == {"onprem"} and not job.after}
    away = {e.key for e in run.errands if e.name not in home} - {
        run.ids[job.name] for job in jobs if job.after
    }
    to_cancel = [job.name for job in jobs if not job.completes]
    run.until(lambda: _all_left(run, away, home), "all that may leave has left")
    for name in to_cancel:
        run.until(lambda name=name: run.notary.said(name), f"{name} runs away")  # type: ignore[misc]
        run.cancel(name)
    run.empty()
    return run.finish()


def during(run: Rig, jobs: Sequence[Job], act: Callable[[Rig], None]) -> list[Finding]:
    """Jobs that leave a full cluster; something happens meanwhile."""
    run.fill()
    run.give(*jobs)
    time.sleep(SAVED)  # what slurmctld has not saved yet is Slurm's own to lose
    run.begin()
    act(run)
    run.until(lambda: _all_left(run, {e.key for e in run.errands}, set()), "all have left")
    run.empty()
    return run.finish()


def _all_left(run: Rig, away: set[str], home: set[str]) -> bool:
    rows = {row.job: row.stage for row in ledger(run.lab)[0]}
    if any(rows.get(run.ids[name]) != "returned" for name in home):
        return False
    return all(_is_away(rows.get(key, "planned")) for key in away)


def _is_away(stage: str) -> bool:
    """Claimed, or where no waiting will bring it: that is for the oracle to judge."""
    return stage not in _LIFE or _LIFE.index(stage) >= _LIFE.index("claimed")
