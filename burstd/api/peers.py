"""Who is asking: the user at the other end of the Unix socket, vouched for by the kernel."""

from __future__ import annotations

import asyncio
import pwd
import resource
import socket
import struct
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

_UCRED = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED


PATIENCE = 10.0  #: seconds in which who is connected must have asked something
#: Of the files that burstd may open: one in so many is any one user's connection at most, and one
#: in so many anybody's. What is left is for the ledger, and for the programs that it starts.
EACH, ALL = 8, 2
FEW = 64  #: connections of one user that are always taken


class PeerProtocol(H11Protocol):
    """uvicorn's HTTP, with the peer's (user id, process id) as the request's client. Any user may
    connect: of one user's connections there are not too many, and none that asks nothing."""

    uid = -1
    _asking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        sock: Any = transport.get_extra_info("socket")
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        pid, uid, _ = _UCRED.unpack(raw)
        self.uid, self.client = uid, (str(uid), pid)
        if self._is_one_too_many():
            transport.abort()
        else:
            self._expect_question()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._expect_question()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_expecting()
        super().connection_lost(exc)

    def _is_one_too_many(self) -> bool:
        everybody = [one for one in self.connections if isinstance(one, PeerProtocol)]
        mine = len([one for one in everybody if one.uid == self.uid])
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return mine > FEW and (mine > files // EACH or len(everybody) > files // ALL)

    def _expect_question(self) -> None:
        """From the moment on at which none is being answered."""
        answered = self.cycle is None or self.cycle.response_complete
        if not answered:
            self._stop_expecting()
        elif self._asking is None:
            self._asking = self.loop.call_later(PATIENCE, self.transport.abort)

    def _stop_expecting(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None


@dataclass(frozen=True)
class Peer:
    """The asking user; ``operator`` sees every job."""

    user: str
    operator: bool

    def may_see(self, owner: str) -> bool:
        return self.operator or self.user == owner


def peer_of(request: Request, operators: frozenset[str]) -> Peer:
    """The user of this request; one without a name gets the right to nothing. Asks the directory
    service, which may hang."""
    if request.client is None:
        return Peer("", operator=False)
    try:
        user = pwd.getpwuid(int(request.client.host)).pw_name
    except (KeyError, ValueError):
        return Peer("", operator=False)
    return Peer(user, user in operators)
