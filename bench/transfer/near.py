"""What runs at the near end: inputs and results as the agent moves them, or bytes and nothing
else."""

from __future__ import annotations

import json
import socket
import sys
import threading
from pathlib import Path
from typing import BinaryIO, cast

from burstd.agent.index import Index
from burstd.agent.inputs import hollow, marks, readable, regular_files
from burstd.agent.push import Push
from burstd.agent.walk import Look
from burstd.far import garbage
from burstd.far.client import Client


def _files(top: Path) -> list[str]:
    """With all that the agent looks at before it sends anything."""
    look = Look()
    paths = readable(sorted(regular_files(look, top)))
    marks(look, [top])
    hollow(look, top, paths, ())
    return paths


def _push(line: socket.socket, top: Path, key: str, place: Path) -> None:
    line.sendall(f"{key}\n".encode())
    with line.makefile("rb") as back, line.makefile("wb") as to:
        client, index = Client(cast(BinaryIO, to), cast(BinaryIO, back)), Index(place)
        client.greet()
        Push(client, index).send(map(str, _files(top)))
        index.close()


def _home(line: socket.socket, top: Path, key: str, listing: Path) -> None:
    """All results of a listing to where they belong, as the agent does it."""
    from burstd.agent.ahead import Ahead
    from burstd.agent.arrivals import Arrivals
    from burstd.agent.landing import Landing
    from burstd.agent.pull import Pull
    from burstd.domain.data import OutputFile

    entries = [OutputFile(*row) for row in json.loads(listing.read_text())]
    line.sendall(f"{key}\n".encode())
    with line.makefile("rb") as back, line.makefile("wb") as to:
        client = Client(cast(BinaryIO, to), cast(BinaryIO, back))
        client.greet()
        ahead = Ahead(client)
        ahead.expect(entries)

        talk = threading.Lock()

        def fetch(entry: OutputFile, into: int, similar: int | None) -> None:
            pull = Pull(client, entry.path, entry.size, into, int)
            with talk:
                content = ahead.take(entry.path)
                if content is None:
                    pull.fetch(similar)
                else:
                    pull.put(content)

        Arrivals(Landing(key, (top,), {}, fetch), {}).land(entries)


def _pipe(line: socket.socket, top: Path) -> None:
    line.sendall(b"\n")
    for path in _files(top):
        with Path(path).open("rb") as file:
            line.sendfile(file)
    line.shutdown(socket.SHUT_WR)
    line.recv(1)


def main() -> None:
    """``near.py HOST PORT DIRECTORY [KEY INDEX [LISTING]]``."""
    garbage.seldom()  # as the agent does
    host, port, top, *rest = sys.argv[1:]
    with socket.create_connection((host, int(port))) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(rest) == 3:
            _home(line, Path(top), rest[0], Path(rest[2]))
        elif rest:
            _push(line, Path(top), rest[0], Path(rest[1]))
        else:
            _pipe(line, Path(top))


if __name__ == "__main__":
    main()
