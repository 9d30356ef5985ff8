"""The daemon's clockwork: APScheduler turns the ticks, signals end it, systemd hears of it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from burstd.obs.notify import notify
from burstd.ports.errors import PortError
from burstd.shell.clearing import Tidier, clear
from burstd.shell.keyring import Sweeper
from burstd.shell.tend import lower_links, raise_links
from burstd.shell.tick import Memory, pooled, tick
from burstd.shell.world import World

log = structlog.get_logger()

DRIVERS = 8  #: bursts driven at once; each mostly waits for a far answer
LONGEST_TURN = timedelta(hours=2)
SWEEP_EVERY = 20  #: seconds
SOON = 1.0  #: seconds: least time between two ticks that agents ask for


@dataclass
class Daemon:
    """Ticks every ``poll``, and soon after an agent has said something (``nudge``)."""

    world: World
    memory: Memory
    poll: timedelta
    nudge: threading.Event
    before_tick: Callable[[], None] = field(default=lambda: None)
    after_tick: Callable[[], None] = field(default=lambda: None)
    alive_every: timedelta = timedelta(seconds=30)  #: well below WatchdogSec
    longest_turn: timedelta = LONGEST_TURN
    _stop: threading.Event = field(default_factory=threading.Event)
    _turning: threading.Lock = field(default_factory=threading.Lock)
    _turned_at: float = 0.0  #: monotonic
    _sweeper: Sweeper = field(default_factory=Sweeper)
    _tidier: Tidier = field(default_factory=Tidier)

    def run(self) -> None:
        """Until TERM or INT. Work under way is finished; what is not is found again at start."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        scheduler = BackgroundScheduler(timezone="UTC")
        pool = ThreadPoolExecutor(DRIVERS, thread_name_prefix="drive")
        every = self.poll.total_seconds()
        scheduler.add_job(
            self._turn, "interval", args=[pool], seconds=every, max_instances=1, coalesce=True
        )
        scheduler.add_job(self._sweep, "interval", seconds=SWEEP_EVERY, max_instances=1)
        self._turned_at = time.monotonic()
        scheduler.start()
        notify("READY=1")
        alive = threading.Thread(target=self._say_alive, name="alive", daemon=True)
        alive.start()
        self._turn(pool)
        ahead = self._ahead()
        while not self._stop.is_set():
            ahead = self._heed_the_clock(scheduler, ahead)
            if self.nudge.wait(0.5):
                self.nudge.clear()
                self._turn(pool)
                self._stop.wait(SOON)
        notify("STOPPING=1")
        alive.join()
        scheduler.shutdown(wait=True)
        pool.shutdown(wait=True)
        log.info("daemon.stopped")

    def _ahead(self) -> float:
        """Seconds that the wall clock is ahead of the one that nobody sets."""
        return self.world.clock.now().timestamp() - self.world.clock.uptime().seconds

    def _heed_the_clock(self, scheduler: BackgroundScheduler, was: float) -> float:
        """APScheduler goes by the wall clock: where that was set back its next moments are far
        away, and come at once instead."""
        ahead = self._ahead()
        if ahead < was - SOON:
            log.warning("clock.turned", seconds=round(was - ahead))
            for job in scheduler.get_jobs():
                job.modify(next_run_time=self.world.clock.now())
        return ahead

    def _turn(self, pool: ThreadPoolExecutor) -> None:
        """One tick; a fault in it must not end the daemon."""
        with self._turning:
            try:
                self.before_tick()
            except Exception:  # what holds goes on to hold
                log.exception("tick.broken")
            try:
                raise_links(self.world)
                tick(self.world, self.memory, pooled(pool))
                lower_links(self.world)
            except PortError as error:
                log.warning("tick.failed", cause=str(error))
            except Exception:
                log.exception("tick.broken")
            self.after_tick()
            self._turned_at = time.monotonic()

    def _sweep(self) -> None:
        """Beside the ticks: a bucket or a target that hangs holds up nothing."""
        try:
            self._sweeper.sweep(self.world)
            clear(self.world)
            self._tidier.tidy(self.world)
        except PortError as error:
            log.warning("sweep.failed", cause=str(error))
        except Exception:
            log.exception("sweep.broken")

    def _say_alive(self) -> None:
        """Tell the watchdog that we live, until the end. A turn may take as long as the upload of
        an image; one that takes longer hangs."""
        while not self._stop.wait(self.alive_every.total_seconds()):
            if time.monotonic() - self._turned_at < self.longest_turn.total_seconds():
                notify("WATCHDOG=1")
