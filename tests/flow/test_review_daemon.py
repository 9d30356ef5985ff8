"""The daemon's clockwork: a long turn is not a frozen process."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from burstd.shell.daemon import Daemon
from burstd.shell.tick import Memory
from tests.flow.scene import Scene


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What systemd hears."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(0.05)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        handlers = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
        yield heard
        for number, handler in handlers.items():
            signal.signal(number, handler)


class Slow:
    """A queue whose look takes as long as the upload of an image may."""

    def __init__(self, real: Any, until: threading.Event) -> None:
        self._real, self._until = real, until

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def observe(self) -> Any:
        self._until.wait(20)
        return self._real.observe()


def run(daemon: Daemon, manager: socket.socket, seconds: float) -> list[str]:
    """The daemon for so long; what it told systemd meanwhile."""
    heard: list[str] = []

    def listen() -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                heard.append(manager.recv(1000).decode())
            except TimeoutError:
                continue
        daemon._stop.set()
        slow.set()

    slow = daemon.world.queue._until  # type: ignore[attr-defined]
    thread = threading.Thread(target=listen)
    thread.start()
    daemon.run()
    thread.join()
    return heard


def daemon_with(longest: timedelta) -> Daemon:
    scene = Scene()
    world = replace(scene.world, queue=Slow(scene.world.queue, threading.Event()))
    return Daemon(
        world, Memory(), timedelta(hours=1), threading.Event(),
        alive_every=timedelta(seconds=0.1), longest_turn=longest,
    )  # fmt: skip


def test_systemd_is_told_that_we_live_while_a_turn_takes_long(manager: socket.socket) -> None:
    """WatchdogSec would kill burstd in the middle of each upload that takes longer, for ever."""
    heard = run(daemon_with(timedelta(hours=2)), manager, 1.0)
    assert 3 < heard.count("WATCHDOG=1")


def test_a_turn_that_never_ends_is_left_to_the_watchdog(manager: socket.socket) -> None:
    heard = run(daemon_with(timedelta(seconds=0.3)), manager, 1.5)
    assert 0 < heard.count("WATCHDOG=1") < 6


def test_a_manager_that_went_away_does_not_end_the_daemon(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert [] == run(daemon_with(timedelta(hours=2)), manager, 0.5)
