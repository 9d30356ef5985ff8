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
from burstd.adapters.store.lease import Lease
from burstd.api.desk import Bell, Desk
from burstd.api.figures import figures
from burstd.api.server import ApiServer
from burstd.app import Settings, Wire, build, direct, lease_of, open_ledger
from burstd.cli.reload import PolicyWatch
from burstd.cli.standby import fenced, keep, lead, name, stand_down
from burstd.obs import metrics
from burstd.obs.logs import configure
from burstd.ports.clock import Clock
from burstd.ports.errors import PortError
from burstd.shell.daemon import Daemon
from burstd.shell.tick import Memory
from burstd.shell.world import World

log = structlog.get_logger()

PATIENCE = 10.0  #: seconds for another burstd's answer


def serve(settings: Settings, wire: Wire = direct, clock: Clock | None = None) -> int:
    """Run until TERM; returns the exit code."""
    configure()
    config, clock = settings.config, clock or SystemClock()
    lock = _alone(config.state.directory)
    if lock is None:
        return _refuse(f"another burstd uses {config.state.directory}; stop it first")
    try:
        lease = lease_of(settings, name(), clock, stand_down)
        if lease is None:
            if _answers(config.api.socket):
                return _refuse(f"another burstd answers at {config.api.socket}; stop it first")
        elif lead(lease):
            wire = fenced(lease, wire)
        else:
            return 0
        bell = Bell()
        try:
            world = build(settings, open_ledger(settings, clock, lease), bell.ring, wire, clock)
        except PortError as error:
            return _refuse(str(error))
        _run(settings, world, bell, lease)
    finally:
        os.close(lock)
    return 0


def _run(settings: Settings, world: World, bell: Bell, lease: Lease | None) -> None:
    config = settings.config
    memory, nudge, over = Memory(), threading.Event(), threading.Event()
    desk = Desk(world, memory, frozenset(config.api.operators), world.clock.now(), bell, nudge)
    api = ApiServer(desk, config.api.socket)
    api.start()
    stop_metrics = (
        metrics.serve(config.api.metrics, lambda: figures(desk)) if config.api.metrics else None
    )
    log.info("daemon.started", version=__version__, mode=world.policy.mode.value)
    keeper = keep(lease, over) if lease is not None else None
    try:
        watch = PolicyWatch(settings, world.rules, world.store.tell)
        Daemon(world, memory, config.site.poll, nudge, before_tick=watch).run()
    finally:
        api.stop()
        if stop_metrics is not None:
            stop_metrics()
        over.set()
        if lease is not None and keeper is not None:
            keeper.join()
            lease.release()


def _refuse(why: str) -> int:
    sys.stderr.write(f"burstd: {why}\n")
    return 1


def _answers(path: Path) -> bool:
    """True if somebody answers. A socket file that a killed daemon left does not, nor does a child
    of it that had not yet become another program."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        try:
            sock.connect(str(path))
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return sock.recv(1) != b""
        except OSError:
            return False


def _alone(state: Path) -> int | None:
    """Hold the state directory for this process alone, not for its children: not flock(2), whose
    locks they inherit. ``None`` if another one does. Nobody else opens the file: closing it
    anywhere in this process would let go of it (fcntl(2))."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock
