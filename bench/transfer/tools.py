"""The tools that are held against each other. Each brings a directory to the far end."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.transfer.wire import FAR, NEAR, Wire

HERE = Path(__file__).parent
RSYNC, OURS = 8873, 8900
COMPRESSED = ("-az", "--zc=zstd", "--zl=1")


@dataclass(frozen=True)
class Cost:
    """Seconds and bytes on the wire, both ways."""

    seconds: float
    wire: int


@dataclass
class Bench:
    """One wire, one far end. ``fresh`` forgets all that is there."""

    wire: Wire
    scratch: Path

    @property
    def there(self) -> Path:
        """Where rsync puts things."""
        return self.scratch / "there"

    @property
    def root(self) -> Path:
        """Ours."""
        return self.scratch / "root"

    def fresh(self) -> None:
        """Both ends know nothing."""
        self.wire.stop()
        for place in (self.there, self.root, self.scratch / "index"):
            shutil.rmtree(place, ignore_errors=True)
        self.there.mkdir()
        self.root.mkdir()
        config = self.scratch / "rsyncd.conf"
        config.write_text(
            "use chroot = no\nuid = root\ngid = root\n"
            f"[there]\npath = {self.there}\nread only = no\n"
        )
        rsync = ["rsync", "--daemon", "--no-detach", f"--port={RSYNC}", f"--config={config}"]
        self.wire.start(FAR, rsync, RSYNC)
        program = str(self.scratch / "burst-far.pyz")
        self.wire.start(
            FAR, [sys.executable, str(HERE / "far.py"), str(OURS), program, str(self.root)], OURS
        )

    def rsync(self, options: Sequence[str], source: Path, name: str) -> Cost:
        """``source/`` becomes ``there/name/``."""
        to = f"rsync://{self.wire.address}:{RSYNC}/there/{name}/"
        return self.timed(["rsync", *options, f"{source}/", to])

    def pipe(self, source: Path) -> Cost:
        """Bytes and nothing else, to nowhere."""
        return self.timed(
            [sys.executable, "-m", "bench.transfer.near", self.wire.address, str(OURS), str(source)]
        )

    def ours(self, source: Path, key: str) -> Cost:
        """Into the run directory ``key``."""
        argv = [sys.executable, "-m", "bench.transfer.near", self.wire.address, str(OURS)]
        return self.timed([*argv, str(source), key, str(self.scratch / "index")])

    def rsync_home(self, options: Sequence[str], name: str, into: Path) -> Cost:
        """``there/name/`` becomes ``into/``."""
        there = f"rsync://{self.wire.address}:{RSYNC}/there/{name}/"
        return self.timed(["rsync", *options, there, f"{into}/"])

    def ours_home(self, into: Path, key: str, listing: Path) -> Cost:
        """What the run directory ``key`` has of a listing."""
        argv = [sys.executable, "-m", "bench.transfer.near", self.wire.address, str(OURS)]
        return self.timed([*argv, str(into), key, "none", str(listing)])

    def tree(self, key: str, source: Path) -> Path:
        """Where ours has put it."""
        return Path(f"{self.root}/runs/{key}/tree{source}")

    def timed(self, argv: Sequence[str]) -> Cost:
        """What a program at the near end costs."""
        before, began = self.wire.bytes(), time.monotonic()
        subprocess.run(self.wire.argv(NEAR, argv), check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - began
        return Cost(seconds, self.wire.bytes() - before)


def same(one: Path, other: Path) -> None:
    """Raises ``CalledProcessError`` where they differ."""
    subprocess.run(["diff", "-rq", one, other], check=True)


def several(costs: Sequence[Cost]) -> Cost:
    """One after the other."""
    return Cost(sum(cost.seconds for cost in costs), sum(cost.wire for cost in costs))
