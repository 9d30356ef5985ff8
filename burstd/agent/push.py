"""Inputs on their way out. Reading, naming, asking, compressing and sending go on at once: the link
or the CPUs are always busy."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from burstd.agent.index import Index
from burstd.agent.packed import Left, Numbered, Pack, Runs, packed, runs, runs_of
from burstd.agent.readahead import ReadAhead
from burstd.agent.reading import Batch, Changed, batches
from burstd.agent.standing import standing
from burstd.agent.steering import Steering
from burstd.domain.data import InputFile
from burstd.far import loader
from burstd.far.client import Client, Pending, missing
from burstd.far.errors import BROKEN, BUSY, MISMATCH, MISSING, BucketError, FarError
from burstd.far.parts import Part
from burstd.ports.depot import Going

if TYPE_CHECKING:  # most targets have no bucket, and what speaks to one takes its time to load
    from burstd.agent.passage import Passage

PACK = 4 * 2**20  #: bytes before they are compressed
#: Batches asked for, packs being made: with what is read ahead they are what is in memory. And
#: batches asked for in all where some keep nothing there, as they are like a file that was read
#: before: little of them is missing, and each answer takes a round trip.
ASKED, MADE, DEEP = 3, 6, 16
REMEMBERED = 100_000  #: names; who comes later is asked for again, which costs a few bytes
WORD_EVERY = 30.0  #: seconds; the far end takes two minutes' silence for a cut
UNHEARD = 32  #: answers
#: A pack that is left in a bucket ends, from so many bytes on, with a chunk whose name begins low:
#: there it ends in other trees too, which then have packs in common.
COMMON, LOW = 2**20, 8
HELD = 8  #: batches of files that wait for such a pack
#: Of a pack that lies in a bucket: it is gone, damaged, or something else was left under its name.
_NOT_IT = frozenset({MISSING, MISMATCH, BROKEN})

Made = tuple[Runs, Pack | Left]


@dataclass
class Push:
    """Sends files over one line, or through ``passage``; see ``ports.depot.Depot.push``."""

    client: Client
    index: Index
    passage: Passage | None = None
    going: Going = field(default_factory=Going)
    _numbers: dict[bytes, int] = field(default_factory=dict)
    _steering: Steering = field(default_factory=Steering)
    _coming: int = 0  #: packs that the far end has not told of
    _trip: float = 0.0  #: seconds until a question is answered, at best
    _next: int = 0  #: of the chunks that the far end has been told of
    #: Chunks that will be a pack, however they were read, and files that wait for them.
    _group: list[Numbered] = field(default_factory=list)
    _size: int = 0
    _held: list[list[Part]] = field(default_factory=list)
    _outbox: deque[Future[Made] | list[Part]] = field(default_factory=deque)
    #: Answers that are still to come, with the pack that they are about if it lies in the bucket.
    _unheard: deque[tuple[Pending, str]] = field(default_factory=deque)
    _waiting: bool = False  #: files lack what another burst's agent is just sending

    def send(self, paths: Iterable[str]) -> list[InputFile]:
        """Returns once all is there; the entries as they were read. Raises what ``batches`` and
        the client raise, and ``Changed``."""
        try:
            entries = self._send(paths)
            return self._rest(entries) if self._waiting else entries
        except Changed as error:
            self.index.forget(error.path)
            raise

    def _rest(self, entries: list[InputFile]) -> list[InputFile]:
        """Waits for what others send; sends what they don't, after all."""
        sent, known = {entry.path: entry for entry in entries}, 0
        while True:
            left, gone = self.client.rest()
            if not sent.keys() >= set(gone):
                raise FarError(BROKEN, "the far end asks for files that it was not offered")
            self.going.add(-sum(sent[path].size for path in gone), waiting=left - known)
            known = left
            if not (left or gone):
                return [sent[entry.path] for entry in entries]
            self._numbers.clear()  # they are asked about anew
            sent |= {entry.path: entry for entry in self._send(sorted(gone))}

    def _send(self, paths: Iterable[str]) -> list[InputFile]:
        coming, entries = iter(paths), list[InputFile]()
        if (first := next(coming, None)) is None:
            return entries
        paths = chain([first], coming)
        # What must be read begins to be while the way is opened; else nothing is lost by waiting.
        if self.index.known([first]) and self.client.hello().standing:
            entries, paths = standing(self.client, self.index, paths)
            self.going.add(sum(entry.size for entry in entries))
        loader.load()
        asked: deque[_Asked] = deque()
        lanes = 2 if self.passage is None else MADE  # those mostly wait for the bucket
        reading = ReadAhead(batches(paths, self.index))
        with reading, ThreadPoolExecutor(lanes) as packing:
            try:
                for batch in reading:
                    entries += [piece.entry for piece in batch.pieces if piece.entry is not None]
                    asked.append(self._ask(batch))
                    while self._is_due(asked):
                        self._pack(asked.popleft(), packing)
                    self._post(MADE)
                while asked:
                    self._pack(asked.popleft(), packing)
                    self._post(MADE)
                self._submit(packing)
                self._post(0)
            except BaseException:
                packing.shutdown(wait=False, cancel_futures=True)  # what has not begun never will
                raise
        while self._unheard:
            self._hear()
        return entries

    def _ask(self, batch: Batch) -> _Asked:
        if len(self._numbers) > REMEMBERED:
            self._numbers.clear()
        numbers, fresh = [], []
        for chunk in batch.chunks:
            number = self._numbers.get(chunk.name)
            if number is None:
                number = self._numbers[chunk.name] = self._next
                self._next += 1
                fresh.append((number, chunk))
            numbers.append(number)
        wanted = [(chunk.name, chunk.size) for _, chunk in fresh]
        pending = self.client.want(wanted) if wanted else None
        return _Asked(batch, numbers, fresh, pending, time.monotonic())

    def _is_due(self, asked: deque[_Asked]) -> bool:
        """Whether the first answer is waited for. Where little is missing and the way is long, more
        questions are under way instead of packs."""
        if not asked or asked[0].is_answered:
            return bool(asked)
        heavy = sum(one.batch.held > 0 for one in asked)
        if heavy <= ASKED and len(asked) <= DEEP:
            return False
        packs = sum(isinstance(one, Future) for one in self._outbox)
        full = len(asked) > DEEP or heavy > ASKED + MADE - packs
        return full or time.monotonic() - asked[0].at >= self._trip

    def _pack(self, asked: _Asked, packing: ThreadPoolExecutor) -> None:
        lacking = list[Numbered]()
        if asked.answer is not None:
            bits = asked.answer.result()[1]
            trip = time.monotonic() - asked.at
            self._trip = min(self._trip or trip, trip)
            lacking = [asked.fresh[at] for at in missing(bits, len(asked.fresh))]
        for number, chunk in lacking:
            self._group.append((number, chunk))
            self._size += chunk.size
            common = self.passage is not None and chunk.name[0] < LOW and self._size >= COMMON
            if common or self._size >= PACK:
                self._submit(packing)
        self.going.add(sum(chunk.size for chunk in asked.batch.chunks))
        self._held.append([
            Part(
                piece.path, piece.offset,
                runs(asked.numbers[piece.first : piece.first + piece.count]),
                piece.entry,
            )
            for piece in asked.batch.pieces
        ])  # fmt: skip
        # Over the line nothing is gained by waiting; nor where hardly anything is missing.
        if self.passage is None or not self._group or len(self._held) >= HELD:
            self._submit(packing)

    def _submit(self, packing: ThreadPoolExecutor) -> None:
        """What was gathered becomes a pack; files that waited for it follow."""
        if self._group:
            made = packing.submit(_made, self._group, self._steering.level, self.passage)
            self._outbox.append(made)
            self._group, self._size = [], 0
        self._release()

    def _release(self) -> None:
        self._outbox += self._held
        self._held = []

    def _post(self, most: int) -> None:
        """Send what is made; wait for it where more than so many are in the making."""
        while self._outbox and (len(self._outbox) > most or _is_made(self._outbox[0])):
            found = self._outbox.popleft()
            if isinstance(found, list):
                self._unheard.append((self.client.build(found), ""))
            else:
                self._send_pack(found)
            while self._unheard and (len(self._unheard) > UNHEARD or self._unheard[0][0].known):
                self._hear()

    def _send_pack(self, made: Future[Made]) -> None:
        if self.passage is None:
            waiting = [one.done() for one in self._outbox if isinstance(one, Future)]
            self._coming += 1
            self._steering.steer([made.done(), *waiting], MADE, self._coming + len(waiting))
        while not wait([made], WORD_EVERY).done:
            self.client.hello()
        numbers, pack = made.result()
        if isinstance(pack, Left):
            self._steering.steer_by(pack.made, pack.sent, MADE)
            told = self.client.chunks_via(numbers, pack.address, pack.name)
            self._unheard.append((told, pack.name))
        else:
            self._unheard.append((self.client.chunks(numbers, pack.content, pack.plain), ""))

    def _hear(self) -> None:
        pending, left = self._unheard.popleft()
        try:
            answer, _ = pending.result()
            self._waiting = self._waiting or answer.has("waiting")
            if answer.has("idle"):
                self._coming -= 1
                self._steering.taking.add(answer.integer("idle"), answer.integer("busy"))
        except FarError as error:
            if not left or self.passage is None or error.code not in _NOT_IT:
                raise
            self.passage.distrust(left)
            raise BucketError(BUSY, f"{left} is left in the bucket once more: {error}") from error


@dataclass(frozen=True)
class _Asked:
    """A batch, the numbers of its chunks, and the question for those that are new."""

    batch: Batch
    numbers: Sequence[int]
    fresh: Sequence[Numbered]
    answer: Pending | None
    at: float  #: when it was asked, seconds of the monotonic clock

    @property
    def is_answered(self) -> bool:
        return self.answer is None or self.answer.known


def _made(found: Sequence[Numbered], level: int, passage: Passage | None) -> Made:
    if passage is None:
        return packed(found, level, ordered=False)
    # Its name says which chunks are in it, in which order, whoever has left it.
    names = [chunk.name for _, chunk in found]
    return runs_of(found), passage.leave(names, lambda: packed(found, level, ordered=True)[1])


def _is_made(found: Future[Made] | list[Part]) -> bool:
    return isinstance(found, list) or found.done()
