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
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Optional, Union

from burstd.far import chunks, paths
from burstd.far.errors import BROKEN, MISMATCH, REFUSED, FarError, from_os
from burstd.far.fields import BadFields
from burstd.far.models import LEAST as MODEL
from burstd.far.models import Models
from burstd.far.order import InputFile
from burstd.far.parts import WANTED, Part, Runs
from burstd.far.rundir import TREE, RunDir
from burstd.far.standing import Standing
from burstd.far.store import Store
from burstd.far.wire import MAX_PACK

_RECENT = 32 * 1024 * 1024
_AT_ONCE = 64  #: chunks in one write
_HOLE = 64 * 1024  #: bytes of zeros that are not written
_ZEROS = memoryview(bytes(chunks.MOST))


class Staging:
    """What one conversation puts into the tree of one run; all its errors are FarError."""

    def __init__(self, run: RunDir, store: Store, keeps: bool = True) -> None:
        """`keeps`: whether later runs may have of what comes."""
        self._tree = run.directory(TREE)
        self._store = store
        self._models = store.models(wanted=keeps)
        self._built = Standing(run)
        self._names = bytearray()
        self._sizes = array("I")
        #: Chunks that have just come: most files are built of those.
        self._recent: OrderedDict[bytes, memoryview] = OrderedDict()
        self._bytes = 0
        self._file: Optional[_Growing] = None
        self._beside: Optional[tuple[paths.Parts, int]] = None
        self._complete = False

    def want(self, wanted: bytes) -> bytes:
        """Takes notice of chunks, and says which of them are missing: a bit each, the lowest of a
        byte first."""
        if len(wanted) % WANTED.size:
            raise FarError(BROKEN, "names of chunks that are cut off")
        missing = bytearray((len(wanted) // WANTED.size + 7) // 8)
        self._store.look(wanted, WANTED.size)
        for number, (name, size) in enumerate(WANTED.iter_unpack(wanted)):
            if size > chunks.MOST:
                raise FarError(REFUSED, f"a chunk of {size} bytes")
            self._names += name
            self._sizes.append(size)
            if not self._store.has(name):
                missing[number // 8] |= 1 << number % 8
        return bytes(missing)

    def take(self, runs: Runs, blocks: Iterable[bytes], plain: Optional[int]) -> None:
        """Keeps the chunks of a pack as they come, so that a cut costs the one that it falls in.
        `plain`: their bytes, where they come compressed. Raises FarError(mismatch) if one is not
        what its name says."""
        numbers = list[int]()
        for run in runs:
            numbers += self._of(run)
            if len(numbers) > MAX_PACK:
                raise FarError(REFUSED, "a pack that is too large")
        ends = list(accumulate(self._sizes[number] for number in numbers))
        if ends and ends[-1] > MAX_PACK:
            raise FarError(REFUSED, "a pack that is too large")
        content = memoryview(bytearray(ends[-1] if ends else 0))
        if plain is not None and plain != len(content):
            raise FarError(BROKEN, f"a pack of {plain} bytes for {len(content)} bytes of chunks")
        done = 0
        filling = _filled(blocks, content) if plain is None else chunks.inflate(blocks, content)
        for have in filling:
            if (whole := bisect_right(ends, have)) > done:
                self._keep(numbers[done:whole], content, [0, *ends][done : whole + 1])
                done = whole

    def _keep(self, numbers: Sequence[int], content: memoryview, borders: Sequence[int]) -> None:
        start, names = borders[0], self._names_of(numbers)
        view = content[start : borders[-1]]
        if chunks.names(view, [border - start for border in borders[1:]]) != names:
            raise FarError(MISMATCH, "a chunk is not what its name says")
        found = [
            (name, content[here:there])
            for name, here, there in zip(chunks.each(names), borders, borders[1:])  # noqa: B905 (Python 3.9)
        ]
        with _answered():
            self._store.add(found)
        self._recent.update(found)
        self._bytes += len(view)
        while self._bytes > _RECENT and self._recent:
            self._bytes -= len(self._recent.popitem(last=False)[1])

    def build(self, document: bytes) -> None:
        """Writes parts of files; see `parts.Part`."""
        for part in _listed(document, "parts"):
            self._grow(Part.read(part))

    @property
    def clones(self) -> bool:
        """Whether files that were built before can be there again at once."""
        return self._models.usable

    def clone(self, document: bytes) -> bytes:
        """Makes files of the tree that were built before (`models.row`), and says of which there is
        no model: a bit each, as `want` does."""
        return _lacking(map(self._copied, _listed(document, "files")))

    def standing(self, document: bytes) -> bytes:
        """Says which files are not there as this burst's earlier conversations have built them: a
        bit each."""
        return _lacking(map(self._stands, _listed(document, "files")))

    def _stands(self, row: object) -> bool:
        if not isinstance(row, list) or list(map(type, row)) != [str, int, str, int, int]:
            raise BadFields("not a file that may be there")
        path, size, digest, mtime_ns, mode = row
        *above, name = paths.split(path)
        with _answered():
            parent = self._directory(tuple(above))
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
        *above, name = paths.split(path)
        with _answered():
            parent = self._directory(tuple(above))
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=parent)
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
        with _answered(), paths.directory(self._tree, paths.split(path), create=True) as fd:
            os.fchmod(fd, (mode & 0o777) | 0o700)

    def settle(self) -> None:
        """All that came is on the disk, and all that will come is there."""
        with _answered():
            self._complete = True
            self._drop()
            self._store.settle()
            self._sync()

    def _sync(self) -> None:
        # Not per file: twenty thousand of them would wait twenty thousand times.
        if ctypes.CDLL(None, use_errno=True).syncfs(self._tree):
            raise OSError(ctypes.get_errno(), "the run directory could not be synced")

    def close(self, limit: int, days: int) -> None:
        """Gives the descriptors back; what came is kept, within the store's limits. With none of
        its own, what is incomplete is kept all the same: it would have to come again."""
        self._drop()
        self._leave()
        with contextlib.suppress(OSError):
            if self._built.fresh and not self._complete:
                self._sync()  # a file whose bytes a crash has taken looks as it did before
            self._built.keep()
        os.close(self._tree)
        self._models.close()
        try:
            if limit == 0 and self._complete:
                self._store.forget()
            self._store.settle()
            self._store.sweep(limit, days)
        finally:
            self._store.close()

    def _grow(self, part: Part) -> None:
        with _answered():
            if part.offset == 0:
                self._drop()
                *above, name = paths.split(part.path)
                self._file = _Growing(self._directory(tuple(above)), name, part)
            file = self._file
            if file is None or (file.path, file.size) != (part.path, part.offset):
                raise FarError(REFUSED, f"a part out of its turn: {part.path!r} {part.offset}")
            try:
                for run in part.runs:
                    self._extend(file, self._of(run))
                file.flush()
                if part.entry is not None:
                    fact = file.finish(part.entry, self._models)
                    self._built.add(part.path, fact, part.entry.blake3)
                    self._drop()
            except BaseException:  # the parts that follow must not go on behind a gap
                self._drop()
                raise

    def _extend(self, file: _Growing, numbers: range) -> None:
        """By chunks that were named one after the other."""
        sizes = self._sizes[numbers.start : numbers.stop]
        if file.there is not None:
            file.size += sum(sizes)
            return
        names = self._names_of(numbers)
        file.names += names
        for name, size in zip(chunks.each(names), sizes):  # noqa: B905 (Python 3.9)
            content = self._recent.get(name)
            if content is None:
                file.flush()
                file.write(self._store.read(name), size)
                file.flush()  # the next one that is read takes its place
            else:
                file.write(content, size)

    def _directory(self, parts: paths.Parts) -> int:
        """Most files lie beside the one before."""
        if self._beside is None or self._beside[0] != parts:
            fd = paths.open_directory(self._tree, parts, create=True)
            self._leave()
            self._beside = (parts, fd)
        return self._beside[1]

    def _leave(self) -> None:
        if self._beside is not None:
            os.close(self._beside[1])
            self._beside = None

    def _of(self, run: tuple[int, int]) -> range:
        first, count = run
        if first < 0 or count < 0 or first + count > len(self._sizes):
            raise FarError(REFUSED, "a chunk that has no name yet")
        return range(first, first + count)

    def _names_of(self, numbers: Sequence[int]) -> bytes:
        size, names = chunks.DIGEST, self._names
        if numbers and numbers[-1] - numbers[0] + 1 == len(numbers):  # as nearly always
            return bytes(names[numbers[0] * size : (numbers[-1] + 1) * size])
        return b"".join(names[number * size : (number + 1) * size] for number in numbers)

    def _drop(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class _Growing:
    """A file of the tree that is being written, from its first byte on."""

    def __init__(self, parent: int, name: bytes, first: Part) -> None:
        self.path, self.size, self._ends_in_hole = first.path, 0, False
        self.there: Optional[os.stat_result] = None  #: of a file that is right already
        self.names = bytearray()  #: of the chunks that it was built of
        self._waiting: list[Union[bytes, memoryview]] = []
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._fd = os.open(name, flags, 0o600, dir_fd=parent)
        except FileExistsError:
            if first.entry is not None:
                self.there = _right(parent, name, first.entry)
            if self.there is None:
                os.unlink(name, dir_fd=parent)
                self._fd = os.open(name, flags, 0o600, dir_fd=parent)

    def write(self, content: Union[bytes, memoryview], size: int) -> None:
        """Appends a chunk that was announced with this size."""
        if len(content) != size:
            raise FarError(REFUSED, f"a chunk of {len(content)} bytes was announced with {size}")
        self.size += size
        if size >= _HOLE and memoryview(content) == _ZEROS[:size]:  # a sparse file stays one
            self.flush()
            os.lseek(self._fd, size, os.SEEK_CUR)
            self._ends_in_hole = True
            return
        self._ends_in_hole = False
        self._waiting.append(content)
        if len(self._waiting) >= _AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """What was appended is in the file; until then its chunks must stay as they are."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        size, written = sum(map(len, waiting)), os.writev(self._fd, waiting)
        if written < size:
            rest = memoryview(b"".join(waiting))[written:]
            while rest:
                rest = rest[os.write(self._fd, rest) :]

    def finish(self, entry: InputFile, models: Models) -> os.stat_result:
        """All of it is there: its mode and time. What it is like then."""
        if self.size != entry.size:
            raise FarError(REFUSED, f"{self.size} bytes of {entry.size}: {entry.path!r}")
        if self.there is not None:
            return self.there
        if self._ends_in_hole:
            os.ftruncate(self._fd, self.size)
        if self.size >= MODEL:
            models.keep(self._fd, bytes(self.names))
        os.fchmod(self._fd, entry.mode)
        os.utime(self._fd, ns=(entry.mtime_ns, entry.mtime_ns))
        return os.fstat(self._fd)

    def close(self) -> None:
        """Gives the descriptor back."""
        if self.there is None:
            os.close(self._fd)


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


def _filled(blocks: Iterable[bytes], into: memoryview) -> Iterator[int]:
    """How much is there by now. Raises FarError(broken) unless it fits exactly."""
    have = 0
    for block in blocks:
        if have + len(block) > len(into):
            break
        into[have : have + len(block)] = block
        have += len(block)
        yield have
    else:
        if have == len(into):
            return
    raise FarError(BROKEN, f"a pack that does not hold {len(into)} bytes of chunks")


def _right(parent: int, name: bytes, entry: InputFile) -> Optional[os.stat_result]:
    """A file that an earlier conversation has built; its mode and time are set again."""
    try:
        fd = paths.open_regular(parent, (name,))
    except OSError:
        return None
    try:
        fact = os.fstat(fd)
        if fact.st_size != entry.size or not fact.st_size:
            return None
        if chunks.digest_of(fd) != entry.blake3:
            return None
        # Untouched if right: on most file systems a needless change would look like a job's.
        if stat.S_IMODE(fact.st_mode) != entry.mode:
            os.fchmod(fd, entry.mode)
        if fact.st_mtime_ns != entry.mtime_ns:
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        return fact  # from before it was read: who has written since is found out
    finally:
        os.close(fd)


@contextlib.contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise from_os(error) from error
