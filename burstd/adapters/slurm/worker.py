"""The other side of ``pyslurm_worker.py``: asks it with a deadline, ends it, starts it again."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from burstd.adapters.slurm.commands import translate
from burstd.ports.errors import Unreachable

PROGRAM = Path(__file__).with_name("pyslurm_worker.py")


class Unsayable(Exception):
    """pyslurm has no way to say this; Slurm's commands have."""


def argv(interpreter: str) -> list[str]:
    """What starts the worker with the Python that has pyslurm."""
    return [interpreter, "-I", str(PROGRAM)]


def check(command: Sequence[str]) -> str:
    """Why this worker can't be used; empty if it can. Asks nothing of Slurm."""
    try:
        done = subprocess.run(
            [*command, "--check"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]} can't be run: {error}"
    said = done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"]
    return f"{command[0]}: {said[-1]}" if done.returncode else ""


@dataclass
class Worker:
    """One worker at a time, started at the first request. Safe to use from several threads."""

    command: Sequence[str]
    deadline: float = 30.0  #: seconds, for one request, waiting for others included
    environment: Mapping[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _running: subprocess.Popen[bytes] | None = None
    _log: IO[bytes] | None = None

    def ask(self, do: str, **arguments: object) -> Any:
        """What the worker has ``done``.

        Raises ``Unsayable``, the port error for Slurm's refusal, or ``Unreachable``: no answer in
        time, the worker died, or it failed. One that is late is killed.
        """
        end = time.monotonic() + self.deadline
        with self._turn(end):
            process = self._started()
            try:
                answer = json.loads(self._line(process, {"do": do, **arguments}, end))
            except TimeoutError as error:
                self._end()
                raise Unreachable(
                    f"slurmctld gave pyslurm no answer in {self.deadline:g} s ({do})"
                ) from error
            except (EOFError, BrokenPipeError, ValueError) as error:
                raise Unreachable(self._last_words(process)) from error
        if "refused" in answer:
            raise translate("pyslurm", answer["refused"])
        if "cannot" in answer:
            raise Unsayable(answer["cannot"])
        if "failed" in answer:
            raise Unreachable(f"pyslurm: {answer['failed']}")
        return answer["done"]

    def close(self) -> None:
        """End the worker, if one runs."""
        with self._lock:
            self._end()

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        return None if self._running is None else self._running.pid

    @contextmanager
    def _turn(self, end: float) -> Iterator[None]:
        if not self._lock.acquire(timeout=max(0.0, end - time.monotonic())):
            raise Unreachable(f"pyslurm was busy for {self.deadline:g} s")
        try:
            yield
        finally:
            self._lock.release()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._running is not None and self._running.poll() is None:
            return self._running
        self._end()
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LC_ALL": "C.UTF-8",
            "SLURM_BITSTR_LEN": "0",  # array tasks in full
            **self.environment,
        }
        self._log = tempfile.TemporaryFile("a+b")  # noqa: SIM115 - as long as the process
        try:
            self._running = subprocess.Popen(
                list(self.command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=environment,
                start_new_session=True,  # a Ctrl-C at the terminal is not meant for it
            )
        except OSError as error:
            self._end()
            raise Unreachable(f"{self.command[0]} could not be started: {error}") from error
        return self._running

    def _line(
        self, process: subprocess.Popen[bytes], request: Mapping[str, object], end: float
    ) -> bytes:
        """The worker's answer. Raises ``TimeoutError``, ``EOFError`` or ``BrokenPipeError``."""
        if process.stdin is None or process.stdout is None:
            raise EOFError
        if self._log is not None:
            self._log.truncate(0)  # the library complains of each failed call
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        line = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, end - time.monotonic())):
                    raise TimeoutError
                if not (chunk := os.read(process.stdout.fileno(), 1 << 20)):
                    raise EOFError
                line += chunk
        return bytes(line)

    def _last_words(self, process: subprocess.Popen[bytes]) -> str:
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)  # its output ends a moment before it does
        code, said = process.poll(), b""
        if self._log is not None:
            self._log.seek(0)
            said = self._log.read()[-300:]
        self._end()
        end = f"signal {-code}" if code is not None and code < 0 else f"code {code}"
        words = " ".join(said.decode(errors="replace").split())
        return f"the pyslurm worker ended with {end}: {words or 'not a word'}"

    def _end(self) -> None:
        process, self._running = self._running, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()
        if self._log is not None:
            self._log.close()
            self._log = None
