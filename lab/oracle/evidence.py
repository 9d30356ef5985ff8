"""What the judge is shown: values only. Times are seconds since 1970, as one kernel gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from burstd.domain.audit import AuditRecord


@dataclass(frozen=True)
class Life:
    """One row of `sacct -D`: a job, or array task, from a start or requeue to its end."""

    key: str  #: 12 or 12_3
    name: str
    user: str
    state: str  #: the first word only
    exit_code: str
    partition: str
    submit: float
    start: float  #: 0 if it never started
    end: float  #: 0 if it goes on
    nodes: tuple[str, ...]

    @property
    def ran(self) -> bool:
        """It was on a node."""
        return self.start > 0 and bool(self.nodes) and self.nodes != ("None", "assigned")


@dataclass(frozen=True)
class Queued:
    """One line of `squeue`."""

    key: str
    name: str
    user: str
    state: str
    reason: str
    partition: str


@dataclass(frozen=True)
class Word:
    """One line of a payload's own witness file. `execution` is drawn anew by each start."""

    job: str
    execution: str
    word: str  #: start or end
    host: str
    at: float


@dataclass(frozen=True)
class FileSeen:
    """A file as it is, or as it must be."""

    sha256: str
    mode: int
    mtime: int  #: seconds
    uid: int = 1001


@dataclass(frozen=True)
class Row:
    """One burst of the ledger: whose it is, and its money."""

    id: str
    job: str
    stage: str
    open: bool
    reserved: float
    cost: float | None
    remains: bool = False  #: results at the target, behind its end


@dataclass(frozen=True)
class Errand:
    """What one job (or array task) has to come to."""

    key: str
    name: str
    ends: frozenset[tuple[str, str]]  #: allowed (State, ExitCode); the code "*" allows any
    files: Mapping[str, FileSeen] = field(default_factory=dict)  #: absolute path -> what is right
    lines: tuple[str, ...] = ()  #: its standard output, burstd's own lines aside
    output: str = ""  #: where that is
    starts: int = 1  #: how often the payload may start
    completes: bool = True  #: the payload must come to its end, once
    where: frozenset[str] = frozenset({"onprem", "cloud"})
    keeps: frozenset[str] = frozenset()  #: files of `files` that the user changed meanwhile
    cancelled_at: float | None = None  #: effective far away within `CANCEL_BOUND` of this


@dataclass(frozen=True)
class Evidence:
    """Everything, at one moment. What was not looked at is empty."""

    onprem: tuple[Life, ...] = ()
    far: tuple[Life, ...] = ()
    queue: tuple[Queued, ...] = ()
    far_queue: tuple[Queued, ...] = ()
    rows: tuple[Row, ...] = ()
    audit: tuple[AuditRecord, ...] = ()
    budget: float = 0.0
    errands: tuple[Errand, ...] = ()
    words: tuple[Word, ...] = ()
    homes: Mapping[str, FileSeen] = field(default_factory=dict)  #: all files of the users
    known: frozenset[str] = frozenset()  #: files that were there before, or may come
    outputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    glimpses: tuple[str, ...] = ()  #: files that were partial under their final names
    gone: Mapping[str, float] = field(default_factory=dict)  #: run directory -> when it vanished
    landed: Mapping[str, float] = field(default_factory=dict)  #: file -> when it was complete
    left: tuple[str, ...] = ()  #: processes, interfaces, temporary files, in words
    runs: tuple[str, ...] = ()  #: run directories at the far end

    def burst_of(self, twin: str) -> Row | None:
        """The ledger's row of a twin's name."""
        return next((row for row in self.rows if f"b-{row.id}" == twin), None)


ONPREM_NODES = frozenset({"n1", "n2"})
FAR_NODES = frozenset({"c1", "c2"})
