"""A far scheduler with one held queue, and a link that can be cut."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from burstd.domain.findings import Area, Finding
from burstd.domain.links import LinkName, LinkView
from burstd.domain.targets import (
    BEGUN_BEFORE,
    Capabilities,
    Generation,
    Image,
    Money,
    Outcome,
    RemoteId,
    RemoteJob,
    RemoteState,
    RunState,
    TargetName,
    TargetView,
    Ticket,
    WorkKey,
    WorkOrder,
)
from burstd.ports.errors import Rejected, Unreachable
from burstd.testing.clock import SteppedClock
from burstd.testing.saves import NEVER, SAVED_AFTER, Saves

CLOUD = "cloud"
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
#: A controller that comes back finds out which of its nodes run what it does not know of.
ABORTED_AFTER = timedelta(seconds=10)


@dataclass
class SimulatedLink:
    """``ports.link.Link``. ``cut``: the far gate does not answer."""

    name: LinkName = field(default=LinkName(CLOUD))
    cut: bool = False
    up: bool = False
    raised: int = 0  #: how often it was brought up
    lowered: int = 0

    def view(self) -> LinkView:
        return LinkView(self.name, up=self.up and not self.cut, session=self.up)

    def ensure_up(self) -> None:
        if self.cut:
            raise Unreachable(f"link {self.name}: no handshake")
        self.raised += not self.up
        self.up = True

    def ensure_down(self) -> None:
        self.lowered += self.up
        self.up = False


@dataclass(frozen=True)
class Work:
    """One remote job: ``order`` as it was handed in, ``job`` as it is shown."""

    order: WorkOrder
    job: RemoteJob
    started_at: datetime | None = None


@dataclass
class SimulatedTarget:
    """``ports.target.Target`` in memory; a crash forgets what is younger than five seconds.

    ``executions`` is the witness: one entry each time a payload really started. ``runs`` are the
    run directories, with what the agent left in each as the payload's mark. ``orphans`` run on
    though the controller forgot that it started them, until it finds them; ``forgotten`` is how
    long such runs had their cores.
    """

    clock: SteppedClock
    name: TargetName = field(default=TargetName(CLOUD))
    price: Money = field(default=Money(Decimal("0.05")))
    egress: Money = field(default=Money(Decimal(0)))  #: per GB
    capabilities: Capabilities = field(
        default_factory=lambda: Capabilities(16, 1024, timedelta(days=2))
    )
    link: SimulatedLink | None = None  #: nothing answers while it is not up
    users: Mapping[str, str] = field(default_factory=lambda: {"alice": "cae01", "bob": "cae02"})
    away: bool = False  #: the far controller does not answer
    silent: bool = False  #: it answers, and knows nothing of our work for now
    stubborn: bool = False  #: a cancel is accepted and has no effect yet
    deaf: bool = False  #: no signal comes through
    rejects: bool = False
    busy: bool = False  #: no node is free: what may start waits
    #: Keys that accounting has no row of yet: slurmdbd was away, slurmctld has not told it all.
    unlisted: set[WorkKey] = field(default_factory=set)
    boots: int = 1
    work: dict[RemoteId, Work] = field(default_factory=dict)
    executions: list[WorkKey] = field(default_factory=list)
    cleaned: list[WorkKey] = field(default_factory=list)
    runs: dict[WorkKey, str] = field(default_factory=dict)
    orphans: dict[WorkKey, Work] = field(default_factory=dict)
    forgotten: dict[WorkKey, timedelta] = field(default_factory=dict)
    records: dict[WorkKey, int] = field(default_factory=dict)  #: exit codes by the runners' records
    images: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=dict)  #: by site
    signals: dict[WorkKey, str] = field(default_factory=dict)  #: what running payloads have got
    _next_id: int = 1
    _back_at: datetime = _LONG_AGO
    _saves: Saves[tuple[int, dict[RemoteId, Work]]] = field(default_factory=Saves)

    def __post_init__(self) -> None:
        self._saves.kept.append((NEVER, (self._next_id, {})))

    # --- the port

    def mark(self, site: str) -> str | None:
        self._asked("mark")
        return self.marks.get(site)

    def keep_mark(self, site: str, text: str) -> None:
        self._asked("keep_mark")
        self.marks[site] = text

    def observe(self) -> TargetView:
        return TargetView(self.name, self.capabilities, self.price, egress=self.egress)

    def examine(self) -> Iterator[Finding]:
        area = Area(f"target {self.name}")
        try:
            self._asked("examine")
        except Unreachable as error:
            yield area.failed("login", str(error), "end the simulated outage")
            return
        yield area.ok("login", f"answers, boot {self.boots}")

    def prepare(self, image: Image) -> None:
        self._asked("prepare")
        self.images.add(image.digest)

    def ticket(self, key: WorkKey, user: str, public_key: str) -> Ticket:
        self._asked("ticket")
        far_user = self._far_user(user)
        expires = self.clock.now() + timedelta(hours=1)
        return Ticket("simulated", expires, {"user": far_user, "key": key})

    def generation(self) -> Generation:
        self._asked("generation")
        return Generation(str(self.boots))

    def submit(self, work: WorkOrder) -> RemoteId:
        self._asked("submit")
        self._far_user(work.user)
        if self.rejects or work.shape.cpus > self.capabilities.max_cores:
            raise Rejected("the far scheduler will never run this")
        remote_id = RemoteId(str(self._next_id))
        self._next_id += 1
        self.work[remote_id] = Work(work, RemoteJob(remote_id, work.key, RemoteState.HELD))
        self._note()
        return remote_id

    def find(self, key: WorkKey) -> RemoteJob | None:
        self._asked("find")
        if self.silent or key in self.unlisted:
            raise Unreachable("the far accounting does not answer")
        mine = self._under(key)
        for spare in mine[1:]:
            if spare.state in _WAITING:
                self._set(spare, RemoteState.ENDED, Outcome("cancelled"))
        return mine[0] if mine else None

    def poll(self, keys: Sequence[WorkKey]) -> Mapping[WorkKey, RemoteJob]:
        self._asked("poll")
        nothing = RemoteId("")
        unknown = set(keys) if self.silent else self.unlisted
        return {
            key: next(
                iter(() if key in unknown else self._under(key)),
                RemoteJob(nothing, key, RemoteState.UNKNOWN),
            )
            for key in keys
        }

    def run_state(self, key: WorkKey, user: str) -> RunState:
        self._asked("run_state")
        self._far_user(user)
        if key not in self.executions:
            return RunState.NEVER if key in self.runs else RunState.ABSENT
        return (
            RunState.RUNNING
            if key in {work.job.key for work in self.on_nodes()}
            else (RunState.OVER)
        )

    def start(self, key: WorkKey) -> None:
        self._asked("start")
        job = self.find(key)
        if job is None:
            raise Unreachable(f"{key} is not here: it can't be started")
        if job.state is RemoteState.HELD:
            self._set(job, RemoteState.QUEUED)

    def cancel(self, key: WorkKey) -> None:
        self._asked("cancel")
        if not self.stubborn:
            self.end_by_hand(key)

    def signal(self, key: WorkKey, name: str) -> None:
        self._asked("signal")
        if self.deaf:
            raise Unreachable("the node does not answer")
        if key not in self.signals and self.state_of(key) is RemoteState.RUNNING:
            self.signals[key] = name

    def clean(self, key: WorkKey, user: str) -> None:
        self._asked("clean")
        if user not in self.users:
            return  # nobody there, so nothing of theirs
        self.cleaned.append(key)
        self.runs.pop(key, None)

    def tidy(self) -> None:
        self._asked("tidy")

    # --- the world's hands

    def lay(self, key: WorkKey, user: str, mark: str) -> None:
        """What the agent leaves in the run directory, over the link. Raises ``Rejected``."""
        self._asked("lay")
        self._far_user(user)
        self.runs[key] = mark

    def schedule(self) -> None:
        """Queued work starts; the runner refuses to start one key twice."""
        for key in list(self.orphans):
            if self.clock.now() >= self._back_at + ABORTED_AFTER:
                self._orphan_ends(key)
        for work in list(self.work.values()):
            if work.job.state is not RemoteState.QUEUED or self.busy:
                continue
            if work.job.key in self.executions:
                self._orphan_ends(work.job.key)  # its node takes no second job of one id
                self._set(work.job, RemoteState.ENDED, Outcome("exited", BEGUN_BEFORE))
                continue
            self.executions.append(work.job.key)
            self.work[work.job.id] = replace(work, started_at=self.clock.now())
            self._set(work.job, RemoteState.RUNNING)

    def finish(self, key: WorkKey, reason: str, code: int | None = None) -> None:
        """The running payload of this key ends, or is lost with its node."""
        if reason == "exited" and code is not None:
            self.records[key] = code
        if key in self.orphans:
            self._orphan_ends(key)
        for work in list(self.work.values()):
            if work.job.key == key and work.job.state is RemoteState.RUNNING:
                outcome = Outcome(reason, code, elapsed=self._elapsed(work))
                self._set(work.job, RemoteState.ENDED, outcome)

    def finish_all(self, outcome: Outcome | None = None) -> None:
        """Running payloads end, with exit code 0 if nothing else is asked."""
        for work in list(self.work.values()):
            if work.job.state is RemoteState.RUNNING:
                self._set(
                    work.job, RemoteState.ENDED, outcome or Outcome("exited", 0, elapsed=_HOUR)
                )
        for key in list(self.orphans):
            self.finish(key, "exited", 0)

    def end_by_hand(self, key: WorkKey) -> None:
        """A far administrator's ``scancel``."""
        for work in list(self.work.values()):
            if work.job.key == key and work.job.state in _OPEN:
                outcome = Outcome("cancelled", elapsed=self._elapsed(work))
                self._set(work.job, RemoteState.ENDED, outcome)

    def crash(self, forgets: timedelta = SAVED_AFTER) -> None:
        """The far controller dies and comes back, without what is younger than ``forgets``.

        What runs goes on running. If it was not saved as started, only until the restarted
        slurmctld finds it on its node and aborts it there (``Registered PENDING`` in Slurm's
        job_mgr.c). What has ended and was not saved as ended is on no node any more: lost.
        """
        horizon = self.clock.now() - forgets
        was, self._back_at = self.work, self.clock.now()
        self._next_id, saved = self._saves.back(horizon)
        self.work = dict(saved)
        for id_, work in saved.items():
            if work.job.state is RemoteState.RUNNING:
                self.work[id_] = was[id_]
                outcome = was[id_].job.outcome
                if outcome is not None:
                    lost = replace(outcome, reason="lost", exit_code=None)
                    self.work[id_] = replace(was[id_], job=replace(was[id_].job, outcome=lost))
        for id_, work in was.items():
            if work.started_at is not None and id_ in saved and saved[id_].started_at is None:
                self.orphans[work.job.key] = work
                if work.job.state is not RemoteState.RUNNING:
                    self._orphan_ends(work.job.key)
        self.boots += 1
        self._saves = Saves([(horizon, (self._next_id, copy.copy(self.work)))])

    def on_nodes(self) -> list[Work]:
        """What really runs at this instant, whatever the controller knows."""
        known = [w for w in self.work.values() if w.job.state is RemoteState.RUNNING]
        return [*known, *self.orphans.values()]

    def state_of(self, key: WorkKey) -> RemoteState | None:
        """What a far administrator would see of this work."""
        return next((w.job.state for w in self.work.values() if w.job.key == key), None)

    # --- inside

    def _orphan_ends(self, key: WorkKey) -> None:
        work = self.orphans.pop(key, None)
        if work is not None:
            told = work.job.outcome.elapsed if work.job.outcome else self._elapsed(work)
            self.forgotten[key] = self.forgotten.get(key, timedelta()) + told

    def _under(self, key: WorkKey) -> list[RemoteJob]:
        """Our jobs of this key, first the one that is meant."""
        mine = [work.job for work in self.work.values() if work.job.key == key]
        return sorted(mine, key=lambda job: (not _begun(job), job.state not in _WAITING))

    def _elapsed(self, work: Work) -> timedelta:
        """No time where it never ran; a second at least where it did."""
        if work.job.state is not RemoteState.RUNNING:
            return timedelta()
        return max(_SECOND, self.clock.now() - (work.started_at or self.clock.now()))

    def _asked(self, what: str) -> None:
        self.calls.append(what)
        if self.away or (self.link is not None and not self.link.view().up):
            raise Unreachable(f"{self.name} does not answer")

    def _far_user(self, user: str) -> str:
        if user not in self.users:
            raise Rejected(f"{user} has no account at {self.name}")
        return self.users[user]

    def _set(self, job: RemoteJob, state: RemoteState, outcome: Outcome | None = None) -> None:
        old = self.work[job.id]
        place = "c1" if state is RemoteState.RUNNING else job.place
        fresh = replace(old.job, state=state, outcome=outcome, place=place)
        self.work[job.id] = replace(old, job=fresh)
        self._note()

    def _note(self) -> None:
        self._saves.note(self.clock.now(), (self._next_id, copy.copy(self.work)))


def _begun(job: RemoteJob) -> bool:
    if job.outcome is None:
        return job.state is RemoteState.RUNNING
    return job.outcome.ran


_WAITING = frozenset({RemoteState.HELD, RemoteState.QUEUED})
_OPEN = frozenset({RemoteState.HELD, RemoteState.QUEUED, RemoteState.RUNNING})
_HOUR = timedelta(hours=1)
_SECOND = timedelta(seconds=1)
