"""What has come home so far, in bytes: a cloud bills each of them, a live file's as a result's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from burstd.agent.memory import Memory
from burstd.domain.data import InputFile, OutputFile
from burstd.ports.depot import Came, Depot, Ended, Execution, Going, Growing, Seen

SAVED_EVERY = 4 * 2**20  #: bytes that a power cut may leave uncounted; small results are many
TOLD_EVERY = 16 * 10**6  #: bytes that burstd may not have heard of when the stand-in is killed


@dataclass
class Metered:
    """A depot whose bytes are counted in ``memory``. While the job runs nothing is read beyond
    ``most`` bytes; ``None``: no limit. ``tell`` hears of them now and then."""

    depot: Depot
    memory: Memory
    most: int | None
    tell: Callable[[int], None] = field(default=lambda _bytes: None)
    going: Going = field(default_factory=Going)  #: of results
    _saved: int | None = field(default=None, init=False)
    _saving: threading.Lock = field(default_factory=threading.Lock, init=False)

    def push(self, paths: Iterable[str], going: Going) -> Sequence[InputFile]:
        return self.depot.push(paths, going)

    def order(self, execution: Execution, files: Sequence[InputFile], script: bytes) -> None:
        self.depot.order(execution, files, script)

    def growing(self) -> Growing:
        return self.depot.growing()

    def read(self, what: str, offset: int, length: int) -> bytes:
        """Nothing once all that is paid for has come."""
        if self.most is not None:
            length = min(length, self.most - self.memory.pulled)
        block = self.depot.read(what, offset, length) if length > 0 else b""
        self._count(len(block))
        return block

    def _count(self, size: int) -> None:
        self.memory.pulled += size
        self.going.add(size)
        if self.memory.pulled - self.memory.told >= TOLD_EVERY:
            self.memory.told = self.memory.pulled
            self.tell(self.memory.told)

    def begins_with(self, path: str, mine: int) -> bool:
        return self.depot.begins_with(path, mine)

    def matching(self, patterns: Sequence[str]) -> Sequence[Seen]:
        return self.depot.matching(patterns)

    @property
    def left(self) -> int | None:
        """Bytes that are paid for and have not come; ``None``: no limit."""
        return None if self.most is None else max(0, self.most - self.memory.pulled)

    def outputs(self, secret: str) -> Ended:
        return self.depot.outputs(secret)

    def expect(self, entries: Sequence[OutputFile]) -> None:
        self.going.begin(sum(entry.travels for entry in entries))
        self.depot.expect(entries)

    def fetch(
        self, entry: OutputFile, into: int, came: Came = int, similar: int | None = None
    ) -> None:
        """All of it: whether it is paid for was asked before the first one."""

        def counted(size: int) -> None:
            self._count(size)
            came(size)

        try:
            self.depot.fetch(entry, into, counted, similar)
        except BaseException:
            self._save()
            raise
        if self._saved is None or self.memory.pulled - self._saved >= SAVED_EVERY:
            self._save()

    def _save(self) -> None:
        with self._saving:
            self.memory.save()
            self._saved = self.memory.pulled

    def close(self) -> None:
        self.depot.close()

    def unpaid(
        self,
        now: Growing,
        entries: Sequence[OutputFile],
        lacks: Callable[[OutputFile], int] = lambda entry: entry.travels,
    ) -> int:
        """Bytes that all would be, if that is more than is paid for; else 0. ``lacks``: how many
        of a result's have yet to come; the others are counted."""
        if self.most is None:
            return 0
        have = self.memory.positions
        streams = {"stdout": now.stdout, "stderr": now.stderr}.items()
        total = self.memory.pulled + sum(max(0, size - have.get(s, 0)) for s, size in streams)
        coming = [(entry, lacks(entry)) for entry in entries]
        whole = [(entry, size) for entry, size in coming if self._may_be_here(entry)]
        total += sum(size for _, size in coming) - sum(size for _, size in whole)
        # Copies are read only where it depends on them: this is asked again and again.
        if total <= self.most < total + sum(size for _, size in whole):
            total += sum(size for entry, size in whole if not _is(entry))
        return total if total > self.most else 0

    def _may_be_here(self, entry: OutputFile) -> bool:
        copy = self.memory.copies.get(entry.path)
        return copy is not None and copy.size == entry.size


def _is(entry: OutputFile) -> bool:
    """Its live copy is whole: a file may be written over at the same size."""
    from burstd.agent.placing import digest_of

    try:
        return digest_of(entry.path) == entry.blake3
    except OSError:
        return False
