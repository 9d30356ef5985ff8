"""What the API may know and do: the world, the last tick's memory, and those who wait."""

from __future__ import annotations

import asyncio
import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime

from burstd.api.clerks import Clerks
from burstd.api.crowd import Crowd
from burstd.api.lines import Lines
from burstd.api.looks import Looks
from burstd.api.passages import Passages
from burstd.api.turns import Turns
from burstd.domain.burst import Burst
from burstd.domain.jobs import JobKey
from burstd.shell.tick import Memory
from burstd.shell.world import World

LARGEST_ID = 2**31  #: Slurm's ids and array tasks are smaller
_JOB = re.compile(r"\d+(_\d+)?", re.ASCII)


class Bell:
    """Wakes coroutines that wait for a burst to move; rung from the daemon's threads."""

    def __init__(self) -> None:
        self._waiting: dict[JobKey, set[asyncio.Event]] = defaultdict(set)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._over = False

    def attach(self) -> None:
        """Called once from the loop that serves the API."""
        self._loop = asyncio.get_running_loop()

    def ring(self, job: JobKey) -> None:
        """From any thread; nobody waiting is fine."""
        with self._lock:
            events = tuple(self._waiting.get(job, ()))
        self._set(events)

    def close(self) -> None:
        """burstd stops: nobody waits any more."""
        with self._lock:
            self._over = True
            events = tuple(event for waiting in self._waiting.values() for event in waiting)
        self._set(events)

    def _set(self, events: Iterable[asyncio.Event]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            for event in events:
                self._loop.call_soon_threadsafe(event.set)

    @contextmanager
    def listening(self, job: JobKey) -> Iterator[asyncio.Event]:
        """An event that is set when ``job``'s burst moves."""
        event = asyncio.Event()
        with self._lock:
            self._waiting[job].add(event)
            if self._over:
                event.set()
        try:
            yield event
        finally:
            with self._lock:
                self._waiting[job].discard(event)
                if not self._waiting[job]:
                    del self._waiting[job]


async def until(event: asyncio.Event, seconds: float) -> None:
    """Until the event is set or the time is over."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


@dataclass(frozen=True)
class Desk:
    """Everything a route needs."""

    world: World
    memory: Memory
    operators: frozenset[str]
    started_at: datetime
    bell: Bell = field(default_factory=Bell)
    #: Asks the daemon for a tick soon: an agent has said something new.
    nudge: threading.Event = field(default_factory=threading.Event)
    lines: Lines = field(default_factory=Lines)
    crowd: Crowd = field(default_factory=Crowd)
    passages: Passages = field(default_factory=Passages)
    clerks: Clerks = field(default_factory=Clerks)
    looks: Looks = field(default_factory=Looks)
    turns: Turns = field(default_factory=Turns)  #: of long words

    def burst_of(self, job: JobKey) -> Burst | None:
        """The open burst of a job, else its latest."""
        found = self.world.store.bursts(job)
        return next((b for b in found if not b.stage.at_rest), found[0] if found else None)


def job_key(desk: Desk, text: str) -> JobKey:
    """The job that ``text`` names. Raises ``ValueError``."""
    if _JOB.fullmatch(text) is None:  # int() takes 12_3_4 for 12_34
        raise ValueError(f"{text[:40]!r} is no job: 123, or 123_4 for a task of an array")
    key = JobKey.parse(desk.world.cluster, text)
    if not (0 <= key.job_id < LARGEST_ID and 0 <= (key.array_task or 0) < LARGEST_ID):
        raise ValueError(f"no job has the number {text[:40]}")
    return key
