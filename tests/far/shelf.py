"""Something that takes objects and gives them back, and can be told to misbehave. A real bucket is
in tests/contract."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from burstd.agent.passage import Addresses


@dataclass
class Shelf:
    """``refusals``: the answers to the next requests; 0: the line is cut instead. ``cuts``: the
    bytes after which the next objects that are fetched end. ``slow``: seconds that a PUT takes."""

    port: int
    objects: dict[str, bytes] = field(default_factory=dict)
    refusals: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    slow: float = 0.0
    puts: list[str] = field(default_factory=list)
    gets: list[str] = field(default_factory=list)

    def sign(
        self, put: Sequence[str] = (), get: Sequence[str] = (), bad: Sequence[str] = ()
    ) -> Addresses:
        """As burstd does."""
        for name in bad:
            self.objects.pop(name, None)
        base = f"http://127.0.0.1:{self.port}/"
        there = self.objects
        return Addresses(
            [None if name in there else f"{base}{name}?a=1" for name in put],
            [f"{base}{name}?b=2" for name in get],
        )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    shelf: Shelf

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(self.shelf.slow)
        if not self._refused():
            self.shelf.puts.append(self._name())
            self.shelf.objects[self._name()] = body
            self._answer(200, b"")

    def do_GET(self) -> None:
        if self._refused():
            return
        self.shelf.gets.append(self._name())
        found = self.shelf.objects.get(self._name())
        if found is not None and self.shelf.cuts:
            self._answer(200, found[: self.shelf.cuts.pop(0)], len(found))
            self.close_connection = True
        elif found is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            self._answer(200, found)

    def _name(self) -> str:
        return self.path[1:].partition("?")[0]

    def _refused(self) -> bool:
        if not self.shelf.refusals:
            return False
        status = self.shelf.refusals.pop(0)
        if status:
            self._answer(status, b"<Error><Code>Mood</Code></Error>")
        else:
            self.close_connection = True
        return True

    def _answer(self, status: int, body: bytes, size: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if size is None else size))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def opened() -> Iterator[Shelf]:
    """One that serves until it is left."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        _Handler.shelf = shelf = Shelf(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield shelf
        finally:
            server.shutdown()
            thread.join()
