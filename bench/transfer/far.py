"""What listens at the far end: the far program for who names a key, a sink for others."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading


def python(program: str) -> list[str]:
    """How the far program is started at a target."""
    return ["/usr/bin/python3", "-I", "-S", program]


def _serve(line: socket.socket, program: str, root: str) -> None:
    with line:
        key = b""
        while not key.endswith(b"\n"):
            key += line.recv(1)
        if name := key.decode().strip():
            argv = [*python(program), "serve", "--root", root, "--key", name]
            subprocess.run(argv, stdin=line.fileno(), stdout=line.fileno(), check=False)
            return
        buffer = bytearray(2**20)
        while line.recv_into(buffer):
            pass


def main() -> None:
    """``far.py PORT PROGRAM ROOT``."""
    port, program, root = sys.argv[1:]
    with socket.create_server(("", int(port))) as server:
        while True:
            line, _ = server.accept()
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_serve, args=(line, program, root)).start()


if __name__ == "__main__":
    main()
