"""A small believable Slurm: its commands, its texts and its lapses, on a stepped clock.

It knows what burstd must survive: a change is acknowledged up to five seconds before it is safe, a
crash forgets what is younger and gives job ids out again, ``hold`` "succeeds" on a running job, a
requeue changes the submit time, ended jobs are forgotten after MinJobAge and stay in accounting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from burstd.adapters.slurm.commands import translate
from burstd.testing import slurm_programs
from burstd.testing.clock import SteppedClock
from burstd.testing.saves import NEVER, SAVED_AFTER, Saves
from burstd.testing.slurm_jobs import OVER, SimulatedJob, awaits, key_text

MIN_JOB_AGE = timedelta(seconds=300)
KILL_WAIT = timedelta(seconds=30)


@dataclass(frozen=True)
class Run:
    """One real execution of a job's work on this cluster, for the witness."""

    key: str
    name: str
    at: datetime
    serial: int = 0


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
    licences: dict[str, int] = field(default_factory=dict)  #: totals; running jobs use them
    comments: dict[str, str] = field(default_factory=dict)  #: AdminComment by job, in accounting
    signals: list[tuple[str, str]] = field(default_factory=list)  #: what jobs have got, by name
    commands: list[tuple[str, ...]] = field(default_factory=list)  #: all that was asked, in order
    runs: list[Run] = field(default_factory=list)
    reruns: list[str] = field(default_factory=list)  #: jobs whose end a crash forgot, by name
    #: Keys without a row in accounting: slurmdbd was away and slurmctld has not told it yet.
    unlisted: set[str] = field(default_factory=set)
    #: What happens just before the next command that begins so, once: ``"scontrol hold"``.
    meanwhile: dict[str, Callable[[], None]] = field(default_factory=dict)
    _next_id: int = 1
    _serial: int = 0
    _saves: Saves[tuple[int, list[SimulatedJob]]] = field(default_factory=Saves)

    def __post_init__(self) -> None:
        self._saves.kept.append((NEVER, (self._next_id, [])))

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
            self._serial += 1
            job = SimulatedJob(
                job_id=self._next_id, user=user, name=name, submitted_at=self._now,
                script=script, array_id=array, task=task, serial=self._serial,
            )  # fmt: skip
            job.shown |= {
                "Partition": partition, "TimeLimit": f"{minutes // 60:02}:{minutes % 60:02}:00"
            } | fields  # fmt: skip
            self.jobs.append(job)
            if array is None:
                self._next_id += 1
        if array is not None:
            self._next_id += 1
        self.note()
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
            if why := self._awaits(job):
                job.reason = why
            elif job.shown["Partition"] == self.burst_partition:
                self._start(job, "px")
            elif self.busy < self.slots:
                self._start(job, "n1")
                self.runs.append(Run(key_text(job), job.name, self._now, job.serial))
            else:
                job.reason = "Resources"
        self.note()

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
        self.note()

    def hold(self, key: str) -> None:
        """A user's ``scontrol hold``; it changes nothing that runs."""
        for job in self._named(key):
            if job.state == "PENDING" and not job.held:
                job.held, job.reason = True, "JobHeldUser"
        self.note()

    def unhold(self, key: str) -> None:
        """A user's ``scontrol release``: an operator's hold is not theirs to lift."""
        for job in self._named(key):
            if job.state == "PENDING" and job.reason == "JobHeldUser":
                job.held, job.reason = False, "None"
        self.note()

    def requeue(self, key: str, *, held: bool = False) -> None:
        """A user's ``scontrol requeue``, or ``requeuehold``, of a job that runs, or has run."""
        for job in self._named(key):
            if job.shown["Requeue"] != "1":
                continue
            if job.state in OVER:
                self.begin_again(job, held=held)
            elif job.state == "RUNNING":
                job.state, job.begins_anew, job.cancelled = "COMPLETING", True, False
                job.waits_anew = held
                stands_in = job.shown["Partition"] == self.burst_partition
                job.kill_at = self._now + KILL_WAIT if stands_in else None
        self.note()

    def lose(self, node: str) -> None:
        """The node is gone: what ran there is requeued where that is allowed (NODE_FAIL)."""
        for job in self.jobs:
            if job.node != node or job.state not in {"RUNNING", "COMPLETING"}:
                continue
            if job.cancelled:
                self._end(job, "CANCELLED")
            elif job.requeued or job.shown["Requeue"] == "1":
                self.begin_again(job, held=job.requeued)
            else:
                self._end(job, "NODE_FAIL")
        self.note()

    def crash(self, forgets: timedelta = SAVED_AFTER) -> None:
        """``kill -9`` of slurmctld and its start: what is younger than ``forgets`` is gone.

        That is five seconds at worst; less where the last save was just before.
        """
        horizon = self._now - forgets
        was = {(job.job_id, job.submitted_at): job for job in self.jobs}
        self._next_id, jobs = self._saves.back(horizon)
        self.jobs = _copies(jobs)
        self.boots += 1
        self._saves = Saves([(horizon, (self._next_id, _copies(self.jobs)))])
        for job in self.jobs:  # nodes tell of jobs that ended unsaved: lost, so requeued
            before = was.get((job.job_id, job.submitted_at))
            if job.state == "RUNNING" and (before is None or before.state in OVER):
                self.reruns.append(job.name)
                self.begin_again(job)

    def saved(self, serial: int) -> SimulatedJob | None:
        """The job as a crash at this instant would leave it; for witnesses."""
        _, jobs = self._saves.back(self._now - SAVED_AFTER)
        return next((job for job in jobs if job.serial == serial), None)

    # --- the port of ``adapters.slurm.commands.Slurm``

    def run(self, argv: Sequence[str]) -> str:
        """One command of Slurm's. Raises what ``commands.translate`` makes of its complaint."""
        self.commands.append(tuple(argv))
        for start in [start for start in self.meanwhile if " ".join(argv).startswith(start)]:
            self.meanwhile.pop(start)()
        return slurm_programs.run(self, argv)

    @property
    def changes(self) -> list[tuple[str, ...]]:
        """The commands that meant to change something."""
        reading = {("scontrol", "show"), ("scontrol", "write")}
        asking = {"squeue", "sinfo", "sacct", "sdiag"}
        return [c for c in self.commands if c[0] not in asking and c[:2] not in reading]

    # --- inside

    @property
    def _now(self) -> datetime:
        return self.clock.now()

    def _awaits(self, job: SimulatedJob) -> str:
        if job.shown["Dependency"] == "(null)":
            return ""
        known = {key_text(j): j for j in (*self.accounting.values(), *self.jobs)}
        why = awaits(job, known.values())
        if not why:
            job.shown["Dependency"] = "(null)"
        return why

    def _named(self, key: str) -> list[SimulatedJob]:
        return [
            j for j in self.jobs
            if key in (key_text(j), str(j.job_id if j.array_id is None else j.array_id))
        ]  # fmt: skip

    def looked_up(self, key: str) -> list[SimulatedJob]:
        self.forget_old()
        found = self._named(key)
        if not found:
            text = (
                f"Job {key} not found"
                if "_" in key
                else "slurm_load_jobs error: Invalid job id specified"
            )
            raise translate("scontrol", text)
        return found

    def split(self, job: SimulatedJob) -> None:
        """An array's element becomes a job of its own when it is touched or starts."""
        if job.array_id is not None and not job.split:
            job.split = True
            job.job_id, self._next_id = self._next_id, self._next_id + 1

    def _start(self, job: SimulatedJob, node: str) -> None:
        self.split(job)
        job.state, job.reason, job.node, job.started_at = "RUNNING", "None", node, self._now
        self._write_down(job)

    @property
    def busy(self) -> int:
        """Of the slots."""
        going = {"RUNNING", "COMPLETING"}
        return sum(j.state in going and j.node == "n1" for j in self.jobs)

    def _after_completing(self, job: SimulatedJob) -> None:
        if job.requeued or job.begins_anew:
            self.begin_again(job, held=job.requeued or job.waits_anew)
        else:
            self._end(job, "CANCELLED" if job.cancelled else "FAILED")

    def begin_again(self, job: SimulatedJob, *, held: bool = False) -> None:
        """Requeue: this life ends in accounting, the job waits with another submit time."""
        job.state, job.ended_at, job.kill_at = "REQUEUED", self._now, None
        self._write_down(job)
        # A hold on a running job waits for this moment; requeuehold's own is one that its user may
        # release.
        job.reason = "JobHeldAdmin" if job.held else "JobHeldUser" if held else "None"
        job.held = held or job.held
        job.state, job.node, job.ended_at = "PENDING", "", None
        job.requeued = job.begins_anew = job.waits_anew = False
        job.exit_code = job.signal = 0
        job.restarts, job.submitted_at = job.restarts + 1, self._now
        self.note()

    def _end(self, job: SimulatedJob, word: str) -> None:
        job.state, job.ended_at, job.kill_at = word, self._now, None
        self._write_down(job)
        self.note()

    def _write_down(self, job: SimulatedJob) -> None:
        self.accounting[(key_text(job), job.submitted_at)] = _copies([job])[0]

    def forget_old(self) -> None:
        old = self._now - MIN_JOB_AGE
        self.jobs = [j for j in self.jobs if j.ended_at is None or j.ended_at > old]

    def note(self) -> None:
        """What a crash from five seconds on will find."""
        self._saves.note(self._now, (self._next_id, _copies(self.jobs)))


def _copies(jobs: Sequence[SimulatedJob]) -> list[SimulatedJob]:
    return [replace(job, shown=dict(job.shown)) for job in jobs]
