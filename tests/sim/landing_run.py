"""One landing in a process of its own, to be watched: ``python -m tests.sim.landing_run ROOT``.

What lies in ROOT is what ``prepare`` left; the entries are those of ``SCENE``.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import blake3

from burstd.agent.follow import Follower
from burstd.agent.inputs import marks
from burstd.agent.landing import Landing
from burstd.agent.walk import Look
from burstd.domain.data import OutputFile
from burstd.ports.depot import Growing
from tests.sim.disk import REPORT

MTIME = 1_700_000_000_000_000_000


@dataclass(frozen=True)
class Result:
    """One result: its name below the root, its bytes. ``kind`` as in the end record."""

    name: str
    content: bytes = b""
    mode: int = 0o640
    kind: str = "file"

    def entry(self, root: Path) -> OutputFile:
        digest = blake3.blake3(self.content).hexdigest() if self.kind == "file" else ""
        size = len(self.content)
        return OutputFile(str(root / self.name), self.kind, size, digest, MTIME, self.mode)


#: Inputs that the job replaces, files that its user changes meanwhile, a live copy that is whole.
REPLACED, CHANGED, LIVE = "restart.rin", "notes.txt", "beam.sta"
#: The job's own output, which slurmd has opened long ago.
OUTPUT = "slurm-1.out"
LINES = b"one line\n" * 300
WORDS = b"the user's own words"
SCENE = (
    Result("out.frd", b"f" * 5000),
    Result("a/b/deep.frd", b"d" * 3000),
    Result("a/empty", b""),
    Result(REPLACED, b"r" * 2000),
    Result(CHANGED, b"n" * 1000),
    Result(LIVE, b"s" * 1500),
    Result("a/b", mode=0o750, kind="dir"),
    Result("z/y/last.dat", b"z" * 100),  # no later one syncs the directories on its way
)


def prepare(root: Path) -> dict[str, int]:
    """What is there at stage-in, for long: names and sizes."""
    root.mkdir()
    (root / REPLACED).write_bytes(b"before")
    (root / CHANGED).write_bytes(b"before")
    (root / OUTPUT).write_bytes(b"")
    return {REPLACED: 6, CHANGED: 6, OUTPUT: 0}


def meanwhile(root: Path) -> None:
    """While the job runs: its user writes, and what grows is copied, none of it synced."""
    (root / CHANGED).write_bytes(WORDS)
    live = root / LIVE
    if not live.exists():
        live.write_bytes(next(r.content for r in SCENE if r.name == LIVE))


def land(root: Path) -> None:
    """All of it."""
    content = {str(root / r.name): r.content for r in SCENE}

    def fetch(entry: OutputFile, descriptor: int, _similar: int | None) -> None:
        whole = content[entry.path]
        for start in range(0, len(whole), 1024):
            os.pwrite(descriptor, whole[start : start + 1024], start)

    known = {p: m for p, m in marks(Look(), [root]).items() if p.endswith(REPLACED)}
    landing = Landing("b1", (root,), known, fetch)
    for result in SCENE:
        landing.land(result.entry(root))


class Lines:
    """As much of a depot as a follower asks for."""

    def growing(self) -> Growing:
        return Growing(len(LINES))

    def read(self, what: str, offset: int, length: int) -> bytes:
        return LINES[offset : offset + min(length, 1000)]


def main(root: Path) -> None:
    """A landing, and its report."""
    meanwhile(root)
    told = os.dup(1)
    output = os.open(root / OUTPUT, os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    depot: Any = Lines()
    follower = Follower(depot, {}, {}, {}, (root,))
    follower.streams(depot.growing())
    land(root)
    follower.keep()
    os.write(told, f"{REPORT}\n".encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
