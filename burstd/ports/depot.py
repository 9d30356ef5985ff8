"""The seam for moving one burst's files. The agent holds it, as the job's user."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from burstd.domain.data import InputFile, OutputFile


@dataclass(frozen=True)
class Execution:
    """What the far end is to run, beside the script's bytes and the inputs."""

    arguments: tuple[str, ...]
    directory: str
    environment: Mapping[str, str]
    exports: Mapping[str, str]  #: SLURM_ variables with the on-prem values
    roots: tuple[str, ...]  #: directories whose new and changed files come back
    directories: tuple[tuple[str, int], ...]  #: with their modes, of those that hold no input
    merged: bool
    time_limit_s: float
    live: tuple[str, ...]
    secret: str  #: hex; proves that the end record is the runner's


@dataclass(frozen=True)
class Growing:
    """What can be followed now: sizes in bytes by stream name or absolute path. ``over``: nothing
    of it will grow any more; that proves nothing (``outputs`` does). ``changed``: when each of the
    files was written to last, ns since 1970, where that is known."""

    stdout: int = 0
    stderr: int = 0
    files: Mapping[str, int] = field(default_factory=dict)
    over: bool = False
    changed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """What a job has left behind."""

    results: Sequence[OutputFile] = ()
    outside: Sequence[str] = ()  #: paths outside the roots that it has written to
    deleted: Container[str] = frozenset()  #: inputs that it has removed
    exit_code: int | None = None  #: of a payload that came to its own end


@dataclass(frozen=True)
class Seen:
    """A file at the far end as it is now; two that are equal are the same bytes."""

    path: str
    size: int
    mtime_ns: int
    mode: int
    inode: int


Came = Callable[[int], object]


@dataclass
class Going:
    """How far what travels has come; several threads may add to it."""

    total: int = 0  #: bytes; 0: nothing travels
    done: int = 0  #: bytes that are there, or nearly
    waiting: int = 0  #: files that lack what another job's agent is bringing
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def begin(self, total: int) -> None:
        """So many bytes are to travel, none has."""
        with self._lock:
            self.total, self.done, self.waiting = total, 0, 0

    def add(self, size: int = 0, waiting: int = 0) -> None:
        """Bytes that have come; how many more files wait, or fewer."""
        with self._lock:
            self.done, self.waiting = self.done + size, self.waiting + waiting


class Depot(Protocol):
    """Every method may raise ``Unreachable`` (cut: call again), ``NoRoom`` or ``Rejected``."""

    def push(self, paths: Iterable[str], going: Going) -> Sequence[InputFile]:
        """Read files and send what the far end lacks; resumes. Returns when all is there, with the
        files as they were read. ``going`` is told meanwhile. Raises ``OSError`` for one that can't
        be read.
        """

    def order(self, execution: Execution, files: Sequence[InputFile], script: bytes) -> None:
        """Leave the order to run. Idempotent."""

    def growing(self) -> Growing:
        """How much there is to follow."""

    def read(self, what: str, offset: int, length: int) -> bytes:
        """Bytes of ``"stdout"``, ``"stderr"`` or of an absolute path; fewer at its end. A path that
        is no file any more is ``Rejected``."""

    def begins_with(self, path: str, mine: int) -> bool:
        """Whether a file of the running job begins with all bytes of an open one. Raises as
        ``read``."""

    def matching(self, patterns: Sequence[str]) -> Sequence[Seen]:
        """Files of the running job whose path below its directory matches a glob."""

    def outputs(self, secret: str) -> Ended:
        """The end record; empty where the work never started. Raises ``Mismatch`` for a forged
        one."""

    def expect(self, entries: Sequence[OutputFile]) -> None:
        """These will be fetched, in this order: they may be read ahead."""

    def fetch(self, entry: OutputFile, into: int, came: Came, similar: int | None) -> None:
        """All bytes of a result into an open file, in order: what is there may be a beginning of
        them, by a call that was cut, and stays as far as it is right. ``came`` is told of those
        that the far end has sent; others may be taken from ``similar``, an open file that may have
        some of them. Raises ``OSError`` where they can't be written, ``Mismatch`` where there are
        fewer, or none any more."""

    def close(self) -> None:
        """Give the connection back."""
