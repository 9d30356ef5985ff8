"""A payload whose runtime's outer process ends first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from burstd.far import procs
from burstd.far.payload import Payload

TRAPS = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print(flush=True)
time.sleep(60)
"""
#: A container's first process, and the payload below it.
INIT = '"$0" -c "$1" & wait $!'


class Loop:
    """As much of the runner's as a payload asks for."""

    def __init__(self) -> None:
        self.expected = list[int]()

    def expect(self, pid: int, _then: object) -> None:
        self.expected.append(pid)


@pytest.mark.parametrize("stopping", [True, False])
def test_what_was_to_stop_while_it_changed_hands_hears_of_it(
    monkeypatch: pytest.MonkeyPatch, stopping: bool
) -> None:
    """Slurm's TERM ends the outer process; ours was sent below that one, where nothing was any
    more: the payload would be killed without a word in the end."""
    argv = ["sh", "-c", INIT, sys.executable, TRAPS]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True) as first:
        assert first.stdout is not None
        first.stdout.readline()
        loop: Any = Loop()
        payload = object.__new__(Payload)
        payload._loop, payload._stopping, payload._pid, payload.code = loop, stopping, -1, None
        adopted = procs.Process(first.pid, 0, (first.pid,), "?")
        monkeypatch.setattr(payload, "_orphan", lambda: adopted)
        payload._runtime_ended(signal.SIGTERM)
        assert ([first.pid], first.pid, None) == (loop.expected, payload._pid, payload.code)
        if stopping:
            assert 7 == first.wait(20)
        else:
            time.sleep(0.3)
            assert first.poll() is None
            os.killpg(first.pid, signal.SIGKILL)
