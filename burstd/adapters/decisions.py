"""Port ``Decisions`` in files, one for each day (UTC): ``2030-01-15.jsonl.gz``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path

from burstd.adapters.frames import frame, frames
from burstd.core.chronicle import Kept, Reader, Writer, outline_of, start_of
from burstd.core.codec import Unfit
from burstd.domain.decision import Decision, Outline
from burstd.domain.plan import Decline, Placement, Plan
from burstd.ports.errors import Mismatch, NoRoom, Transient

SUFFIX = ".jsonl.gz"
LEAST = 64 << 20  #: bytes that are left to the ledger, which lies on the same disk
Lost = Callable[[str], None]


class FileDecisions:
    """``keep_for``: how long; nothing: none are. ``version``: burstd's."""

    def __init__(self, directory: Path, keep_for: timedelta, version: str) -> None:
        self._directory = directory
        self._keep_for = keep_for
        self._writer = Writer(version)
        self._day: date | None = None  #: of the file that the writer's last entry is in

    def keep(self, decision: Decision) -> None:
        day = decision.at.astimezone(UTC).date()
        begun, self._day = self._day, None  # until this one is kept
        try:
            if day != begun:
                self._begin(decision.at)
            if self._keep_for:
                self._append(self._directory / f"{day}{SUFFIX}", self._entry(decision))
        except OSError as error:
            raise NoRoom(f"{self._directory}: {error.strerror}") from error
        self._day = day

    def outlines(self, since: datetime, until: datetime, lost: Lost) -> Iterator[Outline]:
        for path in self._between(since, until):
            for entry in _entries(path, lost):
                with _from(path):
                    found = outline_of(entry)
                if since <= found.at < until:
                    yield found

    def kept(self, since: datetime, until: datetime, lost: Lost) -> Iterator[FileKept]:
        for found in read(self._between(since, until), lost, whole=False):
            if since <= found.outline.at < until:
                yield found

    def last(self, until: datetime, lost: Lost) -> Decision | None:
        for path in reversed(self._between(until - timedelta(days=1), until)):
            if (found := _last(path, until, lost)) is not None:
                return found
        return None

    def _between(self, since: datetime, until: datetime) -> list[Path]:
        first, last = (moment.astimezone(UTC).date() for moment in (since, until))
        return [path for day, path in days(self._directory) if first <= day <= last]

    def _begin(self, now: datetime) -> None:
        """A file of its own, and none that is too old."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        oldest = (now - self._keep_for).astimezone(UTC).date()
        for old, path in days(self._directory):
            if old < oldest or not self._keep_for:
                path.unlink()
        self._writer.begin()

    def _entry(self, decision: Decision) -> bytes:
        try:
            return frame(self._writer.entry(decision))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise Mismatch(f"a decision has no words: {error!r}") from error

    def _append(self, path: Path, content: bytes) -> None:
        """All of it, on the disk, or nothing."""
        if shutil.disk_usage(self._directory).free < LEAST + len(content):
            raise NoRoom(f"{self._directory}: the last {LEAST >> 20} MiB are left to the ledger")
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            before = os.fstat(file).st_size
            try:
                while content:
                    content = content[os.write(file, content) :]
                os.fdatasync(file)
            except OSError:
                os.ftruncate(file, before)
                raise
        finally:
            os.close(file)


def days(directory: Path) -> list[tuple[date, Path]]:
    """The files in it, the oldest first."""
    found = []
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        try:
            found.append((date.fromisoformat(path.name.removesuffix(SUFFIX)), path))
        except ValueError:
            continue  # somebody else's
    return found


@dataclass(frozen=True)
class FileKept:
    """``ports.decisions.Kept``, and with all that it was made from, if that is read."""

    path: Path
    kept: Kept

    @property
    def outline(self) -> Outline:
        return self.kept.outline

    @property
    def version(self) -> str:
        """burstd's, that wrote it."""
        return self.kept.version

    def plan(self) -> Plan:
        with _from(self.path):
            return self.kept.plan()

    def verdicts(self, job_id: int) -> tuple[Placement | Decline, ...]:
        with _from(self.path):
            return self.kept.verdicts(job_id)

    def decision(self) -> Decision:
        with _from(self.path):
            return self.kept.decision()


def read(paths: Iterable[Path], lost: Lost, *, whole: bool = True) -> Iterator[FileKept]:
    """The decisions in these files; ``whole``: with what they were made from. Raises ``Mismatch``,
    and ``Transient`` where a file can't be read."""
    for path in paths:
        reader, skipped = Reader(whole=whole), 0
        for entry in _entries(path, lost):
            with _from(path):
                found = reader.take(entry)
            if found is None:
                skipped += 1
            else:
                yield FileKept(path, found)
        if skipped:
            lost(f"{path}: {skipped} decisions continue one that is lost")


def _last(path: Path, until: datetime, lost: Lost) -> Decision | None:
    """Two times through the file: what is before the last chain need not be understood."""
    first = last = -1
    for place, entry in enumerate(_entries(path, lost)):
        with _from(path):
            found, begins = start_of(entry)
        if found.at > until:
            break
        first, last = place if begins else first, place
    if first < 0:
        return None
    reader, kept = Reader(whole=True), None
    with _from(path):
        for entry in islice(_entries(path, lost), first, last + 1):
            kept = reader.take(entry) or kept
        return kept.decision() if kept else None


def _entries(path: Path, lost: Lost) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            yield from frames(file, lambda what: lost(f"{path}: {what}"))
    except FileNotFoundError:
        return  # it has become too old meanwhile
    except OSError as error:
        raise Transient(f"{path}: {error.strerror}") from error


@contextmanager
def _from(path: Path) -> Iterator[None]:
    try:
        yield
    except Unfit as error:
        raise Mismatch(f"{path}: {error}") from error
