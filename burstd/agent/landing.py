"""Results into the user's directory: whole or not at all, never through a link, never over a
file that the user changed meanwhile.

What ``land`` has returned from no power cut takes away: bytes, mode, time, the name and all
directories on the way to it are synced.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Container, Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from burstd.agent import placing
from burstd.agent.placing import LOOK, begun, beside, digest_of, discard, look
from burstd.agent.ways import Misplaced, Refused, believed, below, beneath, descend, inside, unlock
from burstd.domain.data import Mark, OutputFile
from burstd.ports.errors import Mismatch

#: Bytes of results that are not read again each time that another one has no room.
LARGE = 16 * 2**20
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

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
    #: Device and inode of files that this process writes to, whatever their names are.
    written: Container[tuple[int, int]] = frozenset()
    #: Directories that the job has made: their modes hinder nothing that is to come into them.
    made: Container[str] = frozenset()
    #: Large ones that have landed, in whichever life: how they looked then, and their digests.
    landed: MutableMapping[str, list[object]] = field(default_factory=dict)
    #: Files that have landed under their own names: how they looked then, and their digests.
    _there: dict[str, tuple[Mark, str]] = field(default_factory=dict)
    _synced: set[Path] = field(default_factory=set)  #: directories whose names are on disk
    _fresh: set[Path] = field(default_factory=set)  #: directories that this landing has made
    _noted: set[str] = field(default_factory=set)

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

    def lacks(self, entry: OutputFile) -> int:
        """Bytes of it that most likely have yet to come."""
        if not entry.travels or self.seems_landed(entry):
            return 0
        try:
            root, parts = below(entry.path, self.roots)
            place = root.joinpath(*parts)
            begun = place.with_name(self._temporary(place.name)).lstat().st_size
        except (Refused, OSError):
            return entry.travels
        return max(0, entry.travels - begun)

    def copy(self, entry: OutputFile) -> Mark | None:
        """Put a file in place that is still being written, so that nobody knows its digest; later
        its end takes its place. What it looks like now; nothing where it is not under its own name.
        Raises ``OSError``."""
        return self.marks[entry.path] if self._land(replace(entry, blake3="")) else None

    def aside(self, entry: OutputFile) -> None:
        """Put what arrives damaged again and again beside its place: better than nothing, and
        nobody takes it for the result. Raises ``OSError``."""
        self._land(replace(entry, blake3=""), damaged=True)

    def _land(self, entry: OutputFile, *, damaged: bool = False) -> bool:
        try:
            root, parts = below(entry.path, self.roots)
            if entry.kind not in {"file", "dir", "symlink"} or (
                entry.kind == "symlink" and not self.links
            ):
                raise Refused(f"it is a {entry.kind}")
            if entry.kind == "symlink":
                beneath(entry.target)
            return self._there_or_beside(root, parts, entry, damaged=damaged)
        except Refused as error:
            self.notes.append(f"{entry.path} was not brought back: {error}")
            return False

    def _there_or_beside(
        self, root: Path, parts: tuple[str, ...], entry: OutputFile, *, damaged: bool
    ) -> bool:
        """With other names where something on the way is no directory, or would be believed."""
        while True:
            parents = parts if entry.kind == "dir" else parts[:-1]
            try:
                believed(parts)
                return self._within(root, parents, parts[-1], entry, damaged=damaged)
            except Misplaced as error:
                other = beside(parts[error.at], f".burst-{self.burst}")
                above, rest = parts[: error.at], parts[error.at + 1 :]
                way = "/".join(parts[: error.at + 1])
                self._note_once(f"{error}: what the job has made of {way} is in {other}")
                parts = (*above, other, *rest)
            except PermissionError:
                if not unlock(root, parents, self.made):
                    raise

    def _note_once(self, note: str) -> None:
        if note not in self._noted:
            self._noted.add(note)
            self.notes.append(note)

    def _within(
        self,
        root: Path,
        parents: tuple[str, ...],
        name: str,
        entry: OutputFile,
        *,
        damaged: bool,
    ) -> bool:
        directory = descend(root, parents, synced=self._synced, fresh=self._fresh)
        try:
            if entry.kind == "symlink":
                return self._link(directory, name, entry.path, entry.target)
            if entry.kind == "file":
                return self._file(directory, name, entry, damaged=damaged)
            fresh = root.joinpath(*parents) in self._fresh
            placing.permit(directory, entry.mode & 0o777, fresh=fresh)
            os.fsync(directory)
            return True
        finally:
            os.close(directory)

    def discard(self, paths: Iterable[str]) -> None:
        """Remove live copies of files that the job itself has removed, if they are still ours."""
        for path in paths:
            with self._own(path) as found:
                if found is not None:
                    directory, name = found
                    os.unlink(name, dir_fd=directory)

    def is_ours(self, path: str) -> bool:
        """What has the name is as it was at stage-in, or as we left it."""
        with self._own(path) as found:
            return found is not None

    @contextmanager
    def _own(self, path: str) -> Iterator[tuple[int, str] | None]:
        """Its directory and its name there, where that is ours."""
        try:
            root, parts = inside(path, self.roots)
            directory = descend(root, parts[:-1], make=False)
        except (Refused, FileNotFoundError):
            yield None
            return
        try:
            seen = look(directory, parts[-1])
            ours = seen is not None and not self._changed(path, seen)
            yield (directory, parts[-1]) if ours else None
        finally:
            os.close(directory)

    def _link(self, directory: int, name: str, path: str, target: str) -> bool:
        """Where nobody has put something else meanwhile."""
        existing = look(directory, name)
        if existing is None:
            with contextlib.suppress(FileExistsError):  # symlink() never replaces
                os.symlink(target, name, dir_fd=directory)
                os.fsync(directory)
                return True
        elif stat.S_ISLNK(existing.st_mode) and os.readlink(name, dir_fd=directory) == target:
            return True
        elif self.marks.get(path) == Mark.of(existing):
            temporary = self._temporary(name)
            discard(directory, temporary)
            os.symlink(target, temporary, dir_fd=directory)
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)
            return True
        self.notes.append(f"{path} was changed on-prem while the job ran: it is no link now")
        return False

    def _temporary(self, name: str) -> str:
        return f".burst-{self.burst}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"

    def _file(self, directory: int, name: str, entry: OutputFile, *, damaged: bool) -> bool:
        temporary = self._temporary(name)
        if self._landed(directory, name, entry):
            discard(directory, temporary)  # left by an interrupted landing of ours
            seen = self._now(directory, name)
            self._there[entry.path] = seen, entry.blake3
            self._remember(entry, seen)
            return True
        copy = beside(name, f".burst-{self.burst}")
        if placing.landed(directory, copy, entry):  # where an interrupted landing has put it
            discard(directory, temporary)
            self.notes.append(self._theirs(entry.path, copy))
            return False
        descriptor = self._linked(directory, temporary, entry) if entry.target else None
        if descriptor is None:
            descriptor = self._written(directory, temporary, name, entry)
        try:  # open, and so locked, until it has its name
            if damaged:
                ending = f".burst-{self.burst}.damaged"
                copy = placing.named_beside(directory, temporary, name, ending)
                wrong = f"{entry.path} is not what the far end's record says: what came is in"
                self.notes.append(f"{wrong} {copy}")
                return False
            own = self._place(directory, temporary, name, entry)
            seen = Mark.of(os.fstat(descriptor))
            if own and not entry.blake3:
                self.marks[entry.path] = seen
            elif own:
                self._there[entry.path] = seen, entry.blake3
                self._remember(entry, seen)
            return own
        finally:
            os.close(descriptor)

    def _landed(self, directory: int, name: str, entry: OutputFile) -> bool:
        known, seen = self.landed.get(entry.path), look(directory, name)
        if known and seen and known == [*Mark.of(seen), entry.blake3]:
            return True
        return placing.landed(directory, name, entry)

    def _remember(self, entry: OutputFile, seen: Mark) -> None:
        if entry.size >= LARGE:
            self.landed[entry.path] = [*seen, entry.blake3]

    @staticmethod
    def _theirs(path: str, copy: str) -> str:
        return f"{path} was changed on-prem while the job ran: its result is in {copy}"

    @staticmethod
    def _now(directory: int, name: str) -> Mark:
        return Mark.of(os.stat(name, dir_fd=directory, follow_symlinks=False))

    def _linked(self, directory: int, temporary: str, entry: OutputFile) -> int | None:
        """One more name for a result that is there; nothing where it is not, or can't have any:
        then this one comes as a file of its own."""
        try:
            root, parts = inside(entry.target, self.roots)
            source = descend(root, parts[:-1], make=False)
        except (Refused, OSError):
            return None
        try:
            discard(directory, temporary)
            os.link(
                parts[-1], temporary,
                src_dir_fd=source, dst_dir_fd=directory, follow_symlinks=False,
            )  # fmt: skip
            descriptor = os.open(temporary, LOOK, dir_fd=directory)
        except OSError:
            return None
        finally:
            os.close(source)
        seen = os.fstat(descriptor)
        alike = (seen.st_mode & 0o7777, seen.st_mtime_ns) == (entry.mode & 0o777, entry.mtime_ns)
        if alike and (Mark.of(seen), entry.blake3) == self._there.get(entry.target):
            return descriptor
        os.close(descriptor)
        discard(directory, temporary)  # what has that name is not what has landed there
        return None

    def _place(self, directory: int, temporary: str, name: str, entry: OutputFile) -> bool:
        """False where its name is the user's, and it lies beside that. What has it is looked at
        now: the bytes may have taken hours to come."""
        while (existing := look(directory, name)) is None:
            if placing.named(directory, temporary, name):
                return True
        if self._changed(entry.path, existing) and (
            self._is_written(existing) or not placing.continues(directory, name, temporary)
        ):
            ending = f".burst-{self.burst}"
            copy = placing.named_beside(directory, temporary, name, ending)
            self.notes.append(self._theirs(entry.path, copy))
            return False
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        os.fsync(directory)
        return True

    def _changed(self, path: str, seen: os.stat_result) -> bool:
        """True unless the name is the very file that was there at stage-in, or our live copy."""
        if not stat.S_ISREG(seen.st_mode) or self._is_written(seen):
            return True
        return self.marks.get(path) != Mark.of(seen)

    def _is_written(self, seen: os.stat_result) -> bool:
        """The job's own output comes to it: with another file in its place that would be lost."""
        return (seen.st_dev, seen.st_ino) in self.written

    def _written(self, directory: int, temporary: str, name: str, entry: OutputFile) -> int:
        """What came before a cut stays for the next time; what is wrong goes."""
        descriptor = begun(directory, temporary)
        try:
            with placing.similar(directory, name) as similar:
                self.fetch(entry, descriptor, similar)
            if entry.blake3 and digest_of(temporary, directory) != entry.blake3:
                discard(directory, temporary)
                raise Damaged(f"{entry.path} arrived damaged")
            placing.finish(descriptor, entry)
        except BaseException as error:
            nothing = os.fstat(descriptor).st_size == 0
            os.close(descriptor)
            full = isinstance(error, OSError) and error.errno in _FULL
            # Others need the room; it has no good end.
            if nothing or full or isinstance(error, Mismatch):
                discard(directory, temporary)
            raise
        return descriptor
