"""Far ends for the target's suite: the simulated one, and the lab's cloud behind a plain shell."""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from burstd.adapters.clock import SystemClock
from burstd.domain.targets import Image, Money, Outcome, TargetName, WorkKey, WorkOrder
from burstd.ports.plugin import PluginContext
from burstd.ports.remote import Failed
from burstd.ports.target import Target
from burstd.testing.simulators import SimulatedTarget, SteppedClock
from burstd_slurm import PLUGIN
from burstd_slurm.settings import SlurmTargetSettings
from lab import Host, Lab

#: A far program for these tests: waits as its payload, and ends with what it is told.
_RUNNER = """\
import os, pathlib, signal, sys, time
if sys.argv[1] in ("clean", "tidy"):
    sys.exit(0)
root = pathlib.Path(sys.argv[sys.argv.index("--root") + 1])
run = root / "runs" / sys.argv[sys.argv.index("--key") + 1]
if sys.argv[1] == "state":
    said = {"end": "ended", "start.1": "running"}
    print(next((word for name, word in said.items() if (run / name).exists()), "staging"))
    sys.exit(0)
time.sleep(1)  # as long as the real one may take
def hear(number, frame):
    with (run / "heard").open("a") as file:
        print(signal.Signals(number).name.removeprefix("SIG"), file=file)
for number in (signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, hear)
(run / "start.1").touch()
end = time.monotonic() + 100
while not (run / "finish").exists() and time.monotonic() < end:
    time.sleep(0.1)
(run / "end").touch()
sys.exit(int((run / "finish").read_text()))
"""


@dataclass
class SimulatedFarEnd:
    """``FarEnd`` on a stepped clock."""

    far: SimulatedTarget = field(default_factory=lambda: SimulatedTarget(SteppedClock()))
    user: str = "alice"
    image: Image = field(default_factory=lambda: Image("calculix", "/x.sqfs", "ab" * 32))

    @property
    def target(self) -> Target:
        return self.far

    def ready(self, key: WorkKey) -> None:
        self.far.lay(key, self.user, "")

    def finish(self, key: WorkKey, code: int) -> None:
        self.far.finish_all(Outcome("exited", code))

    def heard(self, key: WorkKey) -> list[str]:
        return [self.far.signals[key]] if key in self.far.signals else []

    def wait(self, until: Callable[[], bool], seconds: float) -> bool:
        for _ in range(int(seconds)):
            if until():
                return True
            self.far.schedule()
            self.far.clock.forward(seconds=1)
        return until()

    def controller(self, *, up: bool) -> None:
        self.far.away = not up
        self.far.boots += up

    def accounting(self, *, up: bool) -> None:
        self.far.silent = not up

    def again(self, order: WorkOrder) -> None:
        self.far.submit(order)


@dataclass(frozen=True)
class LoginShell:
    """``RemoteShell`` whose commands run at the lab's login host; SSH itself is left out."""

    host: Host

    @property
    def access(self) -> dict[str, str]:
        return {"host": self.host.name, "port": "22", "known_hosts": ""}

    def run(
        self, user: str, argv: Sequence[str], stdin: bytes | BinaryIO = b"", deadline: float = 60.0
    ) -> str:
        content = stdin if isinstance(stdin, bytes) else stdin.read()
        done = subprocess.run(
            self.host.entry(argv, user), env=self.host.environment(user), input=content,
            capture_output=True, timeout=deadline, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            complaint = done.stderr.decode(errors="replace").strip()
            raise Failed(f"{argv[0]}: {complaint}", done.returncode, complaint)
        return done.stdout.decode(errors="surrogateescape")

    def certify(self, public_key: str, user: str, command: str, valid: timedelta) -> str:
        return f"certificate of {user}"


@dataclass
class CloudFarEnd:
    """``FarEnd`` on the lab's cloud: its own Slurm, users and paths."""

    lab: Lab
    state: Path
    user: str = "alice"

    def __post_init__(self) -> None:
        self.login, self.cctl = self.lab.host("login"), self.lab.host("cctl")
        image = self.state / "image.sqfs"
        image.write_bytes(b"an image")
        digest = hashlib.sha256(image.read_bytes()).hexdigest()
        self.image = Image("test", str(image), digest)
        settings = SlurmTargetSettings(
            host="login", known_hosts=image, root=PurePosixPath("/scratch/burst"),
            partition="hpc", users={"alice": "cae01"}, max_cores=8, max_nodes=2,
        )  # fmt: skip
        context = PluginContext(
            TargetName("cloud"), Money(Decimal("0.05")), SystemClock(), self.state,
            lambda _host: LoginShell(self.login),
        )  # fmt: skip
        self.target: Target = PLUGIN.open(settings, context)

    def ready(self, key: WorkKey) -> None:
        argv = ["mkdir", "-p", f"/scratch/burst/runs/{key}"]
        self.login.run(argv, "cae01")
        far = next(p for p in self._programs() if p)
        stub = f"/scratch/burst/bin/{Path(far).name}"
        self.login.run(["sh", "-c", 'cat > "$1"', "sh", stub], "burst", input=_RUNNER)

    def _programs(self) -> list[str]:
        return self.login.sh("ls -t /scratch/burst/bin/burst-far-*.pyz").split()

    def finish(self, key: WorkKey, code: int) -> None:
        script = f"echo {code} > /scratch/burst/runs/{key}/finish"
        self.login.run(["sh", "-c", script], "cae01")

    def heard(self, key: WorkKey) -> list[str]:
        return self.login.sh(f"cat /scratch/burst/runs/{key}/heard 2>/dev/null || true").split()

    def wait(self, until: Callable[[], bool], seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not until():
            if time.monotonic() > end:
                return False
            time.sleep(0.3)
        return True

    def controller(self, *, up: bool) -> None:
        self._service("slurmctld", up=up)

    def accounting(self, *, up: bool) -> None:
        self._service("slurmdbd", up=up)

    def _service(self, name: str, *, up: bool) -> None:
        if up:
            time.sleep(1.1)  # BOOT_TIME has seconds
            self.cctl.start_service(name)
        else:
            self.cctl.stop_service(name)

    def again(self, order: WorkOrder) -> None:
        self.target.submit(order)
