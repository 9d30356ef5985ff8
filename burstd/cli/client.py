"""``burst``'s side of the API: one question over the Unix socket; quick to import."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

SOCKET = os.environ.get("BURSTD_SOCKET", "/run/burstd/burstd.sock")

PATIENCE = 600.0  #: seconds until the first of many lines: burstd may have a long day to read

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
    with _asked(route, method, body) as answer:
        text = answer.read()
    found = _object(text)
    if answer.status != 200 or not found:
        raise _refusal(answer.status, found)
    return found


def ask_lines(route: str) -> Iterator[dict[str, Any]]:
    """The same for an answer of lines of JSON, each as it comes."""
    with _asked(route, "GET", seconds=PATIENCE) as answer:
        if answer.status != 200:
            raise _refusal(answer.status, _object(answer.read()))
        while line := answer.readline():
            if line.strip():
                yield _object(line)


@contextmanager
def _asked(
    route: str, method: str, body: object = None, seconds: float = 60
) -> Iterator[http.client.HTTPResponse]:
    connection = _Connection("burstd", timeout=seconds)
    try:
        said = None if body is None else json.dumps(body)
        connection.request(method, quote(route, safe="/?=&%+"), said)
        yield connection.getresponse()
    except PermissionError as error:
        raise Answerless(PERMISSION, f"{SOCKET}: {error.strerror}") from error
    except (OSError, http.client.HTTPException) as error:
        raise Answerless(
            UNREACHABLE, f"burstd does not answer at {SOCKET}: {error}. Is it running?"
        ) from error
    finally:
        connection.close()


def _object(text: bytes) -> dict[str, Any]:
    """Empty where it is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


#: What a status says of the question, and where nothing more is said.
_REFUSALS = {
    404: (NOT_FOUND, "not found"),
    403: (PERMISSION, "permission denied"),
    409: (NEGATIVE, "it is too late"),
    503: (UNREACHABLE, "burstd cannot answer now"),
}


def _refusal(status: int, found: dict[str, Any]) -> Answerless:
    code, text = _REFUSALS.get(status, (ERROR, f"status {status}"))
    return Answerless(code, str(found.get("error", text)))
