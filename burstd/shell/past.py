"""What users ran in the last weeks, asked of accounting now and then."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from burstd.domain.usage import Usage
from burstd.ports.clock import Clock
from burstd.ports.errors import PortError
from burstd.ports.queue import Queue

log = structlog.get_logger()

EVERY = timedelta(minutes=15)


@dataclass
class Past:
    """Losing it costs one question. While accounting is away what was known before counts.
    Thread-safe: who asks meanwhile waits for the answer."""

    _usage: Usage = field(default_factory=Usage)
    _asked_at: datetime | None = None
    _asking: threading.Lock = field(default_factory=threading.Lock)

    def usage(self, queue: Queue, clock: Clock, reach: timedelta) -> Usage:
        """As of the last quarter of an hour, ``reach`` back; nothing if that is nothing."""
        if not reach:
            return Usage()
        with self._asking:
            now = clock.now()
            if self._asked_at is None or abs(now - self._asked_at) >= EVERY:
                self._asked_at = now
                try:
                    self._usage = Usage(queue.past(now - reach))
                except PortError as error:
                    log.warning("past.unreadable", cause=str(error))
            return self._usage
