"""The invariants that hold after every event, judged by what the world shows.

The numbers are those of the failure model (docs/faults-simulated.md). The ledger is believed only
where it is the matter itself (money, chain, moves) and for which bursts there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from sqlalchemy import Engine

from burstd.domain.burst import Stage
from burstd.domain.targets import RemoteState, WorkKey
from burstd.testing.agents import mark
from burstd.testing.slurm_jobs import OVER, SimulatedJob, key_text
from tests.sim.calls import FAR_CHANGE, SLURM_CHANGE, Call
from tests.sim.ledger import LedgerWatch, Row
from tests.sim.site import Site

Face = tuple[str, str, str, str]


@dataclass
class Known:
    """What the daemons were shown, by daemon and job; gone with them."""

    looked: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    #: Whose job it is, since the daemon's last change of it.
    asked: dict[tuple[str, str], str] = field(default_factory=dict)
    owed: set[tuple[str, str]] = field(default_factory=set)  #: holds that came to a stranger


@dataclass
class Checker:
    """``wrong``: every violation, once, with the event after which it was seen."""

    site: Site
    budget: Decimal
    licences: int = 0  #: there are so many; 0: nobody needs any
    #: A late command or another daemon may submit a second twin: it is found and ended.
    lenient: bool = False
    ledger: LedgerWatch = field(default_factory=LedgerWatch)
    wrong: list[str] = field(default_factory=list)
    event: int = 0
    races: int = 0  #: strangers that got an id between a look and the next call: nobody could know
    owners: dict[str, str] = field(default_factory=dict)  #: burst -> mark of its job
    faces: dict[Face, str] = field(default_factory=dict)  #: every identity that was ever seen
    stood: dict[str, int] = field(default_factory=dict)  #: mark -> event when it last stood in
    known: Known = field(default_factory=Known)
    starts: Counter[str] = field(default_factory=Counter)
    scancelled: set[str] = field(default_factory=set)  #: by burstd, and slurmctld took it
    _seen_runs: int = 0
    _seen_executions: int = 0

    # --- after every event

    def after(self, database: Engine) -> None:
        """Judge the world as it is now."""
        self.event += 1
        for violation in (*self._world(), *self._ledger(database)):
            self.note(violation)

    def _world(self) -> Iterator[str]:
        slurm, target = self.site.slurm, self.site.target
        for job in slurm.jobs:
            name = mark(job)
            face = (key_text(job), job.submitted_at.isoformat(), job.user, job.name)
            self.faces.setdefault(face, name)
            if job.state == "RUNNING" and job.shown["Partition"] == slurm.burst_partition:
                self.stood[name] = self.event
        yield from self._one_at_a_time()
        for run in slurm.runs[self._seen_runs :]:
            yield from self._started(f"#{run.serial}", "onprem")
        self._seen_runs = len(slurm.runs)
        for key in target.executions[self._seen_executions :]:
            yield from self._started(target.runs.get(key, key), key)
        self._seen_executions = len(target.executions)

    def _one_at_a_time(self) -> Iterator[str]:
        """1."""
        living = [(mark(job), "onprem") for job in self.site.local()]
        living += [(name, key) for key, name in self.site.far()]
        if len(living) > 1:
            for name, count in Counter(name for name, _ in living).items():
                if count > 1 and name not in self.site.moved:  # that is a recall: see 23
                    places = [where for one, where in living if one == name]
                    yield f"1: {name} lives {count} times: {places}"

    def _started(self, name: str, where: str) -> Iterator[str]:
        """2: none after a success, but where Slurm itself forgot the end of its own job."""
        self.starts[name] += 1
        ended = [end.where for end in self.site.ends if end.mark == name]
        job = self._job(name)
        again = where == "onprem" and set(ended) == {"onprem"}
        if again and len(ended) <= self.site.forgiven.get(name, 0):
            return
        if ended and name in self.site.requeued and set(ended) <= self.site.target.forgotten.keys():
            return  # who wanted it to begin anew could not be told that it had ended
        if ended and name not in self.site.moved:
            yield f"2: {name} starts at {where} though it has ended at {ended}"
        saved = self.site.saved.get(name, "") if where == "onprem" else ""
        if saved and saved not in self.site.agents.home and name not in self.site.moved:
            yield f"11: {name} goes on at home without what it has saved as {saved}"
        if where == "onprem" and self._cancelled(name):
            yield f"23: {name} starts at home though its user has ended it"
        if where == "onprem" and job is not None and name not in self.site.moved:
            asked = self.site.asked.get(name, {})
            changed = {
                n: job.shown.get(n) for n, may in asked.items() if job.shown.get(n) not in may
            }
            if changed:
                yield f"7: {name} starts at home and is not what it was: {changed}"

    def _cancelled(self, name: str) -> bool:
        """What an operator wants of an open burst is carried out at the next tick."""
        if name not in self.site.cancelled:
            return False
        rows = self.ledger.rows.values()
        heard = any(row.open and self.owners.get(row.id) == name for row in rows)
        return name not in self.site.doomed or not heard

    def _ledger(self, database: Engine) -> Iterator[str]:
        before = self.ledger.seen
        yield from self.ledger.news(database)
        if self.ledger.seen != before:
            yield from self.ledger.money(self.budget)
            yield from self.ledger.licences(self.licences)
            for row in self.ledger.rows.values():
                if row.id not in self.owners:
                    yield from self._leaves(row)
            yield from self._holds()
            yield from self._unheard()
        yield from self._twins()

    def _leaves(self, row: Row) -> Iterator[str]:
        """21: nobody goes to and fro."""
        self.owners[row.id] = owner = self.faces.get(row.face, "nobody")
        trips = [
            r for r in self.ledger.rows.values() if self.owners.get(r.id) == owner and r.target
        ]
        home = [r.id for r in trips if r.came_back]
        stopped = [key for name, key in self.site.saved.items() if name == owner]
        if row.target and (home or stopped):
            yield f"21: {owner} leaves as {row.id} though {home or stopped} came home"

    def _unheard(self) -> Iterator[str]:
        """23: no burst is closed whose job an operator wants ended and nobody has ended."""
        still = {self.owners.get(r.id) for r in self.ledger.rows.values() if r.open}
        for name in self.site.doomed - self.scancelled - still:
            job = self._job(name)
            if job is not None and job.state not in OVER and not job.cancelled:
                yield f"23: {name} is {job.state}, its burst is closed, and its end was asked for"

    def _twins(self) -> Iterator[str]:
        """4: none that is in no ledger, and of no burst two at once."""
        works = [work.job for work in self.site.target.work.values()]
        for key, count in Counter(w.key for w in works if w.state is not RemoteState.ENDED).items():
            if count > 1 and not self.lenient:
                yield f"4: {count} twins of {key} are at the target"
        for work in works:
            if self._row_of(work.key) is None:
                yield f"4: {work.key} is at the target and in no ledger"

    def _holds(self) -> Iterator[str]:
        """21: a burst that is closed has left no hold, not even on a job that runs."""
        bursting = {self.owners[r.id] for r in self.ledger.rows.values() if r.open}
        stuck = {
            self.owners[r.id]
            for r in self.ledger.rows.values()
            if r.stage == Stage.QUARANTINED.value
        }
        for job in self.site.slurm.jobs:
            held = job.held and job.reason != "JobHeldUser" and job.state not in OVER
            name = mark(job)
            if held and name in set(self.owners.values()) - bursting - stuck:
                yield f"21: {name} ({key_text(job)}) is {job.state}, and a hold is left on it"

    # --- around burstd's own calls

    def before_call(self, call: Call, *, late: bool = False) -> None:
        """Judge what a call is about to change. ``late``: its daemon made it a while ago, and no
        look since could hold it up."""
        kind = call.kind
        if kind == SLURM_CHANGE:
            argv = call.args[0]
            if argv[0] in {"scontrol", "scancel"}:
                for violation in self._strangers(call.daemon, argv[-1], argv):
                    self.note(violation)
        elif kind == FAR_CHANGE and call.name == "clean":
            for violation in self._clean(call.args[0]):
                self.note(violation)
        elif kind == FAR_CHANGE and call.name == "start":
            for violation in self._start(call.daemon, call.args[0], late=late):
                self.note(violation)

    def before_late(self, call: Call) -> None:
        """Judge on what a call is made whose effect comes later."""
        if call.kind == FAR_CHANGE and call.name == "start":
            for violation in self._looked(call.daemon, call.args[0]):
                self.note(violation)

    def after_slurm(self, call: Call) -> None:
        """slurmctld has answered. It has shown a job: what burstd knows of it is as of now."""
        argv = call.args[0]
        if argv[0] == "scancel":
            self.scancelled |= {mark(job) for job in self._named(argv[-1])}
        if tuple(argv[:3]) == ("scontrol", "show", "job"):
            for job in self._named(argv[-1]):
                self.known.looked[call.daemon, argv[-1]] = (self.event, mark(job))
                self.known.asked[call.daemon, argv[-1]] = mark(job)

    def _strangers(self, daemon: str, last: str, argv: tuple[str, ...]) -> Iterator[str]:
        """5: what is changed is a job of which there is a burst, asked for before each change."""
        key = next((w[6:] for w in argv if w.startswith("jobid=")), last)
        known = self.known.asked.pop((daemon, key), "")
        for job in self._named(key):
            if mark(job) in self.owners.values():
                continue
            if known in self.owners.values():
                self.races += 1
                if argv[1] == "hold":
                    self.known.owed.add((daemon, key))
                continue
            if argv[1] == "release" and (daemon, key) in self.known.owed:
                self.known.owed.remove((daemon, key))
                continue
            yield f"5: {' '.join(argv)} hits {mark(job)}, a stranger's job"

    def _start(self, daemon: str, key: WorkKey, *, late: bool) -> Iterator[str]:
        """3: a start only for a stand-in, seen at the last look, whose claim no crash can undo."""
        works = [w for w in self.site.target.work.values() if w.job.key == key]
        if not any(work.job.state is RemoteState.HELD for work in works):
            return
        if key in self.site.target.executions:
            yield f"2: {key} is let start once more: its scheduler forgot that it had begun"
        if key.removeprefix("b-") not in self.ledger.permits:
            yield f"3: {key} starts without a permit"
        name = self.site.target.runs.get(key, "")
        job = self._job(name)
        if job is None:
            if not self._forgotten(name):
                yield f"3: {key} starts and nobody knows its job {name}"
            return
        if not late:
            yield from self._looked(daemon, key)
        saved = self.site.slurm.saved(job.serial)
        burst = self.site.slurm.burst_partition
        for version, how in ((job, "is"), (saved, "would, after a crash, be")):
            if version is None or version.state in OVER:
                continue
            if version.shown["Partition"] != burst:
                yield f"3: {key} starts while {name} {how} {version.state} at home"

    def _looked(self, daemon: str, key: WorkKey) -> Iterator[str]:
        """3: the last look of who makes the call, before it is made."""
        name = self.site.target.runs.get(key, "")
        job = self._job(name)
        if job is None:
            return
        at, _ = self.known.looked.get((daemon, key_text(job)), (0, ""))
        if self.stood.get(name, 0) < at:
            yield f"3: {key} starts though {name} was {job.state} when it was looked at"

    def _clean(self, key: WorkKey) -> Iterator[str]:
        """11: results stay at the far end until they are at home, or the job begins anew there."""
        target = self.site.target
        name = target.runs.get(key)
        if name is None or key not in target.executions or key in self.site.agents.home:
            return
        job = self._job(name)
        if job is None or name in self.site.requeued:
            return
        if job.shown["Partition"] == self.site.slurm.burst_partition:
            yield f"11: {key} is cleaned before its results are at home; {name} is {job.state}"

    # --- inside

    def note(self, violation: str) -> None:
        if violation not in self.wrong:
            self.wrong.append(violation)

    def _named(self, key: str) -> list[SimulatedJob]:
        return [job for job in self.site.slurm.jobs if key in (key_text(job), str(job.job_id))]

    def _job(self, name: str) -> SimulatedJob | None:
        return next((job for job in self.site.slurm.jobs if mark(job) == name), None)

    def _forgotten(self, name: str) -> bool:
        """slurmctld keeps ended jobs for MinJobAge only."""
        lives = [job for job in self.site.slurm.accounting.values() if mark(job) == name]
        return bool(lives) and lives[-1].state in OVER

    def _row_of(self, key: WorkKey) -> Row | None:
        return self.ledger.rows.get(key.removeprefix("b-"))
