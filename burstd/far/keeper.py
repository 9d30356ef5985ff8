"""The outermost process of the far end: it outlives the runner and leaves nothing behind.

Slurm's TERM reaches every process of a job, container runtimes included, and a KILL may hit any one
of them. So two processes hold each other: the keeper starts the runner, hands it the signals it
gets (one way only, so that none counts twice), and when the runner is gone, in whatever way, kills
what is left. If the keeper dies, the runner sees its line end and kills the payload itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import traceback
from typing import Callable

from burstd.far import procs, spawn

EX_SOFTWARE = 70
HANDED_ON = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCONT,
)


def keep(body: Callable[[int], int], cleanup: Callable[[], None]) -> int:
    """Runs `body` (with the descriptor that signals arrive on) in a child; returns its exit code.

    When it returns, no descendant is alive and `cleanup` has run. A body that was killed gives
    128 + its signal.
    """
    waited = (*HANDED_ON, signal.SIGCHLD)
    signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    spawn.adopt_orphans()
    read, write = os.pipe()
    keeper = os.getpid()
    pid = os.fork()
    if not pid:
        os.close(write)
        code = _run(lambda: body(read), waited)
        if os.getppid() != keeper:  # it was killed: nobody else would do it
            cleanup()
        os._exit(code)
    os.close(read)
    status = _wait(pid, write, waited)
    procs.sweep((), _reap, lambda: None, signal.SIGKILL)
    cleanup()
    return exit_code(status)


def _run(body: Callable[[], int], waited: tuple[signal.Signals, ...]) -> int:
    try:
        for number in HANDED_ON:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, waited)
        spawn.adopt_orphans()
        return body()
    except BaseException:  # noqa: BLE001 (a forked child must not go on as its parent)
        traceback.print_exc()
        return EX_SOFTWARE


def _wait(pid: int, control: int, waited: tuple[signal.Signals, ...]) -> int:
    while True:
        number = signal.sigwait(waited)
        if number != signal.SIGCHLD:
            with contextlib.suppress(BrokenPipeError):
                os.write(control, bytes((number,)))
            continue
        while True:
            ended, status = os.waitpid(-1, os.WNOHANG)
            if ended == pid:
                return status
            if not ended:
                break


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def exit_code(status: int) -> int:
    """A wait status as a shell has it: 128 + the signal for one that was killed."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
