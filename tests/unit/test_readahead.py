"""Batches come in their order, and no more of them wait than memory is meant for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from burstd.agent.readahead import HELD, MOST, ReadAhead
from burstd.agent.reading import Batch


@dataclass
class Source:
    """So many batches of so many bytes; then it breaks, if it does."""

    count: int
    held: int = 0
    breaks: bool = False
    given: list[Batch] = field(default_factory=list)

    def __iter__(self) -> Iterator[Batch]:
        for _ in range(self.count):
            self.given.append(Batch(held=self.held))
            yield self.given[-1]
        if self.breaks:
            raise OSError("gone")

    def settled(self, count: int) -> bool:
        """Whether so many were taken from it, and no more a moment later."""
        until = time.monotonic() + 10
        while len(self.given) < count and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(0.05)
        return len(self.given) == count


@pytest.mark.parametrize("count", [0, 1, 3 * MOST])
def test_all_come_in_their_order(count: int) -> None:
    source = Source(count, held=HELD // 3)
    with ReadAhead(iter(source)) as ahead:
        found = list(ahead)
    assert count == len(found)
    assert [id(batch) for batch in source.given] == [id(batch) for batch in found]


def test_what_the_reading_raises_comes_behind_the_batches_before_it() -> None:
    source, found = Source(3, breaks=True), list[Batch]()
    with ReadAhead(iter(source)) as ahead, pytest.raises(OSError, match="gone"):
        found.extend(ahead)
    assert 3 == len(found)


@pytest.mark.parametrize(("held", "ahead"), [(HELD, 1), (HELD // 2 + 1, 2), (1, MOST), (0, MOST)])
def test_no_more_wait_than_there_is_memory_for(held: int, ahead: int) -> None:
    source = Source(3 * MOST, held)
    with ReadAhead(iter(source)) as reading:
        batches = iter(reading)
        for taken in range(2 * MOST):
            assert source.settled(taken + ahead)
            next(batches)


def test_whoever_leaves_early_ends_it() -> None:
    source = Source(3 * MOST)
    with ReadAhead(iter(source)) as reading:
        next(iter(reading))
        assert source.settled(MOST + 1)
    assert source.settled(MOST + 1)
