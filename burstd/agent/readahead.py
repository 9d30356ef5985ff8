"""Batches that are read before anybody asks for them, by a thread of their own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from burstd.agent.reading import Batch

#: Batches that wait, and bytes that they keep in memory. Those that are as in a file that was read
#: before keep none: many of them bridge the time in which the far end writes and does not listen.
MOST, HELD = 12, 2**22


class ReadAhead:
    """Iterates over batches, as they come; as a context it ends the reading with itself."""

    def __init__(self, found: Iterator[Batch]) -> None:
        self._found = found
        self._ready = deque[Batch]()
        self._held = 0  #: bytes of those
        self._changed = threading.Condition()
        self._over = self._stopped = False
        self._thread = ThreadPoolExecutor(1)
        self._reading: Future[None]

    def __enter__(self) -> Self:
        self._reading = self._thread.submit(self._read)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.shutdown()

    def __iter__(self) -> Iterator[Batch]:
        """Raises what the reading raises, after the batches before."""
        while (batch := self._next()) is not None:
            yield batch
        self._reading.result()

    def _next(self) -> Batch | None:
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._over)
            if not self._ready:
                return None
            batch = self._ready.popleft()
            self._held -= batch.held
            self._changed.notify()
            return batch

    def _read(self) -> None:
        try:
            for batch in self._found:
                if not self._put(batch):
                    return
        finally:
            with self._changed:
                self._over = True
                self._changed.notify()

    def _put(self, batch: Batch) -> bool:
        """Returns once there is room for another; false if none is wanted."""
        with self._changed:
            self._ready.append(batch)
            self._held += batch.held
            self._changed.notify()
            self._changed.wait_for(lambda: self._stopped or self._has_room())
            return not self._stopped

    def _has_room(self) -> bool:
        return len(self._ready) < MOST and self._held < HELD
