"""What one tick has seen: read once, used by every step of that tick."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field

import structlog

from burstd.domain.burst import Burst, BurstId
from burstd.domain.jobs import JobKey, QueuedJob, QueueSnapshot
from burstd.domain.requests import Request, RequestKind
from burstd.domain.targets import RemoteJob, RemoteState, TargetName, WorkKey
from burstd.ports.errors import PortError
from burstd.shell.world import World

log = structlog.get_logger()


@dataclass(frozen=True)
class Sight:
    """The queue (``None``: unreadable), what the targets say of our work, in bulk, and what
    people ask."""

    queue: QueueSnapshot | None = None
    lines: Mapping[JobKey, QueuedJob] = field(default_factory=dict)
    remote: Mapping[WorkKey, RemoteJob] = field(default_factory=dict)
    requests: Mapping[BurstId, frozenset[Request]] = field(default_factory=dict)
    versions: Mapping[BurstId, int] = field(default_factory=dict)  #: of the bursts as they were
    frozen: bool = False  #: an operator lets nothing new leave
    #: Uptime in seconds since when Slurm says that a burst's job is not there.
    lost_since: MutableMapping[BurstId, float] = field(default_factory=dict)
    #: Bursts whose job shall be ended, and could not be this time: nobody has been heard.
    stuck: set[BurstId] = field(default_factory=set)

    def missing(self, job: JobKey) -> bool:
        """True if the queue was read and does not list the job: time to look closer, no more."""
        return self.queue is not None and job not in self.lines

    def asked(self, burst: Burst, kind: RequestKind) -> Request | None:
        """What somebody asked of it."""
        mine = self.requests.get(burst.id, frozenset())
        return next((request for request in mine if request.kind is kind), None)

    def heard(self, burst: Burst) -> frozenset[RequestKind]:
        """What kinds of things people ask of it, as far as that is being done."""
        kinds = frozenset(request.kind for request in self.requests.get(burst.id, ()))
        return kinds - {RequestKind.CANCEL} if burst.id in self.stuck else kinds


def take_sight(
    world: World,
    queue: QueueSnapshot | None,
    lost_since: MutableMapping[BurstId, float],
    *,
    frozen: bool,
) -> Sight:
    """Poll each target once for all of its open work. A silent target is only unknown."""
    lines: dict[JobKey, QueuedJob] = {}
    for job in queue.jobs if queue else ():
        lines |= dict.fromkeys(job.elements, job)
    remote: dict[WorkKey, RemoteJob] = {}
    bursts = world.store.open_bursts()
    for name, keys in _open_work(bursts).items():
        try:
            remote |= world.sites[name].target.poll(keys)
        except PortError as error:
            log.warning("target.unreachable", target=name, cause=str(error))
    for key, twin in remote.items():
        if twin.remark:
            log.warning("twin.unreadable", key=key, cause=twin.remark)
    versions = {burst.id: burst.version for burst in bursts}
    for gone in lost_since.keys() - versions.keys():
        del lost_since[gone]
    requests = world.store.requests()
    return Sight(queue, lines, remote, requests, versions, frozen, lost_since)


def state_of(sight: Sight, burst: Burst) -> RemoteState:
    """The bulk poll's answer for this burst; it tells nothing of what we did since."""
    seen = sight.remote.get(burst.work_key)
    moved = sight.versions.get(burst.id) != burst.version
    return RemoteState.UNKNOWN if seen is None or moved else seen.state


def _open_work(bursts: Iterable[Burst]) -> Mapping[TargetName, list[WorkKey]]:
    work: dict[TargetName, list[WorkKey]] = defaultdict(list)
    for burst in bursts:
        if burst.remote_id is not None and burst.outcome is None:
            work[burst.target].append(burst.work_key)
    return work
