"""The tools that are held against each other. Each brings a directory to the far end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
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
    touched: int = 4 * 2**30  #: bytes of memory, at most, before each program: see ``_touch``

    @property
    def env(self) -> dict[str, str]:
        """For Python's programs: `compiled` has compiled them there."""
        kept = {
            name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
        }
        return {**kept, "PYTHONPYCACHEPREFIX": str(self.scratch / "compiled")}

    def compiled(self) -> None:
        """Ours, as whoever installs it does: pip compiles what it brings."""
        argv = [sys.executable, "-m", "compileall", "-q", "burstd", "bench"]
        subprocess.run(argv, check=True, env=self.env)

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
        return self.rsyncs(options, {name: source})

    def rsyncs(self, options: Sequence[str], sources: Mapping[str, Path]) -> Cost:
        """The same of several, all at once."""
        there = f"rsync://{self.wire.address}:{RSYNC}/there"
        return self.timed(
            *(["rsync", *options, f"{top}/", f"{there}/{name}/"] for name, top in sources.items())
        )

    def pipe(self, source: Path) -> Cost:
        """Bytes and nothing else, to nowhere."""
        return self.timed(
            [sys.executable, "-m", "bench.transfer.near", self.wire.address, str(OURS), str(source)]
        )

    def ours(self, source: Path, key: str) -> Cost:
        """Into the run directory ``key``."""
        return self.all_ours({key: source})

    def all_ours(self, sources: Mapping[str, Path]) -> Cost:
        """The same of several, all at once."""
        argv = [sys.executable, "-m", "bench.transfer.near", self.wire.address, str(OURS)]
        index = str(self.scratch / "index")
        return self.timed(*([*argv, str(top), key, index] for key, top in sources.items()))

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

    def timed(self, *programs: Sequence[str]) -> Cost:
        """What programs at the near end cost that run at once. Raises ``CalledProcessError``."""
        _touch(self.touched)
        before, began = self.wire.bytes(), time.monotonic()
        running = [
            subprocess.Popen(self.wire.argv(NEAR, argv), stdout=subprocess.DEVNULL, env=self.env)
            for argv in programs
        ]
        codes = [one.wait() for one in running]
        seconds = time.monotonic() - began
        for argv, code in zip(programs, codes, strict=True):
            if code:
                raise subprocess.CalledProcessError(code, argv)
        return Cost(seconds, self.wire.bytes() - before)


def _touch(most: int) -> None:
    """Free memory may be the host's as long as no program of a virtual machine has written there:
    who does so first would pay for it, whichever tool that is."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    bytearray(b"x") * min(most, free // 2)


def same(one: Path, other: Path) -> None:
    """Raises ``CalledProcessError`` where they differ."""
    subprocess.run(["diff", "-rq", one, other], check=True)


def several(costs: Sequence[Cost]) -> Cost:
    """One after the other."""
    return Cost(sum(cost.seconds for cost in costs), sum(cost.wire for cost in costs))
