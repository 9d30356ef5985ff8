"""What callers send with a question, and how what can't be read is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from burstd.api.turns import Turns

SHORT = 2**16  #: bytes; what is longer is taken from one caller at a time
PATIENCE = 10.0  #: seconds in which a body must be there; a long one once it is its caller's turn


class Ascii(JSONResponse):
    """A file's name may be any bytes; JSON's escapes have words for all of them, UTF-8 has not."""

    def render(self, content: Any) -> bytes:
        """As ``JSONResponse`` does."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


class TooSlow(Exception):
    """Others wait for their turn."""


async def too_slow(_request: Request, _error: Exception) -> Response:
    """The answer to it: try again."""
    return refusal(503, "it did not come in time")


class TooLong(Exception):
    """More was said than anybody would read."""


async def too_long(_request: Request, _error: Exception) -> Response:
    """The answer to it."""
    return refusal(413, "that is too long")


async def read_body(request: Request, most: int) -> bytes:
    """The body, never more of it than ``most``: any user may call. Raises ``TooLong``, and
    ``TooSlow`` if it isn't there in ``PATIENCE``."""
    async with long_body(request, most) as raw:
        return raw


@asynccontextmanager
async def long_body(
    request: Request, most: int, turns: Turns | None = None
) -> AsyncIterator[bytes]:
    """As ``read_body``. One that is longer than ``SHORT`` is held in memory, and many times that
    while it is read, in its caller's turn alone. Raises as that does."""
    parts, size, turn = list[bytes](), 0, False
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(PATIENCE) as patience:
                async for part in request.stream():
                    size += len(part)
                    if size <= most:
                        parts.append(part)
                    if size > SHORT and turns is not None and not turn:
                        patience.reschedule(None)
                        await stack.enter_async_context(turns.of(request))
                        patience.reschedule(asyncio.get_running_loop().time() + PATIENCE)
                        turn = True
        except TimeoutError as error:
            raise TooSlow from error
        if size > most:  # all was taken: a caller who still sends would not hear the answer
            raise TooLong
        yield b"".join(parts)


def refusal(status: int, why: str) -> JSONResponse:
    """Why it can't be done."""
    return JSONResponse({"error": why}, status_code=status)


async def bad_request(_request: Request, error: Exception) -> Response:
    """Words that are not of the agents' language."""
    first = error.errors()[0] if isinstance(error, ValidationError) else {"msg": str(error)}
    return refusal(400, str(first["msg"]))
