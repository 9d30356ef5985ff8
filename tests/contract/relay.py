"""A way from this process to a server in another net namespace: byte by byte, over the loopback."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CLONE_NEWNET = 0x40000000  # sched.h


@contextmanager
def relayed(pid: int, host: str, port: int) -> Iterator[int]:
    """The port here of a server that listens there, in the net namespace of a process."""
    space = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as door:
        thread = threading.Thread(target=_serve, args=(door, space, (host, port)), daemon=True)
        thread.start()
        try:
            yield door.getsockname()[1]
        finally:
            door.shutdown(socket.SHUT_RDWR)
            thread.join()
            os.close(space)


def _serve(door: socket.socket, space: int, there: tuple[str, int]) -> None:
    # Of this thread alone: the sockets that it makes from now on are of that namespace.
    if ctypes.CDLL(None, use_errno=True).setns(space, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    while True:
        try:
            caller, _ = door.accept()
        except OSError:
            return
        server = socket.create_connection(there)
        threading.Thread(target=_between, args=(caller, server), daemon=True).start()


def _between(caller: socket.socket, server: socket.socket) -> None:
    with caller, server:
        back = threading.Thread(target=_pump, args=(server, caller), daemon=True)
        back.start()
        _pump(caller, server)
        back.join()


def _pump(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while content := one.recv(1 << 16):
            other.sendall(content)
    with suppress(OSError):
        other.shutdown(socket.SHUT_WR)
