"""The Slurm plugin's far end without a lab: a shell whose commands reach a simulated Slurm."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from burstd.domain.targets import Image, Money, TargetName, WorkKey, WorkOrder
from burstd.ports.errors import PortError, Unreachable
from burstd.ports.plugin import PluginContext
from burstd.ports.remote import Failed
from burstd.ports.target import Target
from burstd.testing.simulators import SimulatedSlurm, SteppedClock
from burstd_slurm import PLUGIN
from burstd_slurm.settings import SlurmTargetSettings

MAX_ARG_STRLEN = 131072  #: bytes; execve(2)
TEXTS = Path(__file__).parent.parent / "data" / "slurm-24.11"


@dataclass
class SimulatedShell:
    """``RemoteShell``: Slurm's programs are simulated, files are only remembered by name."""

    slurm: SimulatedSlurm
    files: dict[str, bytes] = field(default_factory=dict)
    access: dict[str, str] = field(default_factory=dict)
    compiled: str = ""
    tidied: list[tuple[str, list[str]]] = field(default_factory=list)
    locked: frozenset[str] = frozenset()  #: accounts that nobody gets into
    #: What becomes of an answer about our work on its way.
    garble: Callable[[str], str] = str

    def run(
        self, user: str, argv: Sequence[str], stdin: bytes | BinaryIO = b"", deadline: float = 60.0
    ) -> str:
        if len(shlex.join(argv)) >= MAX_ARG_STRLEN:  # a user's shell is given it as one word
            raise Unreachable("Argument list too long")
        try:
            content = stdin if isinstance(stdin, bytes) else stdin.read()
            return self._run(user, list(argv), content)
        except PortError as error:
            raise Failed(str(error), 1, str(error)) from error

    def certify(self, public_key: str, user: str, command: str, valid: timedelta) -> str:
        return f"certificate of {user}"

    def _run(self, user: str, argv: list[str], content: bytes) -> str:
        if argv[0] == "sbatch":
            return self._sbatch(user, argv)
        if argv[0] == "date":
            return f"{self._now}\n"
        if argv[0] == "python3":
            return self._python(user, argv)
        if argv[:2] == ["sh", "-c"] and "sdiag" in argv[2]:
            return self._examined()
        if argv[:2] == ["test", "-f"]:
            if argv[2] not in self.files:
                raise Failed("test", 1, "")
            return ""
        if argv[:2] != ["sh", "-c"]:
            return self.slurm.run(argv)
        if "squeue" not in argv[2]:  # an upload, a mark, or the cleaning
            if argv[2].startswith("test "):
                return self.files.get(argv[-1], b"").decode()
            self.files[argv[4]] = content or argv[-1].encode()
            return ""
        live, past, whole = re.split(r"&& echo (?:&& )?", argv[2])
        told = f"{self.slurm.run(shlex.split(live))}\n{self.slurm.run(shlex.split(past))}"
        return self.garble(f"{told}{whole}\n")

    def _python(self, user: str, argv: list[str]) -> str:
        """The far program, if it lies there; or what the examination asks of the interpreter."""
        if argv[1] == "-c":
            return "3.13 apptainer 1.4.5\n"
        program, verb = argv[3:5]
        if program not in self.files:
            raise Failed("python3", 2, f"can't open file {program}")
        if verb == "compile":
            self.compiled = program
            return ""
        if verb == "tidy":
            self.tidied.append((user, argv[5:]))
            if user in self.locked:
                raise Failed("ssh", 255, "Permission denied")
            return ""
        return self._state(argv[-1])

    def _state(self, key: str) -> str:
        """What the far program finds: it began where Slurm has given it a node."""
        known = [*self.slurm.accounting.values(), *self.slurm.jobs]
        mine = [job for job in known if job.name == key]
        if not any(job.node for job in mine):
            return "staging\n"
        return "running\n" if any(job.state == "RUNNING" for job in mine) else "ended\n"

    @property
    def _now(self) -> int:
        return int(self.slurm.clock.now().timestamp())

    def _examined(self) -> str:
        """Real texts of 24.11, as long as the controller is up."""
        away = (1, "slurm_load_ctl_conf error: Unable to contact slurm controller")
        texts = {
            "before": (0, str(self._now)),
            "after": (0, str(self._now)),
            "diagnostics": (0, f"sdiag output at Tue Nov 24 18:48:56 2026 ({self._now})"),
            "commands": (0, "slurm-wlm 24.11.5"),
            "config": (0, (TEXTS / "config.txt").read_text()) if self.slurm.up else away,
            "rights": (0, "Operator"),
            "partition": (0, "PartitionName=hpc State=UP Nodes=c[1-2] MaxTime=UNLIMITED"),
            "nodes": (0, "2|2|1500|(null)"),
            "root": (0, "755 burst"),
            "runs": (0, "1777 burst"),
            "disk": (0, "/dev/vda 264212084 32418388 73972524      31% /scratch\n"),
            "user:cae01": (0, "2001"),
        }
        return "".join(f"== {name} {code}\n{text}\n" for name, (code, text) in texts.items())

    def _sbatch(self, user: str, argv: list[str]) -> str:
        if not self.slurm.up:
            raise Failed("sbatch", 1, "sbatch: error: Unable to contact slurm controller")
        name = next(w.partition("=")[2] for w in argv if w.startswith("--job-name="))
        partition = next(w.partition("=")[2] for w in argv if w.startswith("--partition="))
        key = self.slurm.submit(user, name, partition)
        self.slurm.job(key).held, self.slurm.job(key).reason = True, "JobHeldUser"
        return f"{key}\n"


@dataclass
class ShellFarEnd:
    """``FarEnd`` of the target's contract."""

    state: Path
    user: str = "alice"
    clock: SteppedClock = field(default_factory=SteppedClock)
    users: dict[str, str] = field(default_factory=lambda: {"alice": "cae01"})
    more: dict[str, Any] = field(default_factory=dict)  #: settings

    def __post_init__(self) -> None:
        self.slurm = SimulatedSlurm(self.clock, "cloud", slots=9)
        (self.state / "image.sqfs").write_bytes(b"an image")
        digest = hashlib.sha256(b"an image").hexdigest()
        self.image = Image("test", str(self.state / "image.sqfs"), digest)
        settings = SlurmTargetSettings(
            host="login", known_hosts=self.state / "image.sqfs", partition="hpc",
            root=PurePosixPath("/scratch/burst"), users=self.users, max_cores=8, **self.more,
        )  # fmt: skip
        self.shell = SimulatedShell(self.slurm)
        context = PluginContext(
            TargetName("cloud"), Money(Decimal("0.05")), self.clock, self.state,
            lambda _: self.shell,
        )  # fmt: skip
        self.target: Target = PLUGIN.open(settings, context)

    def ready(self, key: WorkKey) -> None:
        """There are no directories."""

    def finish(self, key: WorkKey, code: int) -> None:
        for job in self.slurm.jobs:
            if job.name == key and job.state == "RUNNING":
                self.slurm.finish(str(job.job_id), code)

    def heard(self, key: WorkKey) -> list[str]:
        return [signal for name, signal in self.slurm.signals if name == key]

    def wait(self, until: Callable[[], bool], seconds: float) -> bool:
        for _ in range(int(seconds)):
            if until():
                return True
            self.clock.forward(seconds=1)
            self.slurm.schedule()
        return until()

    def controller(self, *, up: bool) -> None:
        self.slurm.up = up
        self.slurm.boots += up

    def accounting(self, *, up: bool) -> None:
        self.slurm.accounting_up = up

    def again(self, order: WorkOrder) -> None:
        self.target.submit(order)
