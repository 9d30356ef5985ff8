"""The verb `run`: starts the payload exactly once, owns its end, and swears to it."""

from __future__ import annotations

import datetime
import os
import resource
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Optional

from burstd.far import endrecord, outputs, paths, procs, rundir
from burstd.far.endrecord import EndRecord
from burstd.far.errors import FarError
from burstd.far.fields import canonical
from burstd.far.gpus import granted
from burstd.far.images import ImageError, Mount
from burstd.far.loop import Loop
from burstd.far.manifest import Manifest
from burstd.far.order import Order
from burstd.far.payload import Payload, say
from burstd.far.runtimes import Container, Runtime, choose
from burstd.far.stepexec import binds
from burstd.far.steps import MOUNTED, SCRIPT, StepServer, StepSite
from burstd.far.tree import passed, walk

HEARTBEAT_S = 5.0
EX_CANTEXEC = 126
EX_IOERR = 74

# What the script may learn of the place where it really runs.
_FACTS = (
    "SLURM_NNODES",
    "SLURM_JOB_NUM_NODES",
    "SLURM_NTASKS",
    "SLURM_NPROCS",
    "SLURM_CPUS_PER_TASK",
    "SLURM_CPUS_ON_NODE",
    "SLURM_JOB_NODELIST",
    "SLURM_NODELIST",
    "SLURM_NTASKS_PER_NODE",
    "SLURM_TASKS_PER_NODE",
    "SLURM_JOB_CPUS_PER_NODE",
    "CUDA_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
)
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Assignment:
    """One attempt on this node: the order and where to carry it out."""

    root: str
    run: rundir.RunDir
    order: Order
    image: str
    runtimes: Sequence[str]
    work: str
    moment_ns: int


def payload_environment(order: Order, real: Mapping[str, str]) -> dict[str, str]:
    """The script's environment: the order's, the job's on-prem names, and this node's facts."""
    env = {**order.env, **order.exports}
    if "SLURM_JOB_ID" in env:  # the old name: Open MPI takes no launch by srun without it
        env["SLURM_JOBID"] = env["SLURM_JOB_ID"]
    env.update({name: real[name] for name in _FACTS if name in real})
    env["HOME"] = home_of(order)
    env["PATH"] = f"{MOUNTED}/bin:{order.env.get('PATH', _DEFAULT_PATH)}"
    if not paths.beneath(env.get("TMPDIR", ""), order.binds):
        env["TMPDIR"] = "/tmp"  # noqa: S108 (a private one, inside the container)
    return env


def home_of(order: Order) -> str:
    """The user's home directory as the payload sees it; the job's directory if it is not bound."""
    home = order.env.get("HOME", "")
    return home if paths.beneath(home, order.binds) else order.cwd


class Runner:
    """Carries out one assignment. `control` is where the keeper hands signals on."""

    def __init__(self, task: Assignment, control: int) -> None:
        self._task = task
        self._order = task.order
        self._control = control
        self._loop = Loop()
        self._tree = task.run.directory(rundir.TREE)
        self._io = task.run.directory(rundir.IO)
        self._began = time.monotonic()
        self._started = _utc_now()
        self._deadline = self._began + task.order.time_limit_s
        self._beat_due = 0.0
        self._state = "starting"
        self._reason: Optional[str] = None
        self._message = ""
        self._runtime: Optional[Runtime] = None
        self._mount: Optional[Mount] = None
        self._steps: Optional[StepServer] = None
        self._payload: Optional[Payload] = None

    def carry_out(self) -> int:
        """Runs the payload to its end; returns the exit code. Everything is recorded."""
        self._pulse()
        self._make_places()
        baseline, trouble = self._looked_at()
        self._loop.watch(self._control, self._controlled)
        started = self._failed(trouble) if trouble else self._start()
        if started:
            self._state = "running"
            self._pulse()
            self._beat()
            self._loop.after(self._order.time_limit_s, self._timed_out)
            self._wait()
        self._state = "ending"
        self._sweep()
        return self._record(baseline)

    def _make_places(self) -> None:
        for place in {self._order.cwd, home_of(self._order), *self._order.binds}:
            with paths.directory(self._tree, paths.split(place), create=True):
                pass
        for name in (b"stdout", b"stderr"):
            if rundir.present(self._io, name):
                os.unlink(name, dir_fd=self._io)

    def _looked_at(self) -> tuple[outputs.Baseline, str]:
        """The tree as it is now, and in what its inputs are not those that were sent; who runs
        again finds what the job has made of them."""
        seen, trouble = list(walk(self._tree, lost=passed)), ""
        if self._order.attempt == 1:
            try:
                Manifest(self._order).check(self._tree, seen)
            except (FarError, OSError) as error:
                trouble = str(error)
        return outputs.Baseline.of(seen, self._task.moment_ns), trouble

    def _start(self) -> bool:
        self._runtime, trouble = choose(self._task.runtimes)
        if self._runtime is None:
            return self._failed(f"no container runtime: {trouble}")
        try:
            self._mount = Mount(self._task.image, self._task.work)
            site = StepSite(
                root=os.path.abspath(self._task.root),
                image=os.path.abspath(self._task.image),
                runtime=self._runtime.name,
                binds=tuple(self._order.binds),
                user=self._user(),
                home=home_of(self._order),
            )
            self._steps = StepServer(self._loop, self._task.run, site)
            start = self._runtime.start(self._container(self._mount.root))
            streams = self._streams()
        except (ImageError, OSError) as error:
            return self._failed(str(error))
        self._payload = Payload(self._loop, start, lambda: streams, self._mount.helper)
        for fd in set(streams):
            os.close(fd)
        return True

    def _failed(self, words: str) -> bool:
        self._reason, self._message = endrecord.FAILED_TO_START, words
        say(words)
        return False

    def _user(self) -> str:
        return self._order.env.get("USER") or self._order.env.get("LOGNAME") or "user"

    def _container(self, root: str) -> Container:
        real = {k: paths.to_text(os.fsencode(v)) for k, v in os.environ.items()}
        return Container(
            root=root,
            work=self._task.work,
            scratch=self._task.work,
            binds=binds(self._task.run, self._order.binds),
            argv=(f"{MOUNTED}/{SCRIPT}", *self._order.argv),
            cwd=self._order.cwd,
            env=payload_environment(self._order, real),
            user=self._user(),
            home=home_of(self._order),
            gpus=granted(real),
        )

    def _streams(self) -> tuple[int, int, int]:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        out = os.open(b"stdout", flags, 0o600, dir_fd=self._io)
        merged = self._order.merged
        err = out if merged else os.open(b"stderr", flags, 0o600, dir_fd=self._io)
        return os.open(os.devnull, os.O_RDONLY), out, err

    def _wait(self) -> None:
        payload, steps = self._payload, self._steps
        while payload is not None and not payload.ended:
            self._loop.turn()
        if steps is not None:
            steps.stop()
            while not steps.idle:
                self._loop.turn()
            steps.close()

    def _controlled(self) -> None:
        number = next(iter(os.read(self._control, 1)), None)
        if number is None:  # the keeper is gone: nobody would clean up after us
            self._loop.unwatch(self._control)
            self._stop(endrecord.CANCELLED)
            if self._payload is not None:
                self._payload.kill()
        elif number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._stop(endrecord.CANCELLED)
        elif self._payload is not None:
            self._payload.signal(number)

    def _timed_out(self) -> None:
        self._stop(endrecord.TIMEOUT)
        if self._reason == endrecord.TIMEOUT:  # slurmstepd says as much where the job is at home
            self._remark(f"the job has reached its time limit of {self._order.time_limit_s} s")

    def _remark(self, words: str) -> None:
        """One line into the job's own error output."""
        name = b"stdout" if self._order.merged else b"stderr"
        stream = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW, dir_fd=self._io)
        try:
            os.write(stream, f"burstd: {words}\n".encode())
        except OSError as error:  # a full disk: the end is recorded all the same
            say(f"{words}; its output says nothing of it: {error.strerror}")
        finally:
            os.close(stream)

    def _stop(self, reason: str) -> None:
        if self._payload is None or not self._payload.ended:
            self._reason = self._reason or reason
        if self._payload is not None:
            self._payload.stop()
        if self._steps is not None:
            self._steps.stop()

    def _sweep(self) -> None:
        helper = None if self._mount is None else self._mount.helper
        spare = () if helper is None else (helper,)
        procs.sweep(spare, self._loop.reap, self._pulse, signal.SIGKILL)
        if self._mount is not None:
            self._mount.close()
        procs.sweep((), self._loop.reap, self._pulse, signal.SIGKILL)

    def _beat(self) -> None:
        self._pulse()
        self._loop.after(HEARTBEAT_S, self._beat)

    def _pulse(self) -> None:
        """Writes status.json if the last one is old. A full disk costs us only this."""
        now = time.monotonic()
        if now < self._beat_due and self._state != "running":
            return
        self._beat_due = now + HEARTBEAT_S
        sizes = [
            {"path": name, "size": os.stat(name, dir_fd=self._io).st_size}
            for name in ("stdout", "stderr")
            if rundir.present(self._io, name.encode())
        ]
        status = {
            "schema": 1,
            "attempt": self._order.attempt,
            "state": self._state,
            "pid": os.getpid(),
            "host": os.uname().nodename,
            "started": self._started,
            "age_s": round(now - self._began, 3),
            "streams": sizes,
        }
        try:
            self._task.run.write(rundir.STATUS, canonical(status), durable=False)
        except OSError as error:
            say(f"heartbeat: {error.strerror}")

    def _verdict(self) -> tuple[int, Optional[int], str]:
        code = EX_CANTEXEC
        if self._payload is not None:
            code = self._payload.code or 0
            if self._payload.never_started():
                self._failed("the script could not be executed: is its interpreter in the image?")
                code = EX_CANTEXEC
        if self._reason == endrecord.TIMEOUT:
            return 1, None, self._reason  # however its shell took the TERM
        number = code - 128 if 128 < code <= 192 else None
        if self._reason is not None:
            return code, number, self._reason
        return code, number, endrecord.EXITED if number is None else endrecord.SIGNALLED

    def _record(self, baseline: outputs.Baseline) -> int:
        code, number, reason = self._verdict()
        ended, elapsed = _utc_now(), time.monotonic() - self._began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        order = self._order
        young = _is_wide() and elapsed < outputs.REMEMBERED
        harvest = outputs.collect(
            self._tree,
            replace(baseline, young=young),
            order.inputs,
            order.output_roots,
            self._pulse,
        )
        record = EndRecord(
            key=order.key,
            attempt=order.attempt,
            exit_code=code,
            signal=number,
            reason=reason,
            message=self._message,
            started=self._started,
            ended=ended,
            elapsed_s=round(elapsed, 3),
            user_s=round(used.ru_utime, 3),
            system_s=round(used.ru_stime, 3),
            max_rss_kib=used.ru_maxrss,
            hosts=_hosts(),
            runtime="" if self._runtime is None else self._runtime.name,
            runtime_version="" if self._runtime is None else self._runtime.version(),
            outputs=harvest.outputs,
            outside=harvest.outside,
            deleted=harvest.deleted,
            stdout=outputs.stream_digest(self._io, b"stdout", self._pulse),
            stderr=outputs.stream_digest(self._io, b"stderr", self._pulse),
        )
        return code if self._write(record.seal(order.secret)) else EX_IOERR

    def _write(self, document: bytes) -> bool:
        while True:
            try:
                self._task.run.write(rundir.END, document)
            except OSError as error:
                say(f"end record: {error.strerror}")
            else:
                self._state, self._beat_due = "ended", 0.0
                self._pulse()
                return True
            if time.monotonic() >= self._deadline:
                return False
            time.sleep(HEARTBEAT_S)  # room on a full disk gives no signal


def _hosts() -> tuple[str, ...]:
    """The job's nodes, in Slurm's notation where Slurm tells; else this one."""
    listed = os.environ.get("SLURM_JOB_NODELIST")
    return (listed,) if listed else (os.uname().nodename,)


def _is_wide() -> bool:
    """Whether the job has other nodes than this one."""
    return os.environ.get("SLURM_JOB_NUM_NODES", "1") != "1"


def _utc_now() -> str:
    now = datetime.datetime.now(datetime.timezone.utc)
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
