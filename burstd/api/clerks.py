"""Who asks a target, or a bucket, on behalf of agents."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.responses import JSONResponse, Response

from burstd.api.bodies import refusal
from burstd.ports.errors import PortError, Transient

CLERKS = 8  #: threads of each place
WAITING = 64  #: questions to one place that wait for a thread; who waits longer asks again


class Clerks:
    """Threads of its own for each place: one that does not answer takes those of no other question,
    and of the API's none."""

    def __init__(self) -> None:
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._asked = Counter[str]()
        self._lock = threading.Lock()

    async def answer(self, place: str, work: Callable[[], Mapping[str, Any]]) -> Response:
        """What ``work`` gives, or why it can't now, or never."""
        try:
            return JSONResponse(await self._done(place, work))
        except Transient as error:
            return refusal(503, str(error))
        except PortError as error:
            return refusal(409, str(error))

    async def _done(self, place: str, work: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        with self._lock:
            if self._asked[place] >= CLERKS + WAITING:
                raise Transient(f"{place} does not answer as fast as it is asked")
            self._asked[place] += 1
            if place not in self._threads:
                self._threads[place] = ThreadPoolExecutor(CLERKS, thread_name_prefix=place)
        # Whoever asked may be gone before: what is under way counts until it is done.
        return await asyncio.get_running_loop().run_in_executor(
            self._threads[place], self._counted, place, work
        )

    def _counted(self, place: str, work: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        try:
            return work()
        finally:
            with self._lock:
                self._asked[place] -= 1
