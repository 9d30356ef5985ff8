"""A small believable Slurm: its commands, its texts and its lapses, on a stepped clock.

It knows what burstd must survive: a change is acknowledged up to five seconds before it is safe, a
crash forgets what is younger and gives job ids out again, ``hold`` "succeeds" on a running job, a
requeue changes the submit time, ended jobs are forgotten after MinJobAge and stay in accounting.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from burstd.adapters.slurm.commands import NOTHING_MORE, Slurm, translate
from burstd.testing.clock import SteppedClock
from burstd.testing.slurm_jobs import OVER, SimulatedJob, key_text, record_line, squeue_lines

SAVED_AFTER = timedelta(seconds=5)  #: SAVE_MAX_WAIT
MIN_JOB_AGE = timedelta(seconds=300)
KILL_WAIT = timedelta(seconds=30)
AWAY = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
NO_SUCH_JOB = "slurm_load_jobs error: Invalid job id specified"
_SHOWN = {
    "partition": "Partition", "timelimit": "TimeLimit", "requeue": "Requeue",
    "numnodes": "NumNodes", "numtasks": "NumTasks", "oversubscribe": "OverSubscribe",
    "minmemorynode": "MinMemoryNode", "excnodelist": "ExcNodeList", "reqnodelist": "ReqNodeList",
    "extra": "Extra",
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One real execution of a job's work on this cluster, for the witness."""

    key: str
    name: str
    at: datetime


@dataclass
class SimulatedSlurm:
    """One controller. ``slots``: jobs that may run at once outside the burst partition."""

    clock: SteppedClock
    cluster: str = "onprem"
    burst_partition: str = "burst"
    slots: int = 0
    accepts: bool = True  #: False: a submit plugin refuses every update
    knows_extra: bool = True  #: False: Slurm 22.05
    up: bool = True
    accounting_up: bool = True
    unsent: int = 0  #: messages that accounting has not taken yet
    boots: int = 1
    jobs: list[SimulatedJob] = field(default_factory=list)
    accounting: dict[tuple[str, datetime], SimulatedJob] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)  #: AdminComment by job, in accounting
    commands: list[tuple[str, ...]] = field(default_factory=list)  #: all that was asked, in order
    runs: list[Run] = field(default_factory=list)
    reruns: list[str] = field(default_factory=list)  #: jobs whose end a crash forgot, by name
    #: What happens just before the next command that begins so, once: ``"scontrol hold"``.
    meanwhile: dict[str, Callable[[], None]] = field(default_factory=dict)
    _next_id: int = 1
    _saves: list[tuple[datetime, int, list[SimulatedJob]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._saves.append((datetime.min.replace(tzinfo=UTC), self._next_id, []))

    # --- the world's hands: users, nodes, accidents

    def submit(
        self,
        user: str = "alice",
        name: str = "job",
        partition: str = "cae",
        script: str | None = "#!/bin/sh\nccx beam\n",
        minutes: int = 60,
        tasks: Sequence[int] = (),
        **fields: str,
    ) -> str:
        """What ``sbatch`` (or, without a script, ``salloc``) does; the key as users write it."""
        array = self._next_id if tasks else None
        for task in tasks or (None,):
            job = SimulatedJob(
                job_id=self._next_id, user=user, name=name, submitted_at=self.clock.now(),
                script=script, array_id=array, task=task,
            )  # fmt: skip
            job.shown |= {
                "Partition": partition, "TimeLimit": f"{minutes // 60:02}:{minutes % 60:02}:00"
            } | fields  # fmt: skip
            self.jobs.append(job)
            if array is None:
                self._next_id += 1
        if array is not None:
            self._next_id += 1
        self._note()
        return str(self.jobs[-1].job_id if array is None else array)

    def job(self, key: str) -> SimulatedJob:
        """The job as it is now. Raises ``KeyError``."""
        return next(j for j in reversed(self.jobs) if key in (key_text(j), str(j.job_id)))

    def schedule(self) -> None:
        """One turn of the scheduler: end what is ending, start what can start."""
        for job in self.jobs:
            if job.state == "COMPLETING" and (job.kill_at is None or job.kill_at <= self._now):
                self._after_completing(job)
        for job in self.jobs:
            if job.state != "PENDING" or job.held:
                continue
            if job.shown["Dependency"] != "(null)":
                job.reason = "Dependency"
            elif job.shown["Partition"] == self.burst_partition:
                self._start(job, "px")
            elif self._busy() < self.slots:
                self._start(job, "n1")
                self.runs.append(Run(key_text(job), job.name, self._now))
            else:
                job.reason = "Resources"
        self._note()

    def finish(self, key: str, code: int = 0, signal: int = 0) -> None:
        """The batch script (or the agent in its place) ended."""
        job = self.job(key)
        job.exit_code, job.signal = code, signal
        if job.state == "COMPLETING":
            job.kill_at = None
            return
        word = "COMPLETED" if (code, signal) == (0, 0) else "FAILED"
        self._end(job, "CANCELLED" if job.cancelled else word)

    def cancel(self, key: str) -> None:
        """A user's ``scancel``: TERM, and KILL when KillWait is over."""
        for job in self._named(key):
            if job.state == "PENDING" and job.array_id is not None and not job.split:
                self.jobs.remove(job)  # it leaves no trace, in accounting neither
            elif job.state == "PENDING":
                self._end(job, "CANCELLED")
            elif job.state == "RUNNING":
                job.state, job.cancelled, job.signal = "COMPLETING", True, 15
                job.kill_at = self._now + KILL_WAIT
        self._note()

    def requeue(self, key: str) -> None:
        """A user's ``scontrol requeue`` of a job that has ended."""
        self._requeue(self.job(key))
        self._note()

    def crash(self) -> None:
        """``kill -9`` of slurmctld and its start: what is younger than five seconds is gone."""
        horizon = self._now - SAVED_AFTER
        kept = [save for save in self._saves if save[0] <= horizon]
        was = {(job.job_id, job.submitted_at): job for job in self.jobs}
        _, self._next_id, jobs = kept[-1]
        self.jobs = _copies(jobs)
        self.boots += 1
        self._saves = [(horizon, self._next_id, _copies(self.jobs))]
        for job in self.jobs:  # nodes tell of jobs that ended unsaved: lost, so requeued
            before = was.get((job.job_id, job.submitted_at))
            if job.state == "RUNNING" and (before is None or before.state in OVER):
                self.reruns.append(job.name)
                self._requeue(job)

    # --- the port of ``adapters.slurm.commands.Slurm``

    def run(self, argv: Sequence[str]) -> str:
        """One command of Slurm's. Raises what ``commands.translate`` makes of its complaint."""
        self.commands.append(tuple(argv))
        for start in [start for start in self.meanwhile if " ".join(argv).startswith(start)]:
            self.meanwhile.pop(start)()
        if argv[0] in {"sacct", "sacctmgr"}:
            return self._account(argv)
        if not self.up:
            raise translate(argv[0], AWAY)
        if argv[0] == "squeue":
            return self._squeue(argv)
        if argv[0] == "sdiag":
            return f"DBD Agent queue size: {self.unsent}\n"
        if argv[0] == "scancel":
            return self._scancel(argv)
        if argv[0] == "scontrol":
            return self._scontrol(argv[1], argv[2:])
        raise translate(argv[0], f"{argv[0]}: not simulated")

    @property
    def changes(self) -> list[tuple[str, ...]]:
        """The commands that meant to change something."""
        reading = {("scontrol", "show"), ("scontrol", "write")}
        asking = {"squeue", "sacct", "sdiag"}
        return [c for c in self.commands if c[0] not in asking and c[:2] not in reading]

    def _squeue(self, argv: Sequence[str]) -> str:
        self._forget_old()
        wanted = argv[argv.index("-t") + 1]
        states = None if wanted == "all" else set(wanted.split(","))
        names = [w.partition("=")[2].split(",") for w in argv if w.startswith("--name=")]
        jobs = [j for j in self.jobs if not names or j.name in names[0]]
        shown = [j for j in jobs if states is None or j.state in states]
        return "".join(squeue_lines(shown, argv[argv.index("-o") + 1]))

    def _scontrol(self, verb: str, words: Sequence[str]) -> str:
        if (verb, words[0]) == ("show", "config"):
            return f"BOOT_TIME               = {1_000_000 + self.boots}\n"
        if (verb, words[0]) == ("show", "job"):
            return "\n".join(record_line(job, self.jobs) for job in self._looked_up(words[-1]))
        if verb == "write":
            script = self._looked_up(words[1])[0].script
            if script is None:
                raise translate("scontrol", "job script retrieval failed: Job script not specified")
            return script
        key = words[0].removeprefix("jobid=")
        for job in self._looked_up(key):
            self._split(job)
            self._change(verb, job, words[1:])
        self._note()
        return ""

    def _change(self, verb: str, job: SimulatedJob, words: Sequence[str]) -> None:
        if job.state in OVER:
            raise translate("scontrol", "Job has already completed (slurm_update error)")
        if verb == "hold":
            job.held = True  # rc 0 and no effect on a job that runs
            job.reason = "JobHeldAdmin" if job.state == "PENDING" else job.reason
        elif verb == "release":
            job.held, job.reason = False, "None"
        elif verb == "requeuehold":
            if job.state != "RUNNING":
                raise translate("scontrol", "Requested operation is presently disabled")
            job.state, job.requeued, job.kill_at = "COMPLETING", True, None
        else:
            self._update(job, words)

    def _update(self, job: SimulatedJob, words: Sequence[str]) -> None:
        if not self.accepts:
            raise translate("scontrol", "slurm_update error: Job rejected by the site's rules")
        for word in words:
            name, _, value = word.partition("=")
            if name == "starttime":
                continue
            if name == "extra" and not self.knows_extra:
                raise translate("scontrol", "Update of this parameter is not supported: extra=")
            if job.state != "PENDING" and name != "extra":
                raise translate("scontrol", "Job is no longer pending execution")
            job.shown[_SHOWN[name]] = {"yes": "YES", "no": "NO", "": "(null)"}.get(value, value)

    def _scancel(self, argv: Sequence[str]) -> str:
        names = [w.partition("=")[2] for w in argv if w.startswith("--name=")]
        ids = [w for w in argv[1:] if not w.startswith("-")]
        for job in list(self.jobs):
            if (not names or job.name in names) and (not ids or key_text(job) in ids):
                self.cancel(key_text(job))
        return ""

    def _account(self, argv: Sequence[str]) -> str:
        if not self.accounting_up:
            raise translate(argv[0], "slurm_persist_conn_open: DBD_OPEN: Connection refused")
        if argv[0] == "sacctmgr":
            found = re.search(r"jobid=(\S+)", " ".join(argv))
            comment = next(w for w in argv if w.startswith("admincomment="))
            self.comments[found[1] if found else ""] = comment.partition("=")[2]
            return ""
        bar = next((w[12:] for w in argv if w.startswith("--delimiter=")), "|")
        columns = argv[argv.index("-o") + 1].split(",")
        names = [w.partition("=")[2].split(",") for w in argv if w.startswith("--name=")]
        keys = argv[argv.index("-j") + 1].split(",") if "-j" in argv else None
        rows = [
            bar.join(_cell(job, column) for column in columns)
            for job in self.accounting.values()
            if (keys is None or key_text(job) in keys) and (not names or job.name in names[0])
        ]
        return "".join(f"{row}\n" for row in rows)

    # --- inside

    @property
    def _now(self) -> datetime:
        return self.clock.now()

    def _named(self, key: str) -> list[SimulatedJob]:
        return [
            j for j in self.jobs
            if key in (key_text(j), str(j.job_id if j.array_id is None else j.array_id))
        ]  # fmt: skip

    def _looked_up(self, key: str) -> list[SimulatedJob]:
        self._forget_old()
        found = self._named(key)
        if not found:
            raise translate("scontrol", f"Job {key} not found" if "_" in key else NO_SUCH_JOB)
        return found

    def _split(self, job: SimulatedJob) -> None:
        """An array's element becomes a job of its own when it is touched or starts."""
        if job.array_id is not None and not job.split:
            job.split = True
            job.job_id, self._next_id = self._next_id, self._next_id + 1

    def _start(self, job: SimulatedJob, node: str) -> None:
        self._split(job)
        job.state, job.reason, job.node, job.started_at = "RUNNING", "None", node, self._now
        self._write_down(job)

    def _busy(self) -> int:
        going = {"RUNNING", "COMPLETING"}
        return sum(j.state in going and j.node == "n1" for j in self.jobs)

    def _after_completing(self, job: SimulatedJob) -> None:
        if job.requeued:
            self._requeue(job)
            job.held, job.reason = True, "JobHeldAdmin"
        else:
            self._end(job, "CANCELLED" if job.cancelled else "FAILED")

    def _requeue(self, job: SimulatedJob) -> None:
        self._end(job, "REQUEUED")
        job.state, job.requeued, job.node, job.ended_at = "PENDING", False, "", None
        job.exit_code = job.signal = 0
        job.restarts, job.submitted_at = job.restarts + 1, self._now

    def _end(self, job: SimulatedJob, word: str) -> None:
        job.state, job.ended_at, job.kill_at = word, self._now, None
        self._write_down(job)
        self._note()

    def _write_down(self, job: SimulatedJob) -> None:
        self.accounting[(key_text(job), job.submitted_at)] = _copies([job])[0]

    def _forget_old(self) -> None:
        old = self._now - MIN_JOB_AGE
        self.jobs = [j for j in self.jobs if j.ended_at is None or j.ended_at > old]

    def _note(self) -> None:
        """What a crash from five seconds on will find."""
        horizon = self._now - 2 * SAVED_AFTER
        recent = [save for save in self._saves if save[0] > horizon]
        last = [save for save in self._saves if save[0] <= horizon][-1:]
        self._saves = [*last, *recent, (self._now, self._next_id, _copies(self.jobs))]


@dataclass(frozen=True)
class SimulatedCommands(Slurm):
    """``adapters.slurm.commands.Slurm`` whose programs talk to a simulated controller."""

    controller: SimulatedSlurm = field(default_factory=lambda: SimulatedSlurm(SteppedClock()))

    def run(self, argv: Sequence[str], environment: Mapping[str, str] = NOTHING_MORE) -> str:
        return self.controller.run(argv)


def _copies(jobs: Sequence[SimulatedJob]) -> list[SimulatedJob]:
    return [replace(job, shown=dict(job.shown)) for job in jobs]


def _cell(job: SimulatedJob, column: str) -> str:
    elapsed = (job.ended_at or job.submitted_at) - (job.started_at or job.submitted_at)
    cells: Mapping[str, str] = {
        "JobID": key_text(job),
        "User": job.user,
        "Submit": str(int(job.submitted_at.timestamp())),
        "State": "CANCELLED by 1001" if job.state == "CANCELLED" else job.state,
        "ExitCode": f"{job.exit_code}:{job.signal}",
        "JobName": job.name,
        "ElapsedRaw": str(int(elapsed.total_seconds())),
        "NodeList": job.node or "None assigned",
    }
    return cells[column]
