"""The runner's side of the step shims: requests from the container, real steps outside of it.

What comes through the shared directory was written by the payload: nothing of it is followed,
opened by path or executed outside of a container.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import stat
from dataclasses import dataclass
from typing import Optional

from burstd.far import paths, procs, program, rundir, spawn
from burstd.far.errors import FarError
from burstd.far.fields import canonical
from burstd.far.keeper import exit_code
from burstd.far.loop import Loop
from burstd.far.payload import GRACE_S
from burstd.far.stepopts import Step, StepRefused, parse

MOUNTED = "/.burst"
SHIMS = ("srun", "mpirun", "mpiexec", "mpiexec.hydra")
SCRIPT = "slurm_script"
SPECS = b"spec"

_ID = re.compile(rb"([A-Z0-9]+) ([A-Za-z0-9]{1,32})")
_SIGNALS = {
    b"TERM": signal.SIGTERM,
    b"INT": signal.SIGTERM,
    b"HUP": signal.SIGTERM,
    b"USR1": signal.SIGUSR1,
    b"USR2": signal.SIGUSR2,
}
# What a script may say to srun by its environment; all else of it stays in the container.
_TO_SRUN = (
    "SLURM_MPI_TYPE",
    "SLURM_CPU_BIND",
    "SLURM_DISTRIBUTION",
    "SLURM_LABELIO",
    "SLURM_OVERLAP",
    "SLURM_EXACT",
    "SRUN_CPUS_PER_TASK",
    "SLURM_KILL_BAD_EXIT",
    "SLURM_UNBUFFEREDIO",
)
_FIFOS = (b"in", b"out", b"err")
_MAX_REQUEST = 16 * 1024 * 1024


@dataclass(frozen=True)
class StepSite:
    """What a step shares with the payload: see the verb `step-exec`."""

    root: str
    image: str
    runtime: str
    binds: tuple[str, ...]
    user: str
    home: str


class StepServer:
    """Serves the shims of one payload."""

    def __init__(self, loop: Loop, run: rundir.RunDir, site: StepSite) -> None:
        """Makes steps/ anew, with the shims in it. Raises OSError."""
        self._loop = loop
        self._run = run
        self._site = site
        self._tree = run.directory(rundir.TREE)
        self._specs = run.directory(SPECS)
        paths.remove_tree(run.fd, rundir.STEPS)
        self._steps = run.directory(rundir.STEPS)
        self._requests = paths.open_directory(self._steps, (b"req",), create=True)
        with paths.directory(self._steps, (b"bin",), create=True) as fd:
            for name in SHIMS:
                _write(fd, name.encode(), program.resource("shims/step.sh"), 0o700)
        _write(self._steps, SCRIPT.encode(), run.read(rundir.SCRIPT) or b"", 0o700)
        os.mkfifo(b"requests", 0o600, dir_fd=self._steps)
        # Read and write: it never ends, however many shims come and go.
        self._line = os.open(
            b"requests", os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=self._steps
        )
        self._rest = b""
        self._serial = 0
        self._alive: dict[bytes, int] = {}
        self._answers: dict[bytes, int] = {}
        loop.watch(self._line, self._read)

    def _read(self) -> None:
        try:
            self._rest += os.read(self._line, 65536)
        except BlockingIOError:
            return
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            match = _ID.fullmatch(line)
            if match:
                self._serve(match.group(1), match.group(2))

    def _serve(self, verb: bytes, name: bytes) -> None:
        if verb == b"RUN" and name not in self._answers:
            with contextlib.suppress(OSError):  # a request that is no request: nobody waits
                self._start(name)
        elif verb == b"DONE" and name not in self._alive:
            self._forget(name)
        elif verb in _SIGNALS and name in self._alive:
            self._signal(name, _SIGNALS[verb])

    def _start(self, name: bytes) -> None:
        fd = paths.open_directory(self._requests, (name,))
        try:
            answer = os.open(b"rc", os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=fd)
            if not stat.S_ISFIFO(os.fstat(answer).st_mode):
                os.close(answer)
                return
            self._answers[name] = answer
            words, plan = self._plan(fd)
            step_in, step_out, step_err = (plan or Step()).streams.get("input"), None, None
            if plan is not None:
                step_out, step_err = plan.streams.get("output"), plan.streams.get("error")
            files = (step_in, step_out, step_err)
            cwd = "/" if plan is None else plan.cwd or "/"
            pid = spawn.start(words, lambda: self._streams(fd, cwd, files))
            self._alive[name] = pid
            self._loop.expect(pid, lambda status: self._ended(name, status))
        finally:
            os.close(fd)

    def _plan(self, fd: int) -> tuple[spawn.Program, Optional[Step]]:
        """The program of a step; for a refused one, a program that says so."""
        try:
            return self._program(fd)
        except (StepRefused, FarError, OSError, ValueError) as error:
            text = f"burstd: step refused: {error}\n".encode("utf-8", "backslashreplace")

            def refuse() -> None:
                os.write(2, text)
                os._exit(1)

            return spawn.Program(argv=[b"refused"], env={}, after_fork=refuse), None

    def _program(self, fd: int) -> tuple[spawn.Program, Step]:
        args = _words(paths.read_regular(fd, b"args", _MAX_REQUEST))
        cwd = paths.to_text(paths.read_regular(fd, b"cwd", 65536))
        pairs = (v.partition("=") for v in _words(paths.read_regular(fd, b"env", _MAX_REQUEST)))
        env = {name: value for name, equals, value in pairs if name and equals}
        step = parse(args, env)
        step.cwd = cwd if step.cwd is None else os.path.normpath(os.path.join(cwd, step.cwd))
        env.update(step.env)
        self._serial += 1
        spec = b"%d.json" % self._serial
        _write(
            self._specs,
            spec,
            canonical(
                {
                    "argv": step.command,
                    "cwd": step.cwd,
                    "env": env,
                    "image": self._site.image,
                    "runtime": self._site.runtime,
                    "binds": list(self._site.binds),
                    "user": self._site.user,
                    "home": self._site.home,
                }
            ),
            0o600,
        )
        inner = [
            *program.command(),
            "step-exec",
            "--root",
            self._site.root,
            "--key",
            self._run.key,
            "--step",
            str(self._serial),
        ]
        words = [*_launcher(step), *inner]
        outer = {os.fsencode(k): os.fsencode(v) for k, v in os.environ.items()}
        outer.update({k.encode(): paths.to_bytes(env[k]) for k in _TO_SRUN if k in env})
        return spawn.Program(argv=[os.fsencode(w) for w in words], env=outer), step

    def _streams(self, fd: int, cwd: str, files: tuple[Optional[str], ...]) -> spawn.Streams:
        """In the child: the shim's fifos, or files that the step names instead of them."""
        opened = []
        for number, name in enumerate(_FIFOS):
            flags = os.O_WRONLY if number else os.O_RDONLY
            opened.append(os.open(name, flags | os.O_NOFOLLOW, dir_fd=fd))
            if not stat.S_ISFIFO(os.fstat(opened[-1]).st_mode):
                os._exit(125)
        os.dup2(opened[2], 2)  # what goes wrong from here on is told to the script
        for number, file in enumerate(files):
            if file:
                opened[number] = self._file(cwd, file, bool(number))
        return (opened[0], opened[1], opened[2])

    def _file(self, cwd: str, file: str, out: bool) -> int:
        if file in ("none", "/dev/null"):
            return os.open(os.devnull, os.O_RDWR)
        place = paths.split(os.path.normpath(os.path.join(cwd, file)))
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC if out else os.O_RDONLY
        return paths.open_regular(self._tree, place, flags)

    def _signal(self, name: bytes, number: signal.Signals) -> None:
        pid = self._alive[name]
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        if number == signal.SIGTERM:
            self._loop.after(GRACE_S + 5, lambda: self._kill(name, pid))

    def _kill(self, name: bytes, pid: int) -> None:
        if self._alive.get(name) == pid:
            procs.send(
                [*procs.descendants(pid), procs.Process(pid, 0, (pid,), "?")], signal.SIGKILL
            )

    def _ended(self, name: bytes, status: int) -> None:
        del self._alive[name]
        with contextlib.suppress(OSError):
            os.write(self._answers[name], b"%d\n" % exit_code(status))
        with contextlib.suppress(OSError), paths.directory(self._requests, (name,)) as fd:
            for number, fifo in enumerate(_FIFOS):
                _release(fd, fifo, bool(number))

    def _forget(self, name: bytes) -> None:
        if name in self._answers:
            os.close(self._answers.pop(name))
            with contextlib.suppress(OSError):
                paths.remove_tree(self._requests, name)

    def stop(self) -> None:
        """Ends all steps: TERM now, KILL after the grace."""
        for name in self._alive:
            self._signal(name, signal.SIGTERM)

    @property
    def idle(self) -> bool:
        """Whether no step is running."""
        return not self._alive

    def close(self) -> None:
        """No more requests are read."""
        self._loop.unwatch(self._line)


def _release(parent: int, fifo: bytes, out: bool) -> None:
    """Frees a shim that waits for a step which ended before it opened its streams."""
    flags = (os.O_WRONLY if out else os.O_RDONLY) | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    with contextlib.suppress(OSError):  # nobody waits there
        os.close(os.open(fifo, flags, dir_fd=parent))


def _launcher(step: Step) -> list[str]:
    srun = shutil.which("srun")
    if srun is not None and "SLURM_JOB_ID" in os.environ:
        return [srun, *step.options, "--export=ALL"]
    if step.tasks not in (None, 1):
        raise StepRefused(f"{step.tasks} tasks, and there is no srun on this node")
    return []


def _words(content: bytes) -> list[str]:
    return [paths.to_text(word) for word in content.split(b"\0")[:-1]]


def _write(parent: int, name: bytes, content: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, mode, dir_fd=parent), "wb") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(content)
