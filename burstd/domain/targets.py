"""Where jobs can go: cloud partitions, what they offer, and what runs there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import NewType

from burstd.domain.jobs import Shape

TargetName = NewType("TargetName", str)
RemoteId = NewType("RemoteId", str)
WorkKey = NewType("WorkKey", str)
"""Idempotency key of one execution; written on the remote job and its run directory."""
Generation = NewType("Generation", str)
"""Opaque; differs when the far scheduler may have lost work that it had acknowledged."""
Money = NewType("Money", Decimal)
"""An amount in the site's one currency."""


@dataclass(frozen=True)
class Capabilities:
    """What a target can do; declared once, as data, never discovered by trying."""

    max_nodes: int
    max_cores: int
    max_time: timedelta
    max_gpus: int = 0
    gpu_types: frozenset[str] = frozenset()  #: besides those that no type is named of
    node_cores: int | None = None  #: ``None``: not told, as below
    node_memory: int | None = None  #: MiB


@dataclass(frozen=True)
class TargetView:
    """One look at a target. The price lets the core reckon without I/O."""

    name: TargetName
    capabilities: Capabilities
    price: Money  #: per core-hour
    users: frozenset[str] | None = None  #: who has an account there; ``None``: everybody
    open: bool = True  #: takes new work; an unreachable target whose link is down may be open
    overhead: timedelta = timedelta()  #: how long work may keep its cores beyond its time limit
    #: How fast an application runs there, against here; what is missing was not configured.
    speeds: Mapping[str, float] = field(default_factory=dict)
    cores: int | None = None  #: most that bursts may have there at once
    egress: Money = field(default=Money(Decimal(0)))  #: per GB (10^9 bytes) that comes home
    gpu_price: Money = field(default=Money(Decimal(0)))  #: per GPU-hour, beside its cores
    gpus: int | None = None  #: most that bursts may have there at once


@dataclass(frozen=True)
class Image:
    """A container image as a file on-prem; ``digest`` is its SHA-256 in hex."""

    name: str
    path: str
    digest: str


@dataclass(frozen=True)
class WorkOrder:
    """All that a target needs to run one job. ``key`` makes submission idempotent."""

    key: WorkKey
    user: str  #: the on-prem user; the target maps it to its own
    shape: Shape
    time_limit: timedelta
    image: Image


class RemoteState(Enum):
    """What became of our work. UNKNOWN is never read as an ending."""

    HELD = "held"
    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"
    UNKNOWN = "unknown"


class RunState(Enum):
    """What a run directory shows of its work, whatever the far scheduler remembers of it."""

    ABSENT = "absent"  #: there is none: nothing began it, as long as its file system is there
    NEVER = "never"  #: nothing began it
    RUNNING = "running"
    OVER = "over"

    @property
    def began(self) -> bool:
        return self in {RunState.RUNNING, RunState.OVER}


#: The runner's own exit status where it found that the work had begun before: sysexits.h,
#: EX_TEMPFAIL. It says nothing of the payload.
BEGUN_BEFORE = 75
#: With which a script ends that has saved its state to go on later, as where Grid Engine is the
#: scheduler: there it means "requeue me".
CHECKPOINTED = 99


@dataclass(frozen=True)
class Outcome:
    """How an execution ended. ``exit_code``/``signal`` are those of the payload."""

    reason: str  #: exited, signalled, timeout, cancelled, failed_to_start, lost, never_started
    exit_code: int | None = None
    signal: int | None = None
    elapsed: timedelta = timedelta()
    detail: str = ""

    @property
    def ran(self) -> bool:
        """It did begin, by what the far scheduler knows."""
        return self.reason != "cancelled" or self.elapsed > timedelta()

    @property
    def by_itself(self) -> bool:
        """The payload came to its own end: nobody stopped it and nothing was lost."""
        return self.reason in {"exited", "signalled", "timeout"}


@dataclass(frozen=True)
class RemoteJob:
    """Our work as the target shows it."""

    id: RemoteId
    key: WorkKey
    state: RemoteState
    outcome: Outcome | None = None  #: set exactly when ENDED
    place: str = ""  #: where it runs or ran, in the target's words; empty: nowhere
    remark: str = ""  #: what the target says of it and nobody can read; proves nothing


@dataclass(frozen=True)
class Ticket:
    """A short-lived right to one burst's run directory at the target's depot.

    ``kind`` names the depot adapter; ``fields`` are its own (addresses, certificates), all text.
    """

    kind: str
    expires_at: datetime
    fields: Mapping[str, str]
