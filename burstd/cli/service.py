"""What ``burstd run`` starts, in order, and stops again."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import threading
from pathlib import Path

import structlog

from burstd import __version__
from burstd.adapters.clock import SystemClock
from burstd.api.desk import Bell, Desk
from burstd.api.figures import figures
from burstd.api.server import ApiServer
from burstd.app import Settings, Wire, build, direct, open_ledger
from burstd.obs import metrics
from burstd.obs.logs import configure
from burstd.ports.errors import PortError
from burstd.shell.daemon import Daemon
from burstd.shell.tick import Memory

log = structlog.get_logger()


def serve(settings: Settings, wire: Wire = direct) -> int:
    """Run until TERM; returns the exit code."""
    configure()
    config = settings.config
    state = config.state.directory
    lock = _alone(state)
    if lock is None:
        sys.stderr.write(f"burstd: another burstd uses {state}; stop it first\n")
        return 1
    if _answers(config.api.socket):
        sys.stderr.write(f"burstd: another burstd answers at {config.api.socket}; stop it first\n")
        return 1
    bell = Bell()
    try:
        store = open_ledger(settings, SystemClock())
        world = build(settings, store, bell.ring, wire)
    except PortError as error:
        sys.stderr.write(f"burstd: {error}\n")
        return 1
    memory, nudge = Memory(), threading.Event()
    desk = Desk(world, memory, frozenset(config.api.operators), world.clock.now(), bell, nudge)
    api = ApiServer(desk, config.api.socket)
    api.start()
    stop_metrics = (
        metrics.serve(config.api.metrics, lambda: figures(desk)) if config.api.metrics else None
    )
    log.info("daemon.started", version=__version__, mode=world.policy.mode.value)
    try:
        Daemon(world, memory, config.site.poll, nudge).run()
    finally:
        api.stop()
        if stop_metrics is not None:
            stop_metrics()
        os.close(lock)
    return 0


def _answers(path: Path) -> bool:
    """True if somebody listens; a socket file that a killed daemon left does not."""
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(str(path)) == 0


def _alone(state: Path) -> int | None:
    """Hold the state directory for this process; ``None`` if another one does."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock
