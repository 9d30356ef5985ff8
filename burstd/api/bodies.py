"""What callers send with a question, and how what can't be read is refused."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class Ascii(JSONResponse):
    """A file's name may be any bytes; JSON's escapes have words for all of them, UTF-8 has not."""

    def render(self, content: Any) -> bytes:
        """As ``JSONResponse`` does."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


class TooLong(Exception):
    """More was said than anybody would read."""


async def too_long(_request: Request, _error: Exception) -> Response:
    """The answer to it."""
    return refusal(413, "that is too long")


async def read_body(request: Request, most: int) -> bytes:
    """The body, never more of it than ``most``: any user may call. Raises ``TooLong``."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size <= most:
            parts.append(part)
    if size > most:  # all was taken: a caller who still sends would not hear the answer
        raise TooLong
    return b"".join(parts)


def refusal(status: int, why: str) -> JSONResponse:
    """Why it can't be done."""
    return JSONResponse({"error": why}, status_code=status)


async def bad_request(_request: Request, error: Exception) -> Response:
    """Words that are not of the agents' language."""
    first = error.errors()[0] if isinstance(error, ValidationError) else {"msg": str(error)}
    return refusal(400, str(first["msg"]))
