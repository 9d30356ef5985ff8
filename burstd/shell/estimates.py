"""How estimates of starts fared: what was told of each waiting job first, and when it started."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import quantiles

from burstd.core.line import Line
from burstd.domain.estimates import Accuracy, Source
from burstd.domain.jobs import JobIdentity, JobState
from burstd.domain.plan import Snapshot
from burstd.domain.policy import BurstPolicy

COMPARED = 200  #: of the last starts
FEWEST = 10  #: below which nothing is said
#: What is told to start sooner is no wait: a scheduler's cycle alone may take that long.
SOON = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Told:
    """That a job will start in so long, and when that was said."""

    at: datetime
    wait: timedelta
    source: Source


@dataclass
class Estimates:
    """Losing it costs the veto its experience, no more."""

    _told: dict[JobIdentity, Told] = field(default_factory=dict)
    _parts: dict[Source, deque[float]] = field(
        default_factory=lambda: {source: deque(maxlen=COMPARED) for source in Source}
    )

    def hear(self, snapshot: Snapshot, policy: BurstPolicy) -> None:
        """Compare what started with what was told of it, and keep what is told of the others."""
        now, told = snapshot.queue.taken_at, self._told
        line = Line.of(snapshot, policy)
        kept: dict[JobIdentity, Told] = {}
        for job in snapshot.queue.jobs:
            before = told.get(job.identity)
            if job.state is JobState.PENDING and not job.tasks:
                if before is None and (start := line.start(job)) is not None:
                    before = Told(now, start.told, start.source)
                if before is not None:
                    kept[job.identity] = before
            elif (
                before is not None
                and job.state is JobState.RUNNING
                and job.partition != policy.burst_partition
            ):
                self._compare(before, now - job.elapsed)
        self._told = kept

    def accuracy(self) -> Mapping[Source, Accuracy]:
        """Of each source that has been compared often enough."""
        return {s: _accuracy(parts) for s, parts in self._parts.items() if len(parts) >= FEWEST}

    def _compare(self, told: Told, started: datetime) -> None:
        if told.wait >= SOON:
            waited = max(timedelta(), started - told.at)
            self._parts[told.source].append(waited / told.wait)


def _accuracy(parts: Sequence[float]) -> Accuracy:
    tenths = quantiles(parts, n=10, method="inclusive")
    return Accuracy(tenths[0], tenths[4], tenths[8], len(parts))
