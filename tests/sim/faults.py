"""How one call of burstd's can go wrong: one table, one row per fault.

A fault stands around the call: it may make it, or not, and ends it with an answer or an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from burstd.ports.errors import AccessDenied, NoRoom, Throttled, Transient, Unreachable
from tests.sim.calls import (
    CALLS,
    FAR_CHANGE,
    FAR_READ,
    LINK,
    PAST,
    REPORT,
    SLURM_CHANGE,
    SLURM_READ,
    STORE_CHANGE,
    STORE_READ,
    Call,
)
from tests.sim.daemon import Killed

if TYPE_CHECKING:
    from tests.sim.play import Play


class Real(Protocol):
    """Makes the call. ``late``: its client gave it up before."""

    def __call__(self, *, late: bool = False) -> Any: ...


Around = Callable[["Play", Call, Real, int], Any]


@dataclass(frozen=True)
class Fault:
    """``at``: the kinds of call that it can befall. ``sizes``: seconds, mostly."""

    what: str
    known: str
    weight: int
    at: Sequence[str]
    around: Around
    sizes: Sequence[int] = (0,)


def _lost(play: Play, call: Call, real: Real, _size: int) -> Any:
    real()
    raise Unreachable("the answer was lost")


def _refused(play: Play, call: Call, real: Real, _size: int) -> Any:
    raise Unreachable("there was no answer")


def _late(play: Play, call: Call, real: Real, size: int) -> Any:
    play.later(call, real, size)
    raise Unreachable("there was no answer in time")


def _throttled(play: Play, call: Call, real: Real, size: int) -> Any:
    play.excuse(size)
    raise Throttled("too many questions", retry_after=timedelta(seconds=size))


def _busy(play: Play, call: Call, real: Real, _size: int) -> Any:
    raise Transient("Resource temporarily unavailable")


def _no_room(play: Play, call: Call, real: Real, _size: int) -> Any:
    raise NoRoom("no space left")


def _denied(play: Play, call: Call, real: Real, _size: int) -> Any:
    raise AccessDenied("the certificate has expired")


def _cut_off(play: Play, call: Call, real: Real, size: int) -> Any:
    """squeue's list ends in the middle."""
    answer = real()
    if call.seam == "slurm" and call.args[0][0] == "squeue":
        return answer[: len(answer) * size // 100]
    return answer


def _slow(play: Play, call: Call, real: Real, size: int) -> Any:
    play.others(size)
    return real()


def _killed_before(play: Play, call: Call, real: Real, size: int) -> Any:
    play.kill(play.daemon(call.daemon), size)
    raise Killed(call.daemon)


def _killed_after(play: Play, call: Call, real: Real, size: int) -> Any:
    real()
    play.kill(play.daemon(call.daemon), size)
    raise Killed(call.daemon)


def _overtaken(play: Play, call: Call, real: Real, size: int) -> Any:
    """The other daemon makes a whole turn, and perhaps time passes, while this one stands still."""
    play.overtake(call.daemon, size)
    return real()


_ANSWERS = (SLURM_READ, SLURM_CHANGE, FAR_READ, FAR_CHANGE, LINK, PAST)

FAULTS: Mapping[str, Fault] = {
    "answer lost": Fault(
        "the effect happened, the answer did not come",
        "commit_unknown_result", 8, (SLURM_CHANGE, FAR_CHANGE, LINK, STORE_CHANGE, REPORT), _lost,
    ),
    "refused": Fault("no connection, no effect", "any network", 5, _ANSWERS, _refused),
    "ledger away": Fault(
        "the database does not answer", "SQLITE_BUSY", 3, (STORE_READ, STORE_CHANGE, REPORT),
        _refused,
    ),
    "late": Fault(
        "slurmctld works off what its client gave up", "MessageTimeout", 4, (SLURM_CHANGE,),
        _late, (1, 3, 10),
    ),
    "far late": Fault(
        "a far command outlives its SSH client; sbatch tries 15 times within 120 s",
        "sbatch.c, MAX_RETRIES", 6, (FAR_CHANGE,), _late, (1, 10, 60, 120),
    ),
    "throttled": Fault(
        "asked to slow down", "HTTP 429", 2, (FAR_READ, FAR_CHANGE), _throttled, (1, 30, 300)
    ),
    "busy": Fault("EAGAIN", "slurm_errno.c", 2, (SLURM_READ, SLURM_CHANGE), _busy),
    "no room": Fault("a disk is full", "ENOSPC", 3, (STORE_CHANGE, REPORT, FAR_CHANGE), _no_room),
    "denied": Fault("a certificate has expired", "sshd", 2, (FAR_READ, FAR_CHANGE), _denied),
    "list cut off": Fault("squeue dies", "SIGPIPE", 3, (SLURM_READ,), _cut_off, (0, 30, 60, 99)),
    "slow": Fault("the call takes its time", "any network", 4, CALLS, _slow, (2, 10, 29)),
    "killed before": Fault("kill -9", "", 6, CALLS, _killed_before, (0, 1, 4)),
    "killed after": Fault("kill -9", "", 6, CALLS, _killed_after, (0, 1, 4)),
    "overtaken": Fault(
        "another daemon acts meanwhile", "SIGSTOP", 6, CALLS, _overtaken, (0, 0, 5, 30)
    ),
}  # fmt: skip
