"""The agent's side of burstd's API: HTTP over the Unix socket, standard library only."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Mapping
from typing import Any

SOCKET = os.environ.get("BURSTD_SOCKET", "/run/burstd/burstd.sock")


class Away(Exception):
    """burstd does not answer now; try again."""


class Denied(Exception):
    """burstd answered no. ``status`` is the HTTP status."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("burstd", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


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
        connection = _UnixConnection(self._path, self._timeout)
        try:
            connection.request(method, route, body)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Away(f"burstd at {self._path} does not answer: {error}") from error
        finally:
            connection.close()
        found: dict[str, Any] = {}
        if text:
            try:
                found = json.loads(text)
            except ValueError:
                found = {"error": text[:200].decode(errors="replace")}
        if answer.status in (500, 502, 503, 504):
            raise Away(str(found.get("error", f"status {answer.status}")))
        if answer.status >= 400:
            raise Denied(answer.status, str(found.get("error", f"status {answer.status}")))
        return found
