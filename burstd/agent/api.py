"""The agent's side of burstd's API: HTTP over the Unix socket, standard library only.

HTTP/1.0 (RFC 1945) is all that it needs, and ``http.client`` takes longer to load than such a
question takes.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from typing import Any

SOCKET = os.environ.get("BURSTD_SOCKET", "/run/burstd/burstd.sock")
_BLOCK = 65536


class Away(Exception):
    """burstd does not answer now; try again."""


class Denied(Exception):
    """burstd answered no. ``status`` is the HTTP status."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Api:
    """One question, one connection: nothing to keep across restarts of either side."""

    def __init__(self, path: str, timeout: float = 60.0) -> None:
        self._path, self._timeout = path, timeout

    def get(self, route: str) -> dict[str, Any]:
        """Raises ``Away`` or ``Denied``."""
        return self._ask("GET", route, None)

    def post(self, route: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Raises ``Away`` or ``Denied``."""
        return self._ask("POST", route, json.dumps(body))

    def _ask(self, method: str, route: str, body: str | None) -> dict[str, Any]:
        try:
            status, text = _answer(self._exchange(method, route, body))
        except (OSError, ValueError) as error:
            raise Away(f"burstd at {self._path} does not answer: {error}") from error
        found: dict[str, Any] = {}
        if text:
            try:
                found = json.loads(text)
            except ValueError:
                found = {"error": text[:200].decode(errors="replace")}
        if status in (500, 502, 503, 504):
            raise Away(str(found.get("error", f"status {status}")))
        if status >= 400:
            raise Denied(status, str(found.get("error", f"status {status}")))
        return found

    def _exchange(self, method: str, route: str, body: str | None) -> bytes:
        """All that comes until burstd closes the connection."""
        content = (body or "").encode()
        head = (
            f"{method} {route} HTTP/1.0\r\nHost: burstd\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        found = bytearray()
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(self._timeout)
            line.connect(self._path)
            line.sendall(head.encode("ascii") + content)
            while block := line.recv(_BLOCK):
                found += block
        return bytes(found)


def _answer(raw: bytes) -> tuple[int, bytes]:
    """Status and content. Raises ``ValueError`` for what is no whole answer."""
    head, end, content = raw.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    version, status, *_ = (*first.split(b" ", 2), b"")
    if not end or not version.startswith(b"HTTP/1."):
        raise ValueError("no whole HTTP answer")
    for line in lines:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and int(value) != len(content):
            raise ValueError(f"{len(content)} bytes of {int(value)}")
    return int(status), content
