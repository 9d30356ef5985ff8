"""Several lines at once where the way is long: a channel of OpenSSH has a window of 2 MiB (its
channels.h), so that one line carries no more than that in each round trip, whatever the net can."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from burstd.agent.facts import sizes
from burstd.agent.index import Index
from burstd.agent.push import Push
from burstd.domain.data import InputFile
from burstd.far.client import Client
from burstd.ports.depot import Going

if TYPE_CHECKING:
    from burstd.agent.passage import Passage

WINDOW = 2 * 2**20  #: bytes
WORTH = 256 * 10**6  #: bytes; with fewer another line is not worth its opening
LONG = 0.015  #: seconds of a round trip
FAST = 400e6  #: bytes a second; more no agent reads and compresses
MOST = 4


class Line(Protocol):
    """A conversation of its own with the same run directory."""

    client: Client
    passage: Passage | None

    def close(self) -> None:
        """End it, once it has said all."""

    def end(self) -> None:
        """End it at once, also while another thread speaks on it."""


def wanted(round_trip: float, size: int) -> int:
    """How many lines so many bytes are worth. ``round_trip``: seconds."""
    if round_trip < LONG or size < WORTH:
        return 1
    return min(MOST, math.ceil(round_trip * FAST / WINDOW), size // (WORTH // 4))


def dealt(paths: Sequence[str], count: int) -> list[list[str]]:
    """The files by the line that takes them: the largest first, each to that with the least; in
    the order given on each line. None is empty."""
    size = sizes(paths)
    piles = [(0, number) for number in range(count)]
    owner = [0] * len(paths)
    for place in sorted(range(len(paths)), key=lambda place: -size[place]):
        load, owner[place] = piles[0]
        heapq.heapreplace(piles, (load + size[place] + 1, owner[place]))
    found = [[p for p, o in zip(paths, owner, strict=True) if o == n] for n in range(count)]
    return [pile for pile in found if pile]


@dataclass(frozen=True)
class Streams:
    """``first`` is open already; ``another`` opens one more."""

    first: Line
    another: Callable[[], Line]
    going: Going = field(default_factory=Going)

    def push(self, piles: Sequence[Sequence[str]]) -> list[InputFile]:
        """Each pile over a line of its own; all files in the order of their names. Raises what
        ``Push.send`` raises, for the first that does; the others end then."""
        with ExitStack() as opened, ThreadPoolExecutor(len(piles)) as threads:
            lines = [self.first]
            for _ in piles[1:]:
                lines.append(self.another())
                opened.callback(lines[-1].close)
            sent = [
                threads.submit(_send, *one, self.going) for one in zip(lines, piles, strict=True)
            ]
            try:
                found = [file for one in as_completed(sent) for file in one.result()]
            except BaseException:
                for line in lines:
                    line.end()
                raise
        return sorted(found, key=lambda file: file.path)


def _send(line: Line, paths: Sequence[str], going: Going) -> list[InputFile]:
    index = Index.own()
    try:
        return Push(line.client, index, line.passage, going).send(paths)
    finally:
        index.close()
