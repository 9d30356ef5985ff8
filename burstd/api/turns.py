"""One after another: what costs much, and any user may ask for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from starlette.requests import Request


class Turns:
    """One turn at a time; of each user one waits for it, and the user's others for that one: many
    questions of one user hold up another's by one."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._first: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, request: Request) -> AsyncIterator[None]:
        """The turn of who asks."""
        user = request.client.host if request.client else ""
        first = self._first.setdefault(user, asyncio.Lock())
        async with first, self._turn:
            yield
