"""Two daemons, one ledger: waiting for the lease, keeping it, and ending when it is lost."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from typing import Any, NoReturn, TypeVar

import structlog

from burstd.adapters.store.lease import RENEWED_EVERY, Lease
from burstd.app import Wire
from burstd.obs.notify import notify
from burstd.ports.errors import Unreachable

log = structlog.get_logger()

Seam = TypeVar("Seam")

EX_TEMPFAIL = 75  # sysexits.h; the service manager starts us again, as a standby
LOOK_EVERY = 5.0  #: seconds


def stand_down(why: str) -> NoReturn:
    """End at once: no handler, no thread and no socket of ours may do anything more."""
    log.error("daemon.deposed", cause=why)
    sys.stderr.flush()
    os._exit(EX_TEMPFAIL)


def name() -> str:
    """This daemon, for people."""
    return f"{socket.gethostname()}:{os.getpid()}"


def lead(lease: Lease) -> bool:
    """Wait until the lease is ours; False if TERM or INT came first."""
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    told = ""
    while not over.is_set():
        try:
            if lease.acquire():
                log.info("daemon.leading", epoch=lease.epoch)
                return True
            words = f"standing by: {lease.holder().name} leads"
        except Unreachable as error:
            words = f"standing by: {error}"
        if words != told:
            log.info("daemon.waiting", cause=words)
            notify(f"READY=1\nSTATUS={words}")
            told = words
        notify("WATCHDOG=1")
        over.wait(LOOK_EVERY)
    return False


def keep(lease: Lease, over: threading.Event) -> threading.Thread:
    """Renew the lease until ``over``; one that can't be renewed in time ends the daemon."""

    def renewals() -> None:
        pause = RENEWED_EVERY.total_seconds()
        while not over.wait(pause):
            lease.require()
            try:
                lease.renew()
                pause = RENEWED_EVERY.total_seconds()
            except Unreachable as error:
                log.warning("lease.stuck", cause=str(error))
                pause = 1.0

    thread = threading.Thread(target=renewals, name="lease", daemon=True)
    thread.start()
    return thread


def fenced(lease: Lease, wire: Wire) -> Wire:
    """Between burstd and each seam: nothing passes once the lease may have ended."""

    def fence(name: str, seam: Seam) -> Seam:
        behind: Any = _Fenced(wire(name, seam), lease)
        return behind  # type: ignore[no-any-return]

    return fence


class _Fenced:
    def __init__(self, seam: Any, lease: Lease) -> None:
        self._seam, self._lease = seam, lease

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._seam, name)
        if not callable(real):
            return real

        def call(*args: Any, **kwargs: Any) -> Any:
            self._lease.require()
            return real(*args, **kwargs)

        return call
