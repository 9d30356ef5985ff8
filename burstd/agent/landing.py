"""Results into the user's directory: whole or not at all, never through a link, never over a
file that the user changed meanwhile.

What ``land`` has returned from no power cut takes away: bytes, mode, time, the name and all
directories on the way to it are synced.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from burstd.agent.ways import LONGEST_NAME, Refused, beneath, descend, inside
from burstd.domain.data import Mark, OutputFile
from burstd.far import chunks
from burstd.ports.errors import Mismatch

#: A fifo that somebody has put there must not hang us.
_LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_AGAIN = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
BLOCK = 2**20

#: Writes the file's bytes into the descriptor, which may have a beginning of them; the other, if
#: there is one, is an open file of that name, which may have some of them.
Fetch = Callable[[OutputFile, int, int | None], None]


class Damaged(Exception):
    """The bytes that came are not those of the far end's record."""


@dataclass
class Landing:
    """One burst's landing. ``notes`` are lines for the user: conflict copies, things left out."""

    burst: str
    roots: tuple[Path, ...]
    #: How names looked when the inputs were taken, or live copies since.
    marks: MutableMapping[str, Mark]
    fetch: Fetch
    notes: list[str] = field(default_factory=list)
    links: bool = False  #: links that lead below their own directory may be landed
    #: Files that have landed under their own names: how they looked then, and their digests.
    _there: dict[str, tuple[Mark, str]] = field(default_factory=dict)
    _synced: set[Path] = field(default_factory=set)  #: directories whose names are on disk

    def land(self, entry: OutputFile) -> None:
        """Put one entry in place; again after any interruption. Raises ``OSError`` (no space
        among them) and ``Damaged``."""
        if entry.kind == "file" and not entry.blake3:
            raise Damaged(f"{entry.path} has no digest in the far end's record")
        self._land(entry)

    def seems_landed(self, entry: OutputFile) -> bool:
        """By its name, size and time alone: its bytes are most likely not needed."""
        try:
            root, parts = inside(entry.path, self.roots)
            seen = root.joinpath(*parts).lstat()
        except (Refused, OSError):
            return False
        return (seen.st_size, seen.st_mtime_ns) == (entry.size, entry.mtime_ns)

    def copy(self, entry: OutputFile) -> Mark | None:
        """Put a file in place that is still being written, so that nobody knows its digest; later
        its end takes its place. What it looks like now; nothing where it is not under its own name.
        Raises ``OSError``."""
        return self.marks[entry.path] if self._land(replace(entry, blake3="")) else None

    def aside(self, entry: OutputFile) -> None:
        """Put what arrives damaged again and again beside its place: better than nothing, and
        nobody takes it for the result. Raises ``OSError``."""
        name = _beside(PurePosixPath(entry.path).name, f".burst-{self.burst}.damaged")
        if self._land(replace(entry, blake3=""), name):
            self.notes.append(
                f"{entry.path} is not what the far end's record says: what came is in {name}"
            )

    def _land(self, entry: OutputFile, name: str = "") -> bool:
        try:
            root, parts = inside(entry.path, self.roots)
        except Refused as error:
            self.notes.append(f"{entry.path} was not brought back: {error}")
            return False
        if entry.kind not in {"file", "dir", "symlink"} or (
            entry.kind == "symlink" and not self.links
        ):
            self.notes.append(f"{entry.path} was not brought back: it is a {entry.kind}")
            return False
        parents = parts if entry.kind == "dir" else parts[:-1]
        try:
            target = beneath(entry.target) if entry.kind == "symlink" else ""
            directory = descend(root, parents, synced=self._synced)
        except Refused as error:
            self.notes.append(f"{entry.path} was not brought back: {error}")
            return False
        try:
            if entry.kind == "file":
                return self._file(directory, name or parts[-1], entry)
            if entry.kind == "symlink":
                return self._link(directory, parts[-1], entry.path, target)
            os.fchmod(directory, entry.mode & 0o777)
            os.fsync(directory)
            return True
        finally:
            os.close(directory)

    def discard(self, paths: Iterable[str]) -> None:
        """Remove live copies of files that the job itself has removed, if they are still ours."""
        for path in paths:
            try:
                root, parts = inside(path, self.roots)
                directory = descend(root, parts[:-1], make=False)
            except (Refused, FileNotFoundError):
                continue
            try:
                seen = _look(directory, parts[-1])
                if seen is not None and not self._changed(path, seen):
                    os.unlink(parts[-1], dir_fd=directory)
            finally:
                os.close(directory)

    def _link(self, directory: int, name: str, path: str, target: str) -> bool:
        """Where nobody has put something else meanwhile."""
        existing = _look(directory, name)
        if existing is None:
            with contextlib.suppress(FileExistsError):  # symlink() never replaces
                os.symlink(target, name, dir_fd=directory)
                os.fsync(directory)
                return True
        elif stat.S_ISLNK(existing.st_mode) and os.readlink(name, dir_fd=directory) == target:
            return True
        elif self.marks.get(path) == _mark(existing):
            temporary = self._temporary(name)
            _discard(directory, temporary)
            os.symlink(target, temporary, dir_fd=directory)
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)
            return True
        self.notes.append(f"{path} was changed on-prem while the job ran: it is no link now")
        return False

    def _temporary(self, name: str) -> str:
        return f".burst-{self.burst}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"

    def _file(self, directory: int, name: str, entry: OutputFile) -> bool:
        temporary = self._temporary(name)
        existing = _look(directory, name)
        if existing is not None and _is(directory, name, existing, entry):
            _discard(directory, temporary)  # left by an interrupted landing of ours
            _keep(directory, name, existing, entry)
            self._there[entry.path] = _mark(existing), entry.blake3
            return True
        descriptor = self._linked(directory, temporary, entry) if entry.target else None
        if descriptor is None:
            descriptor = self._written(directory, temporary, name, entry)
        try:  # open, and so locked, until it has its name
            own = self._place(directory, temporary, name, existing, entry)
            seen = _mark(os.fstat(descriptor))
            if own and not entry.blake3:
                self.marks[entry.path] = seen
            elif own:
                self._there[entry.path] = seen, entry.blake3
            return own
        finally:
            os.close(descriptor)

    def _linked(self, directory: int, temporary: str, entry: OutputFile) -> int | None:
        """One more name for a result that is there; nothing where it is not, or can't have any:
        then this one comes as a file of its own."""
        try:
            root, parts = inside(entry.target, self.roots)
            source = descend(root, parts[:-1], make=False)
        except (Refused, OSError):
            return None
        try:
            _discard(directory, temporary)
            os.link(
                parts[-1], temporary,
                src_dir_fd=source, dst_dir_fd=directory, follow_symlinks=False,
            )  # fmt: skip
            descriptor = os.open(temporary, _LOOK, dir_fd=directory)
        except OSError:
            return None
        finally:
            os.close(source)
        seen = os.fstat(descriptor)
        alike = (seen.st_mode & 0o7777, seen.st_mtime_ns) == (entry.mode & 0o777, entry.mtime_ns)
        if alike and (_mark(seen), entry.blake3) == self._there.get(entry.target):
            return descriptor
        os.close(descriptor)
        _discard(directory, temporary)  # what has that name is not what has landed there
        return None

    def _place(
        self,
        directory: int,
        temporary: str,
        name: str,
        existing: os.stat_result | None,
        entry: OutputFile,
    ) -> bool:
        """False where its name is the user's, and it lies beside that."""
        if existing is None:
            try:  # link() never replaces: a name that appeared meanwhile is the user's
                os.link(
                    temporary, name,
                    src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False,
                )  # fmt: skip
                os.unlink(temporary, dir_fd=directory)
                os.fsync(directory)
                return True
            except FileExistsError:
                existing = _look(directory, name)
        theirs = (
            existing is not None
            and self._changed(entry.path, existing)
            and not _continues(directory, name, temporary)
        )
        if theirs:
            copy = _beside(name, f".burst-{self.burst}")
            os.rename(temporary, copy, src_dir_fd=directory, dst_dir_fd=directory)
            self.notes.append(
                f"{entry.path} was changed on-prem while the job ran: its result is in {copy}"
            )
        else:
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        os.fsync(directory)
        return not theirs

    def _changed(self, path: str, seen: os.stat_result) -> bool:
        """True unless the name is the very file that was there at stage-in, or our live copy."""
        if not stat.S_ISREG(seen.st_mode):
            return True
        return self.marks.get(path) != _mark(seen)

    def _written(self, directory: int, temporary: str, name: str, entry: OutputFile) -> int:
        """What came before a cut stays for the next time; what is wrong goes."""
        descriptor = _begun(directory, temporary)
        try:
            with _similar(directory, name) as similar:
                self.fetch(entry, descriptor, similar)
            if entry.blake3 and digest_of(temporary, directory) != entry.blake3:
                _discard(directory, temporary)
                raise Damaged(f"{entry.path} arrived damaged")
            _finish(descriptor, entry)
        except BaseException as error:
            os.close(descriptor)
            full = isinstance(error, OSError) and error.errno in _FULL
            if full or isinstance(error, Mismatch):  # others need the room; it has no good end
                _discard(directory, temporary)
            raise
        return descriptor


def _begun(directory: int, temporary: str) -> int:
    """The file of an interrupted landing of ours, or a new one; locked. One that is not ours alone
    is not written to: it has another name too, somebody else has put it there, or another agent of
    this burst, that was thought dead, still writes to it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(temporary, _AGAIN, dir_fd=directory)
        seen = os.fstat(descriptor)
        ours = stat.S_ISREG(seen.st_mode) and (seen.st_nlink, seen.st_uid) == (1, os.geteuid())
        if ours and _lock(descriptor):
            return descriptor
        os.close(descriptor)
    _discard(directory, temporary)
    descriptor = os.open(temporary, _NEW, 0o600, dir_fd=directory)
    _lock(descriptor)
    return descriptor


def _lock(descriptor: int) -> bool:
    """False if another has it, or where there are no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def _similar(directory: int, name: str) -> Iterator[int | None]:
    """What has the result's name: an input that the job went on writing, or a live copy."""
    try:
        descriptor = os.open(name, _LOOK, dir_fd=directory)
    except OSError:
        yield None
        return
    try:
        yield descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    finally:
        os.close(descriptor)


def digest_of(name: str, directory: int | None = None) -> str:
    """BLAKE3 of a regular file, never through a link. Raises ``OSError``."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        return chunks.digest_of(descriptor)
    finally:
        os.close(descriptor)


def _mark(seen: os.stat_result) -> Mark:
    return Mark(seen.st_size, seen.st_mtime_ns, seen.st_ino)


def _look(directory: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _is(directory: int, name: str, seen: os.stat_result, entry: OutputFile) -> bool:
    """Landed already: same size and digest, in a plain file."""
    return (
        bool(entry.blake3)
        and stat.S_ISREG(seen.st_mode)
        and seen.st_size == entry.size
        and digest_of(name, directory) == entry.blake3
    )


def _continues(directory: int, name: str, result: str) -> bool:
    """True if the result begins with all bytes of the file: a live copy that nobody remembers
    (the proxy node went away). Replacing it loses nothing."""
    try:
        descriptor = os.open(name, _LOOK, dir_fd=directory)
    except OSError:
        return False
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return False
    with (
        os.fdopen(descriptor, "rb") as old,
        os.fdopen(os.open(result, _LOOK, dir_fd=directory), "rb") as new,
    ):
        while block := old.read(BLOCK):
            if new.read(len(block)) != block:
                return False
    return True


def _beside(name: str, ending: str) -> str:
    """``name`` and ``ending``, cut to what a directory takes."""
    room = LONGEST_NAME - len(os.fsencode(ending))
    return os.fsdecode(os.fsencode(name)[:room]) + ending


def _keep(directory: int, name: str, seen: os.stat_result, entry: OutputFile) -> None:
    """A file that is the result already: an interrupted landing's, or a live copy. Neither need be
    on disk yet."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if os.fstat(descriptor).st_ino == seen.st_ino:
            _finish(descriptor, entry)
    finally:
        os.close(descriptor)
    os.fsync(directory)


def _finish(descriptor: int, entry: OutputFile) -> None:
    """Mode and time first: what is set after a sync is not synced."""
    os.fchmod(descriptor, entry.mode & 0o777)
    with contextlib.suppress(OverflowError):  # a time beyond all times
        os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
    os.fsync(descriptor)


def _discard(directory: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return
