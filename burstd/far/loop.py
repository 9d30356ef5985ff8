"""Waiting: for readable descriptors, for children that end, and for times. One thread, no races."""

from __future__ import annotations

import heapq
import itertools
import os
import selectors
import signal
import time
from typing import Callable, Optional


class Loop:
    """Calls back, one event after the other. Times are seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = itertools.count()
        self._ends: dict[int, Callable[[int], None]] = {}
        self._strangers: dict[int, int] = {}
        self._woken, waker = os.pipe()
        for fd in (self._woken, waker):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        self.watch(self._woken, self._wake)

    def watch(self, fd: int, ready: Callable[[], None]) -> None:
        """Calls `ready` whenever the descriptor has something to read, or has ended."""
        self._selector.register(fd, selectors.EVENT_READ, ready)

    def unwatch(self, fd: int) -> None:
        """The opposite of `watch`."""
        self._selector.unregister(fd)

    def after(self, seconds: float, due: Callable[[], None]) -> None:
        """Calls `due` once, later."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._serial), due))

    def expect(self, pid: int, ended: Callable[[int], None]) -> None:
        """Calls `ended` with the wait status of a child, also if it has been reaped before."""
        if pid in self._strangers:
            ended(self._strangers.pop(pid))
        else:
            self._ends[pid] = ended

    def expects(self, pid: int) -> bool:
        """Whether somebody waits for that child."""
        return pid in self._ends

    def reap(self) -> None:
        """Collects all children that have ended, adopted ones too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            ended = self._ends.pop(pid, None)
            if ended is None:
                self._strangers[pid] = status
            else:
                ended(status)

    def _wake(self) -> None:
        try:
            os.read(self._woken, 4096)
        except BlockingIOError:
            return

    def turn(self, block: bool = True) -> None:
        """One round: waits for the next event (if `block`) and calls back."""
        timeout: Optional[float] = 0.0
        if block:
            timeout = self._timers[0][0] - time.monotonic() if self._timers else None
        for key, _ in self._selector.select(None if timeout is None else max(0.0, timeout)):
            key.data()
        self.reap()
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()
