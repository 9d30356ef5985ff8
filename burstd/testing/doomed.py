"""burstd that kills itself: ``python -m burstd.testing.doomed --at POINT --config FILE``.

It is ``burstd run`` with every seam watched. At the point, SIGKILL ends it: no handler runs, no
thread is waited for, and whatever its other threads were doing is left as it was. With
``--freeze POINT`` it stops there, until somebody lets it go on.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from burstd.adapters.clock import SystemClock
from burstd.app import settings_in
from burstd.cli.daemon import DEFAULT, EX_CONFIG
from burstd.cli.service import serve
from burstd.config.read import ConfigError
from burstd.testing.points import AFTER, BEFORE, EFFECTS, Effect, Point

Seam = TypeVar("Seam")

EX_USAGE = 2


class Doom:
    """Counts what is reached. At ``point`` it calls ``end``; every label goes to ``trace``."""

    def __init__(
        self, point: Point | None, trace: Callable[[str], None], end: Callable[[], None]
    ) -> None:
        self._point, self._trace, self._end = point, trace, end
        self._reached: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._under_way = threading.local()

    def wire(self, name: str, seam: Seam) -> Seam:
        """``app.Wire``: the seam, watched."""
        watched: Any = _Watched(name, seam, self)
        return watched  # type: ignore[no-any-return]

    def call(self, seam: str, name: str, real: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """One call at a seam, its effect between two points."""
        if seam == "queue":
            self._under_way.name = name
        effect = self._effect(seam, name, spoken(seam, name, args))
        if effect is None:
            return real(*args, **kwargs)
        self._reach(effect, BEFORE)
        result = real(*args, **kwargs)
        self._reach(effect, AFTER)
        return result

    def _effect(self, seam: str, name: str, said: str) -> Effect | None:
        within = getattr(self._under_way, "name", "")
        return next((e for e in EFFECTS if e.is_this(seam, name, said, within)), None)

    def _reach(self, effect: Effect, when: str) -> None:
        label = f"{effect.name}.{when}"
        with self._lock:
            self._reached[label] += 1
            self._trace(label)
            point = self._point
            if point and (point.label, point.nth) == (label, self._reached[label]):
                self._end()


class _Watched:
    """A seam whose every call goes through a doom."""

    def __init__(self, name: str, seam: Any, doom: Doom) -> None:
        self._name, self._seam, self._doom = name, seam, doom

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._seam, name)
        if not callable(real):
            return real
        return lambda *args, **kwargs: self._doom.call(self._name, name, real, args, kwargs)


def spoken(seam: str, name: str, args: Any) -> str:
    """What a call says, as the table's patterns read it: the command line, the stage, the kind."""
    match seam, name:
        case "slurm", "run":
            return " ".join(args[0])
        case "far" | "gate", "run":
            return shlex.join(args[1])
        case "store", "append":
            before, _, after, *_ = args
            return "" if before.stage is after.stage else str(after.stage.value)
        case "store", "record":
            return str(len(args[0].placements))
        case "store", "report":
            return str(args[1])
    return ""


def _by(number: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def _tracer(path: Path | None) -> Callable[[str], None]:
    if path is None:
        return lambda _label: None
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    return lambda label: (os.write(descriptor, f"{label}\n".encode()), None)[1]


class WrongClock(SystemClock):
    """The machine's, set by as many seconds as the file says at that moment."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=int(self._file.read_text()))


def main(argv: list[str]) -> int:
    """Run until the point, or until TERM."""
    parser = argparse.ArgumentParser(prog="burstd.testing.doomed", description=__doc__)
    doom = parser.add_mutually_exclusive_group()
    doom.add_argument("--at", metavar="POINT", help="die there")
    doom.add_argument("--freeze", metavar="POINT", help="stop there, until SIGCONT")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="append every label reached")
    parser.add_argument("--clock", type=Path, metavar="FILE", help="seconds it is set ahead by")
    parser.add_argument("--config", "-c", type=Path, default=DEFAULT)
    options = parser.parse_args(argv)
    try:
        where = options.at or options.freeze
        point = Point.parse(where) if where else None
    except ValueError as error:
        sys.stderr.write(f"doomed: {error}\n")
        return EX_USAGE
    try:
        settings = settings_in(options.config)
    except ConfigError as error:
        sys.stderr.write("".join(f"{problem}\n" for problem in error.problems))
        return EX_CONFIG
    clock = WrongClock(options.clock) if options.clock else None
    end = _by(signal.SIGSTOP if options.freeze else signal.SIGKILL)
    return serve(settings, Doom(point, _tracer(options.trace), end).wire, clock)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
