"""The daemon's clockwork: a long turn is not a frozen process."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from burstd.domain.burst import Burst, Stage, Uptime
from burstd.domain.events import Broken, Event
from burstd.shell.daemon import Daemon
from burstd.shell.tick import Memory, pooled
from burstd.testing.simulators import SteppedClock
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


def test_a_clock_that_was_set_back_stops_nothing(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """APScheduler goes by the wall clock."""
    shift, ticks = [timedelta()], list[float]()

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + shift[0]  # noqa: TID251

    for module in ("schedulers.base", "executors.base", "triggers.interval"):
        monkeypatch.setattr(f"apscheduler.{module}.datetime", Shifted)

    class Wall(SteppedClock):
        def now(self) -> datetime:
            return Shifted.now(UTC)  # type: ignore[no-any-return]

        def uptime(self) -> Uptime:
            return Uptime("boot-1", time.monotonic())

    def ticked(*_words: object) -> None:
        ticks.append(time.monotonic())
        if len(ticks) == 3:
            shift[0] = -timedelta(hours=1)

    monkeypatch.setattr("burstd.shell.daemon.tick", ticked)
    scene = Scene(clock=Wall())
    world = replace(scene.world, queue=Slow(scene.world.queue, threading.Event()))
    every = timedelta(seconds=0.2)
    daemon = Daemon(world, Memory(), every, threading.Event(), alive_every=every)
    heard = run(daemon, manager, 3.0)
    assert 3 < heard.count("WATCHDOG=1")
    assert 6 < len(ticks)


def test_a_fault_in_deciding_stops_no_burst_that_is_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene()
    scene.slurm.submit(name="beam", minutes=120)
    scene.until(Stage.RUNNING)

    def broken(*_words: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("burstd.shell.tick.decide", broken)
    scene.target.finish_all()
    assert Stage.SETTLED is scene.until(Stage.SETTLED).stage


def test_nor_does_one_with_the_policys_files(manager: socket.socket) -> None:
    def broken() -> None:
        raise ValueError("a fault")

    daemon = replace(daemon_with(timedelta(hours=2)), before_tick=broken)
    with ThreadPoolExecutor(1) as pool:
        daemon.world.queue._until.set()  # type: ignore[attr-defined]
        daemon._turn(pool)
    assert daemon.memory.plan is not None


def test_what_cannot_be_written_down_stops_one_burst_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A far end's word that is no text, for example."""
    scene = Scene()
    for name in ("beam", "plate"):
        scene.slurm.submit(name=name, minutes=120)
    scene.until(Stage.RUNNING)
    append = scene.world.store.append

    def refusing(before: Burst, event: Event, *more: Any) -> Burst:
        if str(before.job) == "1" and not isinstance(event, Broken):
            raise ValueError("surrogates not allowed")
        return append(before, event, *more)

    monkeypatch.setattr(scene.world.store, "append", refusing)
    scene.target.finish_all()
    scene.turn(20)
    assert [Stage.QUARANTINED, Stage.SETTLED] == [scene.burst(job).stage for job in "12"]


def test_all_are_driven_before_anything_that_went_wrong_is_told() -> None:
    """Else the next tick would drive some beside this one."""
    ended = list[int]()

    def drive(burst: Any) -> None:
        if burst == 0:
            raise OSError("the first")
        time.sleep(0.2)
        ended.append(burst)

    with ThreadPoolExecutor(3) as pool:
        with pytest.raises(OSError, match="the first"):
            pooled(pool)(drive, cast(Iterable[Burst], range(6)))
        assert [1, 2, 3, 4, 5] == sorted(ended)


def test_a_manager_that_went_away_does_not_end_the_daemon(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert [] == run(daemon_with(timedelta(hours=2)), manager, 0.5)
