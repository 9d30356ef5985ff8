"""All results of a job on their way to their places, several at once where they wait for the disk
or the line."""

from __future__ import annotations

import errno
import resource
from collections import deque
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from burstd.agent.landing import Damaged, Landing
from burstd.agent.ways import NO_NAME
from burstd.domain.data import InputFile, Mark, OutputFile
from burstd.far.endrecord import UNREADABLE
from burstd.ports.depot import Ended
from burstd.ports.errors import Mismatch, Rejected

LANES = 6  #: files that are written, synced and named at once
#: Small ones that are landed one after the other, to see whether each waits for something: threads
#: of one interpreter that have nothing to wait for only wait for each other. Where they do, so many
#: at once follow, each time twice as many.
TRIED, SMALL = 8, 256 * 2**10
FIRST, MOST = 500, 8000
#: What concerns one result alone: its name, or that it is larger than files may be (`ulimit -f`).
_OF_ONE = NO_NAME | {errno.EFBIG}
ASIDE = 3  #: times that a result arrives damaged before it is put beside its place


def in_order(entries: Iterable[OutputFile]) -> list[OutputFile]:
    """Further names of a file behind the file. Directories last and deepest first: their modes must
    not hinder the files in them."""
    return sorted(entries, key=lambda e: (_rank(e), -e.path.count("/"), e.path))


def set_back(
    staged: Iterable[Mapping[str, Any]], copies: Mapping[str, Mark], end: Ended, landing: Landing
) -> list[OutputFile]:
    """Inputs (rows of the stage-in report) that the job has left as they were, of which a copy of
    another moment may lie here."""
    mine = copies.keys() - {entry.path for entry in end.results}
    return [
        OutputFile(sent.path, "file", sent.size, sent.blake3, sent.mtime_ns, sent.mode)
        for sent in (InputFile(**row) for row in staged if row["path"] in mine)
        if sent.path not in end.deleted and landing.is_ours(sent.path)
    ]


def _rank(entry: OutputFile) -> int:
    return 2 if entry.kind == "dir" else int(entry.kind == "file" and bool(entry.target))


def _waits() -> int:
    """How often this thread has given its CPU away because something was not there yet."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


@dataclass
class Arrivals:
    """``damaged``: how often results have arrived so, by path; it outlives the agent."""

    landing: Landing
    damaged: MutableMapping[str, int]
    waits: Callable[[], int] = _waits
    _kept_back: dict[str, PermissionError | Rejected] = field(default_factory=dict, init=False)

    def land(self, ordered: Sequence[OutputFile]) -> None:
        """Put all in place; of a name that is listed twice the last. Raises ``OSError`` and what
        the landing's fetch raises, once none is under way any more; what concerns one alone, once
        all others are there."""
        files = [entry for entry in ordered if entry.kind != "dir"]
        self.landing.made = {entry.path for entry in ordered[len(files) :]}
        once = {entry.path: entry for entry in files}
        with ThreadPoolExecutor(LANES) as lanes:
            for rank in (0, 1):
                self._some(lanes, (entry for entry in once.values() if _rank(entry) == rank))
        for entry in ordered[len(files) :]:
            self._one(entry)
        if self._kept_back:
            first, others = self._kept_back[min(self._kept_back)], len(self._kept_back) - 1
            if others and isinstance(first, Rejected):
                first = Rejected(f"{first}; so it is with {others} more")
            raise first

    def _some(self, lanes: ThreadPoolExecutor, entries: Iterable[OutputFile]) -> None:
        coming, many = iter(entries), FIRST
        while some := list(islice(coming, TRIED)):
            if any(entry.size > SMALL for entry in some):
                self._at_once(lanes, chain(some, islice(coming, many)))
            elif self._waited(some):
                self._at_once(lanes, islice(coming, many))
                many = min(2 * many, MOST)
            else:
                many = FIRST

    def _waited(self, some: Sequence[OutputFile]) -> bool:
        """Land them one after the other; whether each had to wait."""
        before = self.waits()
        for entry in some:
            self._one(entry)
        return self.waits() - before >= len(some)

    def _at_once(self, lanes: ThreadPoolExecutor, entries: Iterable[OutputFile]) -> None:
        under_way: deque[Future[None]] = deque()
        for entry in entries:
            under_way.append(lanes.submit(self._one, entry))
            if len(under_way) > 2 * LANES:
                under_way.popleft().result()
        while under_way:
            under_way.popleft().result()

    @property
    def again(self) -> Sequence[str]:
        """Those that arrived damaged and shall be tried once more."""
        return [path for path, times in self.damaged.items() if times < ASIDE]

    def _one(self, entry: OutputFile) -> None:
        """One that arrives damaged keeps no other one from its place, and is tried again a few
        times: what is wrong at the far end stays so."""
        if self.damaged.get(entry.path, 0) >= ASIDE:
            self._aside(entry)
            return
        try:
            if entry.kind == UNREADABLE:
                raise Rejected(f"the target cannot read it: {entry.target}")
            self.landing.land(entry)
        except (Damaged, Mismatch):
            self.damaged[entry.path] = self.damaged.get(entry.path, 0) + 1
            if self.damaged[entry.path] >= ASIDE:
                self._aside(entry)
        except PermissionError as error:
            error.filename = entry.path
            self._kept_back[entry.path] = error
        except OSError as error:
            if error.errno not in _OF_ONE:
                raise
            why = f"{entry.path} cannot be written here: {error.strerror}"
            self._kept_back[entry.path] = Rejected(why)
        except Rejected as error:
            self._kept_back[entry.path] = Rejected(f"{entry.path} does not come: {error}")
        else:
            self.damaged.pop(entry.path, None)

    def _aside(self, entry: OutputFile) -> None:
        try:
            self.landing.aside(entry)
        except Mismatch as error:
            self.landing.notes.append(f"{entry.path} was not brought back: {error}")
