"""Starting a program so that its life hangs on ours."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Callable

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True)

Streams = tuple[int, int, int]


@dataclass(frozen=True)
class Program:
    """What to start. `deaf_to` are signals that it (and what it starts) ignores."""

    argv: Sequence[bytes]
    env: Mapping[bytes, bytes]
    keep: Sequence[int] = ()
    deaf_to: Sequence[int] = ()
    cwd: str = "/"
    after_fork: Callable[[], None] = field(default=lambda: None)


def adopt_orphans() -> None:
    """From now on the orphans among our descendants become our children (PR_SET_CHILD_SUBREAPER).

    Raises OSError.
    """
    if _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def start(program: Program, streams: Callable[[], Streams]) -> int:
    """Starts a program in its own session and returns its process id.

    `streams` runs in the child and gives its stdin, stdout and stderr: opening a fifo may block
    there, not here. The kernel kills the child when we die. A program that cannot be executed
    exits 127 with words on its stderr.
    """
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        _become(program, streams, parent)
    except Exception as error:  # noqa: BLE001 (a forked child must not go on as its parent)
        os.write(2, f"burst-far: {os.fsdecode(program.argv[0])}: {error}\n".encode())
    finally:
        os._exit(127)


def _become(program: Program, streams: Callable[[], Streams], parent: int) -> None:
    os.setsid()
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel knew our wish
        os._exit(127)
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        wanted = signal.SIG_IGN if number in program.deaf_to else signal.SIG_DFL
        if signal.getsignal(number) != wanted:
            signal.signal(number, wanted)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for target, source in enumerate(_above(streams())):
        os.dup2(source, target)
    program.after_fork()
    for fd in program.keep:
        os.set_inheritable(fd, True)
    os.chdir(program.cwd)
    os.execve(program.argv[0], list(program.argv), dict(program.env))  # noqa: S606


def _above(streams: Streams) -> list[int]:
    """The same files on descriptors that the dup2 calls to 0, 1 and 2 cannot overwrite."""
    return [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in streams]
