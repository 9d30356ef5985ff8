"""Port ``Queue`` on a real Slurm: how a job is claimed and given back. Needs operator rights."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from burstd.adapters.slurm import records
from burstd.adapters.slurm.claim import SHOWN, kept, mending, obstacle, parking, undoing
from burstd.adapters.slurm.commands import NoSuchJob, NotNow, Slurm
from burstd.adapters.slurm.controller import Controller
from burstd.domain.jobs import (
    JobIdentity,
    JobRecord,
    JobSight,
    JobState,
    QueuedJob,
    QueueSnapshot,
    Shape,
)
from burstd.domain.slurm import time_limit
from burstd.domain.usage import PastRun
from burstd.ports.errors import PortError, Rejected, Unreachable

#: How long slurmctld may take to carry out what its client has given up.
IN_THE_AIR = timedelta(minutes=1)
DAY = timedelta(days=1)
#: Pending reasons that say the parked job will never start as it is.
_STUCK = frozenset({"BadConstraints", "PartitionNodeLimit", "PartitionTimeLimit", "InvalidQOS"})
#: Beside the record's fields: the job's Extra is its user's, and no place for a mark.
_UNMARKED = "unmarked"
_ALIVE = frozenset({JobState.PENDING, JobState.RUNNING, JobState.SUSPENDED})


@contextlib.contextmanager
def question() -> Iterator[None]:
    """One that fails, for whatever reason, tells nothing of the job: munged is away, a library is
    missing. Only ``NoSuchJob`` and ``AccessDenied`` are answers."""
    try:
        yield
    except NoSuchJob:
        raise
    except Rejected as error:
        raise Unreachable(str(error)) from error


@contextlib.contextmanager
def change() -> Iterator[None]:
    """One without an answer may yet be carried out: judge the job again when that is over."""
    try:
        with contextlib.suppress(NotNow):
            yield
    except Unreachable as error:
        raise Unreachable(str(error), retry_after=IN_THE_AIR) from error


def _is_no_more(who: JobIdentity, seen: JobSight) -> bool:
    """Over, or its id was given to another job."""
    return seen.state.over if seen.is_job(who) else seen.identity is not None


@dataclass(frozen=True)
class SlurmQueue:
    """``now`` stamps snapshots; ``home_partition`` receives declined wishes. ``controller`` is
    asked about live jobs; ``slurm`` runs the accounting programs for those that ended."""

    cluster: str
    burst_partition: str
    home_partition: str
    now: Callable[[], datetime]
    slurm: Slurm
    controller: Controller

    def observe(self) -> QueueSnapshot:
        taken_at = self.now()
        with question():
            rows = self.controller.queue()
        jobs = tuple(records.queued_job(self.cluster, cells) for cells in rows)
        return QueueSnapshot(self.cluster, taken_at, jobs, self._idle(jobs))

    def _idle(self, jobs: Sequence[QueuedJob]) -> Mapping[str, int]:
        """Only where somebody waits for them; a decision can do without."""
        if any(job.state is JobState.PENDING and job.reason == "Resources" for job in jobs):
            with contextlib.suppress(PortError):
                return self.controller.idle()
        return {}

    def past(self, since: datetime) -> tuple[PastRun, ...]:
        window = (f"{t:%Y-%m-%dT%H:%M:%S}" for t in (since, self.now() + DAY))
        argv = ["sacct", "-n", "-X", "-P", "-D", "-a", "-S", next(window), "-E", next(window)]
        field = records.QueueFormat.fresh().field
        argv += ["-o", records.PAST, f"--delimiter={field}"]
        with question():
            answer = self.slurm.run(argv, {"TZ": "UTC"})
        return records.past_runs(answer, self.burst_partition, field)

    def boot(self) -> str:
        with question():
            return self.controller.boot()

    def look(self, who: JobIdentity) -> JobSight:
        try:
            with question():
                shown = self.controller.show(who)
        except NoSuchJob:
            return self._look_back(who)
        seen = records.sight(who, shown.fields)
        # Its user may rename it, and a requeue gives it another submit time: but who has its id,
        # its user and a life before this one is no stranger.
        theirs = seen.identity is not None and seen.identity.user == who.user
        if shown.named or seen.identity == who or (theirs and seen.restarts > 0):
            return seen
        stranger = records.sight(replace(who, user="", name=""), shown.fields)
        return JobSight(stranger.identity, JobState.UNKNOWN)

    def _look_back(self, who: JobIdentity) -> JobSight:
        """slurmctld forgets ended jobs after MinJobAge (300 s); accounting does not. What neither
        of them knows was never saved: an acknowledged submission is forgotten in a crash."""
        # A day more at either end: clocks are set (sacct(1), DEFAULT TIME WINDOW).
        since, until = (
            f"{t:%Y-%m-%dT%H:%M:%S}" for t in (who.submitted_at - DAY, self.now() + DAY)
        )
        argv = ["sacct", "-n", "-X", "-P", "-D", "-j", str(who.key), "-S", since, "-E", until]
        argv += ["-o", "JobID,User,Submit,State,ExitCode", f"--delimiter={records.FIELD}"]
        with question():
            answer = self.slurm.run(argv, {"TZ": "UTC"})
        rows = [row.split(records.FIELD) for row in answer.splitlines()]
        lives = {
            int(row[2]): row
            for row in rows
            if len(row) == 5 and (row[0], row[1]) == (str(who.key), who.user) and row[2].isdecimal()
        }
        # A requeue adds a life with a later submit time; without the first it is a stranger's.
        if int(who.submitted_at.timestamp()) in lives:
            _, _, _, state, code = lives[max(lives)]
            exit_code, _, signal = code.partition(":")
            ended = JobSight(
                who, records.state(state), exit_code=int(exit_code), signal=int(signal or 0)
            )
            if ended.state.over:
                return ended
        with question():
            if not self.controller.told_accounting():
                return JobSight(None, JobState.UNKNOWN)
        cancelled = not rows and self._cut_out(who)
        return JobSight(who, JobState.CANCELLED if cancelled else JobState.LOST)

    def _cut_out(self, who: JobIdentity) -> bool:
        """Proof that an array's element was cancelled while it waited: slurmctld keeps nothing of
        it, accounting has never heard of it, and the array itself is there without it."""
        if who.key.array_task is None:
            return False
        whole = replace(who, key=replace(who.key, array_task=None))
        try:
            with question():
                shown = self.controller.show(whole)
        except NoSuchJob:
            return False
        array = records.sight(whole, shown.fields)
        same = array.identity is not None and array.identity.submitted_at == who.submitted_at
        return shown.named and same

    def script(self, who: JobIdentity) -> str | None:
        try:
            return self.controller.script(who.key) or None
        except Rejected as error:
            if "Job script not specified" in str(error):
                return None  # salloc and srun have none
            raise Unreachable(str(error)) from error  # it went away, or nobody knows

    def shape(self, who: JobIdentity) -> Shape:
        with question():
            return self.controller.shape(who.key)

    def record(self, who: JobIdentity) -> JobRecord:
        with question():
            shown = self.controller.show(who)
        f = shown.fields
        if "HetJobId" in f:
            raise Rejected(f"job {who.key} is part of a heterogeneous job")
        if not shown.named or not records.sight(who, f).is_job(who):
            raise Rejected(f"job {who.key} is not the one that was seen in the queue")
        wish = f.get("Partition") == self.burst_partition
        state = records.state(f["JobState"])
        if state is not JobState.PENDING and not (wish and state is JobState.RUNNING):
            raise Rejected(f"job {who.key} is {f['JobState']}")
        if f.get("BatchFlag") != "1":
            raise Rejected(f"job {who.key} is interactive")
        if not wish and (why := obstacle(f, self.now())) is not None:
            raise Rejected(f"job {who.key} {why}")
        if wish and state is JobState.RUNNING:
            f = records.before_its_start(f)
        fields = kept(f)
        if shown.own_extra:
            fields[_UNMARKED] = "1"
        if wish:
            fields["partition"] = self.home_partition
        limit = time_limit(f.get("TimeLimit", ""))
        gres = self.shape(who).gres if shown.gres is None else shown.gres
        return JobRecord(who, records.shape(f, gres), limit, fields, wish, shown.marks)

    def park(self, record: JobRecord, mark: str) -> None:
        who = record.identity
        seen = self._mine(who)
        if seen is None or seen.state is not JobState.PENDING:
            return
        if seen.partition != self.burst_partition:
            if seen.held or self._holds(who):
                self._park_held(record, mark)
        elif seen.reason in _STUCK:  # before the next: Slurm itself holds one of BadConstraints
            raise Rejected(f"job {who.key} cannot start on the proxy node: {seen.reason}")
        elif seen.held:  # a crash came between the updates: all of them, again
            self._park_held(record, mark)
        # Else it starts when Slurm lets it: two minutes after a requeue. Sooner, what slurmctld has
        # still to say to a node that was lost would end the new life instead of the old one.

    def give_back(self, record: JobRecord) -> bool:
        who = record.identity
        seen = self.look(who)
        if _is_no_more(who, seen):
            return True
        if seen.identity is None:
            return False
        try:
            return self._home(record, seen)
        except Rejected:
            if self.look(who) == seen:
                raise
            return False  # its user, or a scheduler, was faster: look at it anew

    def _home(self, record: JobRecord, seen: JobSight) -> bool:
        """One step; True once it is there."""
        who, home = record.identity, record.fields["partition"]
        if seen.partition != self.burst_partition:
            if seen.state is JobState.PENDING and seen.held:
                self._restore(record)
                self._let_go(record, seen)
                return bool(record.requeued_held)  # whose hold it is the record does not tell
            if seen.state is JobState.RUNNING and seen.held:
                # It started before our hold, which would bite when it is requeued.
                with change():
                    self.controller.release(who.key)
                return False
            return seen.partition == home or seen.state is JobState.RUNNING
        if seen.state is JobState.RUNNING:
            with change():
                self.controller.requeue_held(who.key)
        # requeuehold's own hold is one that its user may release, in the middle of the updates.
        elif seen.state is JobState.PENDING and self._holds(who):
            self._undo(record)
            self._mark(record, "")
            self._let_go(record, seen)
        return False

    def cancel(self, who: JobIdentity) -> None:
        seen = self._mine(who)
        if seen is not None and seen.state in _ALIVE:
            self.controller.cancel(who.key)

    def _holds(self, who: JobIdentity) -> bool:
        """Hold it; True if that came before its start. rc 0 proves nothing: hold "succeeds" on a
        running job."""
        with change():
            self.controller.hold(who.key)
        try:
            seen = self._mine(who)
        except Rejected:
            self._unhold(who)
            raise
        return seen is not None and seen.state is JobState.PENDING and seen.held

    def _unhold(self, who: JobIdentity) -> None:
        """Our hold came to whoever has the id by now: the last look was too old by a moment."""
        with question():
            reason = self.controller.show(who).fields.get("Reason")
        if reason == "JobHeldAdmin":
            with change():
                self.controller.release(who.key)

    def annotate(self, who: JobIdentity, line: str) -> None:
        try:
            self.controller.annotate(self.cluster, who.key, line[:255])
        except PortError:
            return  # the ledger holds the figures; accounting is a courtesy

    def _mine(self, who: JobIdentity) -> JobSight | None:
        """A fresh look, or ``None`` where Slurm can't say or the job is not ours to touch."""
        seen = self.look(who)
        if seen.identity is not None and not seen.is_job(who):
            raise Rejected(f"job id {who.key} belongs to another job now")
        return None if seen.identity is None else seen

    def _park_held(self, record: JobRecord, mark: str) -> None:
        who = record.identity
        self._update(who, parking(record.fields, self.burst_partition))
        self._mark(record, mark)
        self._still(who)
        with change():
            self.controller.release(who.key)

    def _update(self, who: JobIdentity, updates: Sequence[Sequence[str]]) -> None:
        for pairs in updates:
            self._still(who)
            with change():
                self.controller.update(who.key, pairs)

    def _still(self, who: JobIdentity) -> None:
        """Ask before each change, not once for all: a slurmctld that crashed in between may have
        given the id to somebody else."""
        if self._mine(who) is None:
            raise Unreachable(f"slurmctld can't say whose job {who.key} is")

    def _undo(self, record: JobRecord) -> None:
        who = record.identity
        self._update(who, undoing(record))
        self._update(who, mending(record, self._kept(who)))

    def _kept(self, who: JobIdentity) -> Mapping[str, str]:
        with question():
            return kept(self.controller.show(who).fields)

    def _restore(self, record: JobRecord) -> None:
        """Undo again what differs: a crash came between the updates, the partition's was first."""
        now = self._kept(record.identity)
        if any(now.get(name) != record.fields.get(name) for name in SHOWN):
            self._undo(record)

    def _let_go(self, record: JobRecord, seen: JobSight) -> None:
        """It may start at home, unless its user has requeued it to wait there."""
        who = record.identity
        # A requeued job may not start for two minutes (Slurm lets its credential expire first). Of
        # one that was not requeued the time may be its user's.
        with contextlib.suppress(Rejected):  # a site's rule against it must not leave the hold
            self._update(who, [["starttime=now"]] if seen.restarts else [])
        self._still(who)
        with change():
            if record.requeued_held:
                self.controller.hold_for_user(who.key)
            else:
                self.controller.release(who.key)

    def _mark(self, record: JobRecord, mark: str) -> None:
        if _UNMARKED in record.fields:
            return
        try:
            self._update(record.identity, [[f"extra={mark}"]])
        except Rejected:
            return  # Slurm before 23.02 has no such field
