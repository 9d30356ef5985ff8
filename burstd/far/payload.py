"""A running container: signals to it, its end, and the proof that nothing of it is left."""

from __future__ import annotations

import os
import signal
import sys
from typing import Callable, Optional

from burstd.far import procs, spawn
from burstd.far.keeper import exit_code
from burstd.far.loop import Loop
from burstd.far.runtimes import Start

GRACE_S = 10.0


class Payload:
    """One container under a runtime. `code` is its exit code as soon as `ended`."""

    def __init__(
        self,
        loop: Loop,
        start: Start,
        streams: Callable[[], spawn.Streams],
        helper: Optional[int] = None,
    ) -> None:
        """`helper` is a child of ours that does not belong to the container."""
        self._loop = loop
        self._helper = helper
        self._status = start.status
        self.code: Optional[int] = None
        program = spawn.Program(argv=start.argv, env=start.env, keep=start.keep)
        self._pid = spawn.start(program, streams)
        for fd in start.keep:
            if fd != start.status:
                os.close(fd)
        self._stopping = False
        loop.expect(self._pid, self._runtime_ended)

    @property
    def ended(self) -> bool:
        """Whether the payload's first process is over."""
        return self.code is not None

    def _runtime_ended(self, status: int) -> None:
        adopted = self._orphan()
        if os.WIFSIGNALED(status) and adopted is not None:
            # A signal for the whole job ended the runtime's outer process, not the container:
            # its first process has become our child and will tell the payload's exit code.
            self._pid = adopted.pid
            self._loop.expect(adopted.pid, self._runtime_ended)
            if self._stopping:  # neither that signal nor ours may have found it in between
                self.signal(signal.SIGTERM)
            return
        self.code = exit_code(status)

    def _orphan(self) -> Optional[procs.Process]:
        """A child that we did not start: what the runtime's outer process has left to us."""
        spare = () if self._helper is None else (self._helper,)
        mine = [p for p in procs.descendants(os.getpid(), spare) if p.parent == os.getpid()]
        return next((p for p in mine if not self._loop.expects(p.pid)), None)

    def _below(self) -> list[procs.Process]:
        found = procs.descendants(self._pid)
        # With a process space of its own the rest is the runtime, and not to be disturbed.
        return [p for p in found if p.inside] or [p for p in found if len(p.ids) == 1]

    def signal(self, number: int) -> None:
        """Hands a signal on: USR1 and USR2 to the first process, all others to all."""
        below = self._below()
        procs.send(below[:1] if number in (signal.SIGUSR1, signal.SIGUSR2) else below, number)

    def stop(self) -> None:
        """TERM now, KILL after the grace. Further calls change nothing."""
        if not self._stopping:
            self._stopping = True
            self.signal(signal.SIGTERM)
            self.signal(signal.SIGCONT)
            self._loop.after(GRACE_S, self.kill)

    def kill(self) -> None:
        """KILL, at once: the init of a process space takes all of it along."""
        if not self.ended:
            procs.send(procs.descendants(self._pid), signal.SIGKILL)
            self._loop.after(2.0, self._kill_runtime)  # it tells the exit code if it can

    def _kill_runtime(self) -> None:
        if not self.ended:
            procs.send([procs.Process(self._pid, 0, (self._pid,), "?")], signal.SIGKILL)

    def never_started(self) -> bool:
        """Whether the runtime tells that it could not execute the payload."""
        if self._status is None:
            return False
        told = os.pread(self._status, 65536, 0)
        return self.code == 1 and b'"child-pid"' in told and b'"exit-code"' not in told


def say(words: str) -> None:
    """A line for the far job's own log."""
    sys.stderr.write(f"burst-far: {words}\n")
    sys.stderr.flush()
