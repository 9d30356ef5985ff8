"""When an acknowledged change of Slurm can no longer be forgotten.

slurmctld saves its state at most every SAVE_MAX_WAIT = 5 s (Slurm's ``state_save.c``): a hold,
an update or a submit acknowledged less than that before a crash is gone after the restart, and
a lost submission's job id is given to the next job. Twice that time with an unchanged boot time
is the proof that it was saved.
"""

from __future__ import annotations

from datetime import timedelta
from enum import Enum

from burstd.domain.burst import Epoch, Uptime

SAVE_TIME = timedelta(seconds=10)


class Durability(Enum):
    """What we know of an acknowledged change."""

    TOO_EARLY = "too early"
    DURABLE = "durable"
    RESTARTED = "the controller restarted"
    UNTIMED = "this machine restarted, or is another one"


def durability(epoch: Epoch, boot: str, now: Uptime) -> Durability:
    """Judge the change seen at ``epoch`` from the controller's present ``boot`` time."""
    if boot != epoch.boot:
        return Durability.RESTARTED
    if now.machine != epoch.since.machine:
        return Durability.UNTIMED
    aged = now.seconds - epoch.since.seconds >= SAVE_TIME.total_seconds()
    return Durability.DURABLE if aged else Durability.TOO_EARLY
