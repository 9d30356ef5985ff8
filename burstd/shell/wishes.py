"""Jobs submitted straight to the burst partition that the policy declines: they go home."""

from __future__ import annotations

from dataclasses import replace

import structlog

from burstd.domain.jobs import JobIdentity
from burstd.domain.plan import Decline, Plan, Reason
from burstd.domain.policy import Ledger
from burstd.ports.errors import PortError
from burstd.shell.marks import as_submitted
from burstd.shell.world import World

log = structlog.get_logger()

#: Reasons that pass by themselves: the wish waits in the burst partition.
PASSING = frozenset(
    {
        Reason.SCRIPT_UNREAD,
        Reason.FROZEN,
        Reason.PACED,
        Reason.STEP,
        Reason.COOLING,
        Reason.TOO_MANY_OPEN,
        Reason.DEPENDENT,
        Reason.HELD,
        Reason.LICENCES_UNSEEN,
    }
)
#: An operator has it in hand.
NOT_OURS = frozenset({Reason.ABANDONED})


def send_home(plan: Plan, world: World, ledger: Ledger) -> None:
    """Open a return for every declined wish; one that can't be read now waits for next time."""
    passing = PASSING - {Reason.FROZEN} if ledger.closed else PASSING
    for decline in plan.declined:
        if decline.wish and decline.reason not in passing | NOT_OURS:
            for key in decline.elements:
                _send_one(replace(decline.identity, key=key), decline, world)


def _send_one(who: JobIdentity, decline: Decline, world: World) -> None:
    try:
        record = as_submitted(world.queue.record(who), world.store)
        world.store.send_home(record, decline.text)
        log.info("wish.declined", job=str(who.key), cause=decline.text)
    except PortError as error:
        log.warning("wish.stuck", job=str(who.key), cause=str(error))
