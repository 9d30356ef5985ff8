"""How far files have come, said now and then beside who moves them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import TracebackType

from burstd.ports.depot import Going

#: Seconds; what takes long is told of less often: hundreds of jobs may be on their way at once.
FIRST, MOST = 5.0, 30.0


class Telling:
    """While it is entered ``tell`` hears of each of these, by its name, that has moved."""

    def __init__(
        self, goings: Mapping[str, Going], tell: Callable[[Mapping[str, object]], object]
    ) -> None:
        self._goings, self._tell, self._over = goings, tell, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(1)

    def _run(self) -> None:
        told, pause = dict[str, object](), FIRST
        while not self._over.wait(pause):
            for way, going in self._goings.items():
                body = {
                    "way": way, "bytes": going.done, "of": going.total, "waiting": going.waiting,
                }  # fmt: skip
                if going.total and told.get(way) != body:
                    told[way], pause = body, min(2 * pause, MOST)
                    self._tell(body)
