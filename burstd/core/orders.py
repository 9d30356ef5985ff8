"""What the agent in a stand-in should do now, from its burst's stage alone."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from burstd.domain.burst import Burst, Stage
from burstd.domain.targets import BEGUN_BEFORE, CHECKPOINTED, Outcome


class Order(Enum):
    """The agent's vocabulary."""

    WAIT = "wait"
    STAGE_IN = "stage_in"
    FOLLOW = "follow"  #: copy what grows: stdout, stderr, live files
    STAGE_OUT = "stage_out"
    EXIT = "exit"


ORDERS: Mapping[Stage, Order] = {
    **dict.fromkeys(Stage, Order.WAIT),
    Stage.STAGING_IN: Order.STAGE_IN,
    Stage.RUNNING: Order.FOLLOW,
    Stage.CANCELLING: Order.FOLLOW,
    Stage.STAGING_OUT: Order.STAGE_OUT,
    Stage.SETTLING: Order.EXIT,
    Stage.SETTLED: Order.EXIT,
}


def order_for(
    burst: Burst, life: int = 0, recalled_in: int | None = None, own: int | None = None
) -> Order:
    """The agent's order at this stage, in its stand-in's life of this number (Slurm's Restarts).

    ``recalled_in``: the life in which it got TERM. A later one means that the user has requeued the
    job; where its twin was stopped for that, nothing ends: the job is about to go home. So is one
    that was stopped to go on there. ``own``: as for ``ending``.
    """
    order = ORDERS[burst.stage]
    if order is Order.EXIT and checkpointed(burst, own):
        return Order.WAIT
    stopped = burst.outcome is not None and burst.outcome.reason == "cancelled"
    anew = stopped and recalled_in is not None and life > recalled_in
    return Order.WAIT if anew and order in {Order.STAGE_OUT, Order.EXIT} else order


#: signal(7), x86 and ARM: those whose default action ends a process. Slurm shows 125 for a job
#: that ran out of memory.
_DEADLY = frozenset(range(1, 32)) - {17, 18, 19, 20, 21, 22, 23, 28}

#: It may have come to its own end, of which the runner's record tells.
_BY_ITSELF = frozenset({"exited", "lost"})


def ending(outcome: Outcome | None, own: int | None = None) -> tuple[int, int]:
    """(exit code, signal) with which the stand-in must end; 1 where the payload never ended.

    ``own``: the payload's exit code by its runner's sealed record. A far slurmctld that forgot in a
    crash that it had started a job starts it again, is refused by the node, and calls it failed;
    a node may be lost just behind a job's end. A time-out at the far end becomes 1: the stand-in
    itself has no time limit that could expire.
    """
    if outcome is None:
        return 1, 0
    if own is not None and outcome.reason in _BY_ITSELF:
        return own, 0
    if _second(outcome):
        return 1, 0
    if outcome.signal:
        return (0, outcome.signal) if outcome.signal in _DEADLY else (1, 0)
    return (1 if outcome.exit_code is None else outcome.exit_code), 0


def checkpointed(burst: Burst, own: int | None = None) -> bool:
    """It was told to save its state and stop there, and did: it goes on at home."""
    ended = burst.outcome is not None and burst.outcome.reason in _BY_ITSELF
    return burst.stopping and ended and ending(burst.outcome, own) == (CHECKPOINTED, 0)


def remark(burst: Burst, own: int | None = None) -> str:
    """What the job's own output must say of its end, because nothing else there does."""
    outcome = burst.outcome
    if outcome is None or own is not None or not (outcome.reason == "lost" or _second(outcome)):
        return ""
    why = f" ({outcome.detail})" if outcome.detail else ""
    return f"the run at {burst.target} was lost{why}; what it had written until then is here"


def _second(outcome: Outcome) -> bool:
    """A second start was refused. The first was killed, or its runner had left its own record."""
    return outcome.reason == "exited" and outcome.exit_code == BEGUN_BEFORE
