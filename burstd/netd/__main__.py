"""The netd process: one JSON request and one JSON answer per connection, over a Unix socket."""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import socketserver
import struct
import sys
from pathlib import Path
from typing import Any

import structlog

from burstd.netd.links import EXPECTED, VERBS, LinkKeeper
from burstd.netd.settings import NetdSettings, read
from burstd.obs.logs import configure
from burstd.obs.notify import notify

log = structlog.get_logger()
LONGEST = 4096  #: bytes of a request


class Handler(socketserver.StreamRequestHandler):
    """One request: ``{"verb": ..., "link": ...}``."""

    server: Server

    def handle(self) -> None:
        try:
            answer = self._answer()
        except EXPECTED as error:
            answer = {"error": str(error) or type(error).__name__}
        self.wfile.write(json.dumps(answer).encode() + b"\n")

    def _answer(self) -> dict[str, Any]:
        if self._peer() not in self.server.allowed:
            return {"error": "you may not ask burst-netd"}
        request = json.loads(self.rfile.readline(LONGEST))
        keeper = self.server.keepers.get(request.get("link"))
        verb = request.get("verb")
        if keeper is None or verb not in VERBS:
            return {"error": f"unknown link {request.get('link')!r} or verb {verb!r}"}
        answer: dict[str, Any] = getattr(keeper, verb)()
        if verb != "view":
            log.info("link.changed", link=request["link"], verb=verb)
        return answer

    def _peer(self) -> int:
        raw = self.request.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", raw)[1])


class Server(socketserver.ThreadingUnixStreamServer):
    """The socket, its keepers and who may ask."""

    daemon_threads = True

    def __init__(self, settings: NetdSettings) -> None:
        settings.socket.unlink(missing_ok=True)
        super().__init__(str(settings.socket), Handler)
        settings.socket.chmod(0o660)
        self.keepers = {name: LinkKeeper(link) for name, link in settings.links.items()}
        self.allowed = {pwd.getpwnam(user).pw_uid for user in settings.users}


def main() -> None:
    """``burst-netd [CONFIG]``: serve until TERM, then take every link down."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "/etc/burstd/netd.toml")
    configure()
    settings = read(path)
    os.umask(0o007)
    with Server(settings) as server:
        # shutdown() waits for serve_forever, which runs in this thread: leave it by an exception.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        notify("READY=1")
        log.info("netd.started", socket=str(settings.socket), links=list(settings.links))
        try:
            server.serve_forever()
        finally:
            for keeper in server.keepers.values():
                keeper.down()
            settings.socket.unlink(missing_ok=True)
            log.info("netd.stopped")


if __name__ == "__main__":
    main()
