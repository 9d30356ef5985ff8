"""One conversation's staging, without a line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import blake3

from burstd.far.errors import FarError
from burstd.far.fence import Fence
from burstd.far.order import InputFile, Order
from burstd.far.parts import WANTED
from burstd.far.rundir import RunDir
from burstd.far.staging import Staging
from burstd.far.store import Store

MTIME = 1_700_000_000_000_000_000
GIB = 2**30


class Talk:
    """`put` sends a file, all of it in one part."""

    def __init__(self, root: Path, key: str = "b-1", first: bool = True) -> None:
        self.root, self.run = root, RunDir.open(str(root), key, create=True)
        store = Store.at(str(root), key)
        fence = Fence(self.run, first)
        self.staging = Staging(self.run, fence, store, store.claims(first=first))
        self.count = 0

    def want(self, pieces: Sequence[bytes]) -> list[int]:
        """Those that must be sent, by their numbers."""
        first, self.count = self.count, self.count + len(pieces)
        asked = b"".join(WANTED.pack(digest(piece), len(piece)) for piece in pieces)
        bits = self.staging.incoming.want(asked)
        return [first + n for n in range(len(pieces)) if bits[n // 8] >> n % 8 & 1]

    def send(self, number: int, content: bytes) -> None:
        self.staging.incoming.take([(number, 1)], [content], None)

    def build(self, path: str, first: int, pieces: Sequence[bytes]) -> int:
        """How many files wait then."""
        entry = of(path, b"".join(pieces))
        row = [path, 0, [[first, len(pieces)]], *list(vars(entry).values())[1:]]
        return self.staging.build(json.dumps([row]).encode())

    def put(self, path: str, content: bytes) -> InputFile:
        for number in self.want([content]):
            self.send(number, content)
        assert not self.build(path, self.count - 1, [content])
        return of(path, content)

    def file(self, path: str) -> Path:
        return Path(self.run.path) / "tree" / path[1:]

    def end(self) -> None:
        self.staging.close(200 * GIB, 30)


def digest(content: bytes) -> bytes:
    return blake3.blake3(content).digest()


def of(path: str, content: bytes) -> InputFile:
    return InputFile(path, len(content), digest(content).hex(), MTIME, 0o640)


def order(*inputs: InputFile) -> Order:
    return Order(
        key="b-1", attempt=1, argv=(), cwd="/w", env={}, binds=("/w",), output_roots=("/w",),
        merged=False, time_limit_s=60, live=(), exports={}, inputs=inputs, secret="5a" * 32,
    )  # fmt: skip


def begun(root: Path) -> Iterator[Callable[..., Talk]]:
    """For a fixture: each call is one more conversation."""
    talks = list[Talk]()

    def one(key: str = "b-1", first: bool = True) -> Talk:
        talks.append(Talk(root, key, first))
        return talks[-1]

    yield one
    for talk in talks:
        with suppress(OSError, FarError):
            talk.end()


def closed(fd: int) -> bool:
    """Whether nothing is open under that number."""
    try:
        os.fstat(fd)
    except OSError:
        return True
    return False
