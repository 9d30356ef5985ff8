"""Who is asking: the user at the other end of the Unix socket, vouched for by the kernel."""

from __future__ import annotations

import asyncio
import pwd
import socket
import struct
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

_UCRED = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED


class PeerProtocol(H11Protocol):
    """uvicorn's HTTP, with the peer's (user id, process id) as the request's client."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        sock: Any = transport.get_extra_info("socket")
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        pid, uid, _ = _UCRED.unpack(raw)
        self.client = (str(uid), pid)


@dataclass(frozen=True)
class Peer:
    """The asking user; ``operator`` sees every job."""

    user: str
    operator: bool

    def may_see(self, owner: str) -> bool:
        return self.operator or self.user == owner


def peer_of(request: Request, operators: frozenset[str]) -> Peer:
    """The user of this request; one without a name gets the right to nothing."""
    if request.client is None:
        return Peer("", operator=False)
    try:
        user = pwd.getpwuid(int(request.client.host)).pw_name
    except (KeyError, ValueError):
        return Peer("", operator=False)
    return Peer(user, user in operators)
