"""``burst``'s side of the API: one question over the Unix socket; quick to import."""

from __future__ import annotations

import http.client
import json
import os
import socket
from typing import Any
from urllib.parse import quote

SOCKET = os.environ.get("BURSTD_SOCKET", "/run/burstd/burstd.sock")

OK, ERROR, USAGE, NEGATIVE, NOT_FOUND, UNREACHABLE, PERMISSION = 0, 1, 2, 3, 4, 5, 6


class Answerless(Exception):
    """No good answer; ``code`` is the exit code."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(SOCKET)


def ask(route: str, method: str = "GET", body: object = None) -> dict[str, Any]:
    """The JSON answer to ``route``, its query quoted. Raises ``Answerless``."""
    connection = _Connection("burstd", timeout=60)
    try:
        said = None if body is None else json.dumps(body)
        connection.request(method, quote(route, safe="/?=&%+"), said)
        answer = connection.getresponse()
        text = answer.read()
    except PermissionError as error:
        raise Answerless(PERMISSION, f"{SOCKET}: {error.strerror}") from error
    except (OSError, http.client.HTTPException) as error:
        raise Answerless(
            UNREACHABLE, f"burstd does not answer at {SOCKET}: {error}. Is it running?"
        ) from error
    finally:
        connection.close()
    try:
        found: dict[str, Any] = json.loads(text) if text.startswith(b"{") else {}
    except ValueError:
        found = {}
    if answer.status == 404:
        raise Answerless(NOT_FOUND, str(found.get("error", "not found")))
    if answer.status == 403:
        raise Answerless(PERMISSION, str(found.get("error", "permission denied")))
    if answer.status == 409:
        raise Answerless(NEGATIVE, str(found.get("error", "it is too late")))
    if answer.status == 503:
        raise Answerless(UNREACHABLE, str(found.get("error", "burstd cannot answer now")))
    if answer.status != 200 or not found:
        raise Answerless(ERROR, str(found.get("error", f"status {answer.status}")))
    return found
