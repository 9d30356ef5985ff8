"""As fast as burstd lets us: a line that others use too has a rate, and we a share of it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from burstd.agent.api import Away

ASK_EVERY = 2.0  #: seconds
#: The far end ends a conversation that is silent for two minutes.
LONGEST = 60.0  #: seconds
BURST = 0.25  #: seconds' worth of bytes that may go at once

#: Told of bytes moved since the last question; bytes a second from now on, or no limit.
Share = Callable[[int], float | None]


@dataclass
class Pace:
    """A token bucket; both directions count. ``share`` may raise ``Away``."""

    share: Share
    _rate: float | None = field(default=None, init=False)
    _asked_at: float = field(default=-ASK_EVERY, init=False)
    _moved: int = field(default=0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _ready_at: float = field(default=0.0, init=False)  #: when all that has gone may have gone

    def __call__(self, size: int) -> None:
        """Wait until these bytes may go, or may have come. For all lines of a burst together: who
        waits for many holds up nobody, but those that come behind it."""
        with self._lock:
            seconds = self._reserved(size)
        if seconds > 0:
            time.sleep(min(LONGEST, seconds))

    def _reserved(self, size: int) -> float:
        """Seconds until then."""
        now = time.monotonic()
        self._moved += size
        if now - self._asked_at >= ASK_EVERY:
            with contextlib.suppress(Away):  # what held last holds on
                self._rate, self._moved = self.share(self._moved), 0
            self._asked_at = now
        if self._rate is None:
            return 0.0
        self._ready_at = max(self._ready_at, now - BURST) + size / self._rate
        return self._ready_at - now
