"""What can happen to a burst. Past tense; each carries its own evidence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from burstd.domain.burst import Epoch, Fetch, Remains
from burstd.domain.jobs import JobRecord
from burstd.domain.targets import Money, Outcome, RemoteId


@dataclass(frozen=True)
class Event:
    """Base of every event."""


@dataclass(frozen=True)
class Begun(Event):
    """The next effect is about to be attempted."""


@dataclass(frozen=True)
class Kept(Event):
    """The job's record before any change of ours is written down; it may now be claimed."""

    record: JobRecord


@dataclass(frozen=True)
class Claimed(Event):
    """The stand-in runs in the burst partition and its agent has reported in."""

    epoch: Epoch


@dataclass(frozen=True)
class Reclaimed(Event):
    """The controller restarted, the claim survived: the durability barrier starts again."""

    epoch: Epoch


@dataclass(frozen=True)
class Done(Event):
    """The effect is known to have happened."""


@dataclass(frozen=True)
class Accepted(Event):
    """The target holds our work under ``remote_id``."""

    remote_id: RemoteId
    epoch: Epoch


@dataclass(frozen=True)
class Vanished(Event):
    """The target lost an acknowledged submission; proven absent, so it may be submitted again."""

    cause: str


@dataclass(frozen=True)
class Started(Event):
    """The target shows that the twin runs."""

    started_at: datetime


@dataclass(frozen=True)
class Signalled(Event):
    """Its payload was told to save its state and stop."""

    cause: str


@dataclass(frozen=True)
class Ended(Event):
    """The remote execution reached an end, proven by its record or the far scheduler."""

    outcome: Outcome


@dataclass(frozen=True)
class Unbegun(Event):
    """The target gave the twin up before it began, and nothing of it ran: proven twice."""

    cause: str


@dataclass(frozen=True)
class Recalled(Event):
    """The user (or an administrator) ended the job on-prem: its twin must stop."""

    cause: str


@dataclass(frozen=True)
class Skipped(Event):
    """Nobody can land results any more: the stand-in is gone."""

    cause: str


@dataclass(frozen=True)
class Requeued(Event):
    """Its user has requeued the job: it goes home, as the record says, and runs anew."""

    record: JobRecord


@dataclass(frozen=True)
class Settled(Event):
    """The job is over on-prem, the far side is clean but for what remains there, and this is
    what it cost."""

    core_hours: float
    cost: Money
    output: int | None = None
    remains: Remains | None = None


@dataclass(frozen=True)
class Fetched(Event):
    """Some of what remains is brought to its user, and paid; the rest stays until ``until``."""

    fetch: Fetch
    until: datetime


@dataclass(frozen=True)
class Cleared(Event):
    """Nothing remains at the target any more."""


@dataclass(frozen=True)
class Over(Event):
    """The job is over on-prem, or home: the durability barrier behind that starts."""

    epoch: Epoch


@dataclass(frozen=True)
class Deferred(Event):
    """A transient failure: the same effect is due again at ``due_at``."""

    due_at: datetime
    cause: str


@dataclass(frozen=True)
class Refused(Event):
    """A permanent failure, or somebody's wish (``asked_back``): this burst goes home."""

    cause: str
    asked_back: bool = False


@dataclass(frozen=True)
class Broken(Event):
    """A fault of burstd itself: stop this burst and call a human."""

    cause: str


@dataclass(frozen=True)
class OperatorEvent(Event):
    """An operator judged. ``why`` may be empty."""

    by: str
    why: str

    @property
    def deed(self) -> str:
        """What was done, and by whom."""
        return f"{type(self).__name__.lower()} by {self.by}"

    @property
    def cause(self) -> str:
        return f"{self.deed}: {self.why}" if self.why else self.deed


@dataclass(frozen=True)
class Quarantined(OperatorEvent):
    """burstd shall not touch this burst until somebody has looked at it."""


@dataclass(frozen=True)
class Released(OperatorEvent):
    """It may go on where it was: the cause is mended."""


@dataclass(frozen=True)
class Granted(OperatorEvent):
    """So many bytes of its results may come home, more than were paid for; this is put by now."""

    most_output: int
    reserved: Money

    @property
    def deed(self) -> str:
        return f"{self.by} approved that {self.most_output / 1e9:.3f} GB come home"


@dataclass(frozen=True)
class Abandoned(OperatorEvent):
    """burstd has nothing to do with it any more; ``cost`` is what it may have cost at most."""

    cost: Money
