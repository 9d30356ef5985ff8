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
from typing import Optional

from burstd.far import chunks, paths
from burstd.far.bunch import MOST as MOST_FILES
from burstd.far.bunch import Bunch, small
from burstd.far.errors import BROKEN, MISMATCH, REFUSED, FarError, from_os
from burstd.far.fields import BadFields
from burstd.far.growing import HOLE, Growing
from burstd.far.parts import WANTED, Part, Runs
from burstd.far.rundir import TREE, RunDir
from burstd.far.standing import Standing
from burstd.far.store import Store
from burstd.far.wire import MAX_PACK

_RECENT = 32 * 1024 * 1024


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
        self._file: Optional[Growing] = None
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
        rows, at = _listed(document, "parts"), 0
        while at < len(rows):
            bunch = self._bunch(rows, at)
            made = self._make(bunch) if bunch.files else 0
            # Where one is there already, the others of its bunch mostly are, too.
            end = at + max(1, len(bunch.files))
            for row in rows[at + made : end]:
                self._grow(Part.read(row))
            at = end

    def _bunch(self, rows: Sequence[object], at: int) -> Bunch:
        """As many as can be made at once, from that row on."""
        bunch: Optional[Bunch] = None
        for row in rows[at : at + MOST_FILES]:
            file = small(row, self._sizes, HOLE)
            content = None if file is None else self._recent.get(self._names_of((file[1],)))
            if file is None or content is None:
                break
            above = file[0].rpartition("/")[0]
            bunch = bunch or Bunch(above)
            if above != bunch.above or not bunch.add(file, content):
                break
        return bunch or Bunch("")

    def _make(self, bunch: Bunch) -> int:
        self._drop()
        with _answered():
            made = bunch.make(self._directory(paths.split(bunch.files[0][0])[:-1]))
        for (path, number, digest, _, mode), facts in zip(bunch.files, made):  # noqa: B905 (Python 3.9)
            self._built.made(path, digest, self._sizes[number], facts, mode)
        return len(made)

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
                self._file = Growing(self._directory(tuple(above)), name, part)
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

    def _extend(self, file: Growing, numbers: range) -> None:
        """By chunks that were named one after the other."""
        sizes = self._sizes[numbers.start : numbers.stop]
        if file.there is not None:
            file.size += sum(sizes)
            return
        names, stored = self._names_of(numbers), list[tuple[bytes, int]]()
        file.names += names
        for name, size in zip(chunks.each(names), sizes):  # noqa: B905 (Python 3.9)
            content = self._recent.get(name)
            if content is None:
                stored.append((name, size))
            else:
                file.copy(stored, self._store)
                stored = []
                file.write(content, size)
        file.copy(stored, self._store)

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


@contextlib.contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise from_os(error) from error
