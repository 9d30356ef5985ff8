"""The daemon's own decision at work on the rehearsed cluster."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from burstd.core.decide import decide
from burstd.core.money import egress, price
from burstd.domain.jobs import JobIdentity
from burstd.domain.plan import Placement, Plan, Reason, ScriptFacts, Snapshot
from burstd.domain.policy import BurstPolicy, Ledger
from burstd.domain.targets import Money, TargetView
from burstd.domain.usage import PastRun
from burstd.rehearsal.books import Books, Trip
from burstd.rehearsal.easy import Cluster
from burstd.rehearsal.history import History, PastJob
from burstd.rehearsal.lines import Lines, name
from burstd.rehearsal.measures import BILLED
from burstd.rehearsal.usage import Accounting, Clairvoyant, Remembered
from burstd.shell.calendar import closed
from burstd.shell.estimates import Estimates


@dataclass(frozen=True)
class Rule:
    """What a rehearsal goes by. ``epoch``: of the history's moment 0. ``cycle``: seconds from one
    decision to the next; 0: whenever a job comes or ends."""

    policy: BurstPolicy
    targets: tuple[TargetView, ...]
    epoch: datetime
    cycle: int = 0

    @property
    def delay(self) -> int:
        """Seconds until a job that leaves has begun elsewhere."""
        return int(self.policy.start_delay.total_seconds())

    def at(self, now: datetime, ledger: Ledger) -> BurstPolicy:
        """The policy of this moment."""
        return self.policy


class _Scripts(Mapping[JobIdentity, ScriptFacts]):
    """No history has them: each is there, of an application that may leave, and asks nothing."""

    _facts = ScriptFacts(present=True, application="")

    def __getitem__(self, _: JobIdentity) -> ScriptFacts:
        return self._facts

    def __iter__(self) -> Iterator[JobIdentity]:
        return iter(())

    def __len__(self) -> int:
        return 0


_SCRIPTS = _Scripts()


class Decided:
    """Chooses who leaves as the daemon would. ``knows``: how long each job will run."""

    def __init__(self, history: History, rule: Rule, *, knows: bool = False) -> None:
        self.books = Books(rule.policy)
        self._stays: dict[int, Reason] = {}
        self._rule = rule
        self._jobs = {job.number: job for job in history.jobs}
        self._lines = Lines(rule.epoch)
        self._views = {view.name: view for view in rule.targets}
        times = {job.number: timedelta(seconds=job.ran) for job in history.jobs}
        made = partial(Clairvoyant, times) if knows else Remembered
        self._accounting = Accounting(rule.policy.history, made)
        self._estimates = Estimates()
        self._ends: list[tuple[int, int]] = []

    @property
    def stayed(self) -> Counter[Reason]:
        """Of the jobs that waited and did not leave: why, when it was looked the last time."""
        return Counter(self._stays.values())

    def started(self, job: PastJob, now: int) -> None:
        """It runs at home from now on."""
        self._lines.started(job, now)
        heapq.heappush(self._ends, (now + job.ran, job.number))

    def __call__(self, cluster: Cluster) -> Sequence[int]:
        """Places in the line of those who leave now."""
        self._learn(cluster.now)
        now = self._lines.moment(cluster.now)
        ledger = self.books.ledger(now)
        policy = self._rule.at(now, ledger)
        snapshot = Snapshot(
            self._lines.queue(cluster),
            self._rule.targets,
            _SCRIPTS,
            self._accounting.usage,
            closed(policy, now),
            self._estimates.accuracy() if policy.veto else {},
        )
        plan = decide(snapshot, policy, ledger)
        if policy.veto:
            self._estimates.hear(snapshot, policy)
        gone = self._written_down(plan, now)
        if not gone:
            return ()
        return [place for place, job in enumerate(cluster.waiting) if job.number in gone]

    def _learn(self, now: int) -> None:
        while self._ends and self._ends[0][0] <= now:
            ended, number = heapq.heappop(self._ends)
            self._lines.ended(number)
            self._accounting.ended(_run(self._jobs[number]), ended)

    def _written_down(self, plan: Plan, now: datetime) -> set[int]:
        """The numbers of those who leave."""
        self.books.surging = plan.surging
        for declined in plan.declined:
            self._stays[declined.identity.key.job_id] = declined.reason
        for placed in plan.placements:
            number = placed.identity.key.job_id
            self._stays.pop(number, None)
            self._lines.left(number)
            ran = timedelta(seconds=self._jobs[number].ran)
            trip = Trip(placed, now, self._cost(placed, ran))
            self.books.begin(trip, now + self._rule.policy.start_delay + ran)
        return {placed.identity.key.job_id for placed in plan.placements}

    def _cost(self, placed: Placement, ran: timedelta) -> Money:
        view = self._views[placed.target]
        billed = price(placed.cores, placed.gpus, ran + timedelta(seconds=BILLED), view)
        comes = egress(self._rule.policy.most_output, view.egress)
        return Money(min(placed.reserved, billed + comes))


def _run(job: PastJob) -> PastRun:
    limit, ran = timedelta(seconds=job.limit), timedelta(seconds=job.ran)
    return PastRun(job.user, name(job), job.account, limit, ran, job.cores)
