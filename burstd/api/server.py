"""The API's process side: starlette on a Unix socket, in a thread of the daemon."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import structlog
import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from burstd.api.agents import AgentRoutes
from burstd.api.bodies import TooLong, TooSlow, bad_request, too_long, too_slow
from burstd.api.desk import Desk
from burstd.api.estimates import EstimateRoutes
from burstd.api.operators import OperatorRoutes
from burstd.api.peers import PeerProtocol
from burstd.api.people import PeopleRoutes
from burstd.api.remains import RemainsRoutes
from burstd.api.reports import ReportRoutes
from burstd.api.shredding import ShredRoutes
from burstd.ports.errors import PortError

log = structlog.get_logger()


async def _away(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=503)


def application(desk: Desk) -> Starlette:
    """All routes."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        desk.bell.attach()
        yield

    return Starlette(
        routes=[
            *AgentRoutes(desk).routes(),
            *ReportRoutes(desk).routes(),
            *RemainsRoutes(desk).routes(),
            *PeopleRoutes(desk).routes(),
            *OperatorRoutes(desk).routes(),
            *EstimateRoutes(desk).routes(),
            *ShredRoutes(desk).routes(),
        ],
        exception_handlers={
            ValidationError: bad_request,
            ValueError: bad_request,
            PortError: _away,
            TooLong: too_long,
            TooSlow: too_slow,
        },
        lifespan=lifespan,
    )


class ApiServer:
    """Serves until ``stop``. The socket is open to all: the kernel tells who calls."""

    def __init__(self, desk: Desk, socket: Path) -> None:
        self._socket, self._bell = socket, desk.bell
        config = uvicorn.Config(
            application(desk),
            uds=str(socket),
            http=PeerProtocol,
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # who calls is the kernel's word, never a header's
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="api", daemon=True)

    def start(self) -> None:
        """Returns once the socket answers."""
        self._socket.unlink(missing_ok=True)  # left by a daemon that was killed
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            self._thread.join(0.02)
        self._socket.chmod(0o666)

    def stop(self) -> None:
        """Let answers under way end, then close."""
        self._server.should_exit = True
        self._bell.close()
        self._thread.join(5)
        self._socket.unlink(missing_ok=True)
