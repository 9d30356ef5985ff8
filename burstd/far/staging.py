"""Inputs on their way in: chunks are asked for, arrive in packs, and become files of the tree.

The other end names chunks once, in an order of its own; from then on a chunk is its number. So a
file is a few numbers, whatever its size, and nothing is ever sent per file.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import stat
import time
from collections.abc import Iterable, Sequence
from typing import Optional, Union

from burstd.far import chunks, paths
from burstd.far.bunch import MOST as MOST_FILES
from burstd.far.bunch import Bunch, Whole, whole
from burstd.far.chunks import Kept
from burstd.far.claims import Claims
from burstd.far.errors import BROKEN, REFUSED, FarError, answered
from burstd.far.fence import Fence
from burstd.far.fields import BadFields
from burstd.far.growing import HOLE, Growing
from burstd.far.incoming import Incoming
from burstd.far.later import Later
from burstd.far.manifest import Manifest
from burstd.far.models import LEAST as MODEL
from burstd.far.order import Order
from burstd.far.parts import Part
from burstd.far.rundir import TREE, RunDir
from burstd.far.standing import Standing
from burstd.far.store import Store

MOST_BYTES = 8 * 1024 * 1024  #: of files in one bunch
#: Seconds for each of those who bring something between two looks at what they have brought.
CROWD = 0.02


class Staging:
    """What one conversation puts into the tree of one run; all its errors are FarError."""

    def __init__(
        self, run: RunDir, fence: Fence, store: Store, claims: Claims, keeps: bool = True
    ) -> None:
        """`keeps`: whether later runs may have of what comes. Store and claims are closed with
        this."""
        self._run, self._fence = run, fence
        self._tree = run.directory(TREE)
        self._store, self._claims = store, claims
        self.incoming, self._later = Incoming(store, claims), Later()
        self._models = store.models(wanted=keeps)
        self._built = Standing(run)
        self._file: Optional[Growing] = None
        self._parts: list[Part] = []  #: of that file, so far
        self._beside: Optional[tuple[str, int]] = None
        self._made = set[str]()  #: directories
        self._complete = self._synced = False

    def build(self, document: bytes) -> int:
        """Writes parts of files; see `parts.Part`. How many wait for chunks that others bring."""
        rows, at, waiting = _listed(document, "parts"), 0, 0
        self._complete = False
        while at < len(rows):
            bunch = self._bunch(rows, at)
            made = self._make(bunch) if bunch.files else 0
            # Where one is there already, the others of its bunch mostly are, too.
            end = at + max(1, len(bunch.files))
            for row in rows[at + made : end]:
                part = Part.read(row)
                if self._waits(part):
                    waiting += 1
                else:
                    self._grow(part)
            at = end
        return waiting

    def _waits(self, part: Part) -> bool:
        """Whether it lacks what another conversation brings, or one before it does."""
        if part.offset == 0:
            self._later.forget(part.path)
        lacking, waits = self.incoming.lacking(part.runs), self._later.has(part.path)
        if not (waits or lacking):
            return False
        if not waits and part.offset:  # those before it can't wait for it half built
            self._later.add(self._parts, ())
            self._drop()
        self._later.add([part], lacking)
        return True

    def rest(self, patience: float) -> tuple[int, list[str]]:
        """Builds what has waited, once others have brought what it lacks. How many files lack
        something still, after so many seconds, and those of which nobody brings it any more: they
        have to be sent again."""
        with answered():
            self.incoming.release()
        until, pause, news = time.monotonic() + patience, 0.1, True
        while True:
            lost = self._go_on() if news else []
            if lost or not self._later or time.monotonic() >= until:
                return len(self._later), lost
            time.sleep(pause)
            pause = min(1.5 * pause, max(0.5, CROWD * self.incoming.others))
            news = self.incoming.news

    def _go_on(self) -> list[str]:
        """Builds what lacks nothing any more; the files that wait in vain."""
        came, gone = self.incoming.brought(self._later.lacking)
        for path, parts in self._later.ready(came):
            for part in parts:
                self._grow(part)
            self._later.forget(path)  # not before: of one that fails the order knows
        return self._later.without(gone)

    def _bunch(self, rows: Sequence[object], at: int) -> Bunch:
        """As many as can be made at once, from that row on."""
        bunch, beside = Bunch(), None
        for row in rows[at : at + MOST_FILES]:
            file = whole(row, self.incoming.sizes, MODEL)
            if file is None or bunch.size >= MOST_BYTES:
                break
            above = paths.above(file.path)
            if beside is not None and above != beside:
                break
            beside = above
            there = self._there(file)
            if there is None or not bunch.add(file, there):
                break
        return bunch

    def _there(self, file: Whole) -> Optional[list[Union[memoryview, Kept]]]:
        """Its chunks: what has just come, the others in the store. None if it lacks one."""
        found = list[Union[memoryview, Kept]]()
        if len(file.numbers) == 1:  # as nearly all of tens of thousands
            names = [self.incoming.name(file.numbers[0])]
        else:
            names = chunks.each(self.incoming.names(file.numbers))
        for number, name in zip(file.numbers, names):  # noqa: B905 (Python 3.9)
            recent = self.incoming.recent.get(name)
            chunk = (
                self._store.kept(name, self.incoming.sizes[number]) if recent is None else recent
            )
            if chunk is None:
                return None
            found.append(chunk)
        return found

    def _make(self, bunch: Bunch) -> int:
        self._drop()
        with answered():
            self._fence.check()
            made = bunch.make(self._place(bunch.files[0].path)[0], HOLE)
        for file, facts in zip(bunch.files, made):  # noqa: B905 (Python 3.9)
            self._built.made(file.path, file.digest, file.size, facts, file.mode)
            self._later.forget(file.path)
        return len(made)

    @property
    def clones(self) -> bool:
        """Whether files that were built before can be there again at once."""
        return self._models.usable

    def clone(self, document: bytes) -> bytes:
        """Makes files of the tree that were built before (`models.row`), and says of which there is
        no model: a bit each, as `want` does."""
        self._complete = False
        with answered():
            return _lacking(map(self._copied, _listed(document, "files")))

    def standing(self, document: bytes) -> bytes:
        """Says which files are not there as this burst's earlier conversations have built them: a
        bit each."""
        with answered():
            return _lacking(map(self._stands, _listed(document, "files")))

    def _stands(self, row: object) -> bool:
        if not isinstance(row, list) or list(map(type, row)) != [str, int, str, int, int]:
            raise BadFields("not a file that may be there")
        path, size, digest, mtime_ns, mode = row
        parent, name = self._place(path)
        try:
            fact = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return False
        same = (fact.st_size, fact.st_mtime_ns) == (size, mtime_ns)
        right = same and stat.S_ISREG(fact.st_mode) and stat.S_IMODE(fact.st_mode) == mode
        return right and self._built.has(path, fact, digest)

    def _copied(self, row: object) -> bool:
        if not isinstance(row, list) or list(map(type, row)) != [str, str, int, int, int]:
            raise BadFields("not a file to be copied")
        path, key, size, mtime_ns, mode = row
        if not -(2**63) <= mtime_ns < 2**63:
            raise BadFields("a file with a time that none has")
        self._fence.check()
        parent, name = self._place(path)
        with contextlib.suppress(FileNotFoundError):
            paths.remove(parent, name)
        fd = self._models.copy(key, size, parent, name)
        if fd is None:
            return False
        try:
            os.fchmod(fd, mode & 0o777)
            os.utime(fd, ns=(mtime_ns, mtime_ns))
        finally:
            os.close(fd)
        return True

    def mkdir(self, path: str, mode: int) -> None:
        """Makes a directory. The owner can always enter it: files may still have to come."""
        with answered():
            fd = self._directory(paths.split(path))
            try:
                os.fchmod(fd, (mode & 0o777) | 0o700)
            finally:
                os.close(fd)
        self._made.add(path)

    def settle(self, order: Order) -> None:
        """All that came is on the disk, and the tree is what the order says, no more."""
        if self._later:
            raise FarError(REFUSED, f"{len(self._later)} files wait for what others bring")
        with answered():
            self._drop()
            self.incoming.awaited.clear()
            self.incoming.release()
            Manifest(order).enforce(self._tree, self._made)
            self._sync()
            self._complete = True

    def _sync(self) -> None:
        """Not per file: twenty thousand of them would wait twenty thousand times. Raises OSError;
        what was built is gone then. The system says only once that something did not get to the
        disk, and goes on to have it in memory, where it looks right: only to write it again
        helps."""
        if ctypes.CDLL(None, use_errno=True).syncfs(self._tree):
            error = ctypes.get_errno()
            with contextlib.suppress(FarError):  # then it is others' to lose
                self._fence.check()
                self._built.forget()
                self._run.discard(TREE)
            raise OSError(error, "the run directory could not be synced")

    def _sync_once(self) -> None:
        """What earlier conversations have left: one that was killed has not."""
        if not self._synced:
            self._sync()
            self._synced = True

    def close(self, limit: int, days: int) -> None:
        """Gives the descriptors back; what came is kept, within the store's limits. With none of
        its own, what is incomplete is kept all the same: it would have to come again."""
        with contextlib.suppress(OSError):  # of a file that is not whole
            self._drop()
        self._leave()
        with contextlib.suppress(OSError, FarError):
            if self._built.fresh and not self._complete:
                self._sync()  # a file whose bytes a crash has taken looks as it did before
            self._fence.check()
            self._built.keep()
        os.close(self._tree)
        self._models.close()
        self.incoming.close()
        try:
            if limit == 0 and self._complete:
                self._store.forget()
            self.incoming.release()
        finally:
            self._leave_store(limit, days)

    def _leave_store(self, limit: int, days: int) -> None:
        try:
            self._store.sweep(limit, days)  # above all where there was no room
        finally:
            self._claims.close()
            self._store.close()

    def _grow(self, part: Part) -> None:
        with answered():
            if part.offset == 0:
                self._drop()
                self._parts = []
                self._fence.check()
                self._file = Growing(*self._place(part.path), part, self._sync_once)
            file = self._file
            if file is None or (file.path, file.size) != (part.path, part.offset):
                raise FarError(REFUSED, f"a part out of its turn: {part.path!r} {part.offset}")
            self._parts.append(part)
            try:
                for run in part.runs:
                    self._extend(file, self.incoming.span(run))
                file.flush()
                if part.entry is not None:
                    fact = file.finish(part.entry, self._models)
                    self._drop()
                    self._built.add(part.path, fact, part.entry.blake3)
            except BaseException:  # the parts that follow must not go on behind a gap
                self._drop()
                raise

    def _extend(self, file: Growing, numbers: range) -> None:
        """By chunks that were named one after the other."""
        sizes = self.incoming.sizes[numbers.start : numbers.stop]
        if file.there is not None:
            file.size += sum(sizes)
            return
        names, stored = self.incoming.names(numbers), list[tuple[bytes, int]]()
        file.names += names
        for name, size in zip(chunks.each(names), sizes):  # noqa: B905 (Python 3.9)
            content = self.incoming.recent.get(name)
            if content is None:
                stored.append((name, size))
            else:
                file.copy(stored, self._store)
                stored = []
                file.write(content, size)
        file.copy(stored, self._store)

    def _place(self, path: str) -> tuple[int, bytes]:
        """A file's directory, open, and its name there. Most files lie beside the one before."""
        above = paths.above(path)
        if self._beside is not None and self._beside[0] == above:
            return self._beside[1], paths.component(path[len(above) :])
        *parts, name = paths.split(path)
        fd = self._directory(parts)
        self._leave()
        self._beside = (above, fd)
        return fd, name

    def _directory(self, parts: Sequence[bytes]) -> int:
        """An open one, made where it is missing. What was a file in an earlier try goes."""
        with contextlib.suppress(NotADirectoryError):
            return paths.open_directory(self._tree, parts, create=True)
        for depth, name in enumerate(parts):
            with paths.directory(self._tree, parts[:depth]) as above:
                if stat.S_ISREG(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode):
                    os.unlink(name, dir_fd=above)
                    break
        return paths.open_directory(self._tree, parts, create=True)

    def _leave(self) -> None:
        if self._beside is not None:
            os.close(self._beside[1])
            self._beside = None

    def _drop(self) -> None:
        """Raises OSError; the file is closed then, too, as close(2) has it."""
        file, self._file = self._file, None
        if file is not None:
            file.close()


def _listed(document: bytes, what: str) -> list[object]:
    try:
        found = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise FarError(BROKEN, f"a list of {what} that is not JSON") from error
    if not isinstance(found, list):
        raise BadFields(f"{what} is not a list")
    return found


def _lacking(found: Iterable[bool]) -> bytes:
    """A bit each, the lowest of a byte first: 1 where it is not there."""
    bits = bytearray()
    for number, there in enumerate(found):
        if number % 8 == 0:
            bits.append(0)
        if not there:
            bits[-1] |= 1 << number % 8
    return bytes(bits)
