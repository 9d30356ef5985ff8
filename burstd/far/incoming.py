"""Chunks on their way in. The other end names them once, in an order of its own; from then on a
chunk is its number."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Optional

from burstd.far import chunks
from burstd.far.claims import Claims
from burstd.far.errors import BROKEN, MISMATCH, REFUSED, FarError, answered
from burstd.far.parts import WANTED, Runs
from burstd.far.store import Store
from burstd.far.wire import MAX_PACK

_RECENT = 32 * 1024 * 1024
#: Seconds after which a pack is finished where other conversations may wait for what is in it.
SHARED = 2.0


class Incoming:
    """Those of one conversation. `sizes`: in bytes, by number. `recent`: what has just come, by
    name: most files are built of that. `awaited`: names of those that were not asked for, as
    another conversation brings them."""

    def __init__(self, store: Store, claims: Claims) -> None:
        """The caller closes both."""
        self._store, self._finished, self._claims = store, store.finished, claims
        self.sizes, self._names = array("I"), store.names()
        self.recent: OrderedDict[bytes, memoryview] = OrderedDict()
        self._bytes = 0  #: of those
        self.awaited: set[bytes] = set()

    def want(self, wanted: bytes) -> bytes:
        """Takes notice of chunks, and says which of them must be sent: a bit each, the lowest of a
        byte first."""
        if len(wanted) % WANTED.size:
            raise FarError(BROKEN, "names of chunks that are cut off")
        asked = list(WANTED.iter_unpack(wanted))
        if any(size > chunks.MOST for _, size in asked):
            raise FarError(REFUSED, f"a chunk of more than {chunks.MOST} bytes")
        names = [name for name, _ in asked]
        self._names.add(b"".join(names))
        self.sizes.extend(size for _, size in asked)
        held = self._store.held(names)
        missing = {name: number for number, name in enumerate(names) if name not in held}
        bits = bytearray((len(wanted) // WANTED.size + 7) // 8)
        for name in self._claimed(missing) if missing else ():
            bits[missing[name] // 8] |= 1 << missing[name] % 8
        return bytes(bits)

    def _claimed(self, missing: Collection[bytes]) -> set[bytes]:
        """Those that nobody else brings, nor has brought meanwhile: we do."""
        ours = set(missing)
        with answered(), self._claims.turn() as turn:
            if turn:
                if self._look():
                    ours -= self._store.held([*ours])
                others = self._claims.brought(ours)
                self.awaited |= others
                ours -= others
                self._claims.claim(ours, waits=bool(others))
        self.awaited -= ours
        return ours

    def _look(self) -> bool:
        """Whether the store may have more since."""
        changed, killed = self._claims.look()
        if changed or killed:
            self._store.refresh(mend=killed)
        return changed or killed

    def _is_waited_for(self) -> bool:
        if not self._claims.others and self._claims.news():
            with self._claims.turn() as turn:
                if turn:
                    self._look()
        return self._claims.others > 0

    def take(self, runs: Runs, blocks: Iterable[bytes], plain: Optional[int]) -> None:
        """Keeps the chunks of a pack as they come, so that a cut costs the one that it falls in.
        `plain`: their bytes, where they come compressed. Raises FarError(mismatch) if one is not
        what its name says."""
        numbers = list[int]()
        for run in runs:
            numbers += self.span(run)
            if len(numbers) > MAX_PACK:
                raise FarError(REFUSED, "a pack that is too large")
        ends = list(accumulate(self.sizes[number] for number in numbers))
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
        start, names = borders[0], self.names(numbers)
        view = content[start : borders[-1]]
        if chunks.names(view, [border - start for border in borders[1:]]) != names:
            raise FarError(MISMATCH, "a chunk is not what its name says")
        found = [
            (name, content[here:there])
            for name, here, there in zip(chunks.each(names), borders, borders[1:])  # noqa: B905 (Python 3.9)
        ]
        with answered():
            if self._store.age >= SHARED and self._is_waited_for():
                self._store.settle()
            self._store.add(found)
            if self._store.finished != self._finished:
                self._finished = self._store.finished
                with self._claims.turn() as turn:
                    if turn:
                        self._claims.finished()
            self._claims.came(name for name, _ in found)
        self.recent.update(found)
        self._bytes += len(view)
        while self._bytes > _RECENT and self.recent:
            self._bytes -= len(self.recent.popitem(last=False)[1])

    def span(self, run: tuple[int, int]) -> range:
        """The numbers of a run: its first and their count. Raises FarError(refused)."""
        first, count = run
        if first < 0 or count < 0 or first + count > len(self.sizes):
            raise FarError(REFUSED, "a chunk that has no name yet")
        return range(first, first + count)

    def name(self, number: int) -> bytes:
        """That of one chunk."""
        return self._names.row(number, 1)

    def names(self, numbers: Sequence[int]) -> bytes:
        """Theirs, one after the other."""
        row = range(numbers[0], numbers[0] + len(numbers)) if numbers else range(0)
        if numbers == row or list(numbers) == list(row):  # as nearly always
            return self._names.row(row.start, len(row))
        return b"".join(map(self.name, numbers))

    def lacking(self, runs: Runs) -> set[bytes]:
        """Of so many runs the names of those that another conversation brings, and has not yet."""
        if not self.awaited:
            return set()
        names = {name for run in runs for name in chunks.each(self.names(self.span(run)))}
        awaited = names & self.awaited
        return awaited - self._store.held([*awaited])

    @property
    def news(self) -> bool:
        """Whether others may have brought something since we last looked."""
        return self._claims.news()

    @property
    def others(self) -> int:
        """How many conversations bring something beside us."""
        return self._claims.others

    def brought(self, lacking: Collection[bytes] = ()) -> tuple[set[bytes], set[bytes]]:
        """Of those that are awaited, or that a file is `lacking`: what has come, whoever brought
        it, and what nobody brings any more."""
        wanted = self.awaited.union(lacking)
        with answered(), self._claims.turn() as turn:
            coming = set[bytes]()
            if turn:
                self._claims.look()
                coming = self._claims.brought(wanted)
            self._store.refresh()
        came = self._store.held([*wanted])
        if not came | coming >= wanted:  # whoever brought it may have been killed
            with answered():
                self._store.refresh(mend=True)
            came = self._store.held([*wanted])
        gone = wanted - came - coming
        self.awaited -= came | gone
        return came, gone

    def close(self) -> None:
        """Gives the descriptor back."""
        self._names.close()

    def release(self) -> None:
        """All that we were to bring is where others see it; that we wait they see, too. Raises
        OSError."""
        self._store.settle()
        self._finished = self._store.finished
        with self._claims.turn() as turn:
            self._claims.release()
            if turn:
                self._claims.claim((), waits=bool(self.awaited))


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
