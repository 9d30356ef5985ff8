"""What people ask of bursts under way, carried out; what they ask back, the steps carry out."""

from __future__ import annotations

import structlog

from burstd.core.overdraw import not_covered, overdrawn
from burstd.domain.policy import Ledger
from burstd.domain.requests import RequestKind
from burstd.ports.errors import PortError, Rejected
from burstd.shell.sight import Sight
from burstd.shell.world import World

log = structlog.get_logger()


def ask_back(world: World, ledger: Ledger) -> None:
    """What a budget no longer covers shall go home. ``ledger``: of before the plan, which spends
    only what is left."""
    now, store = world.clock.now(), world.store
    pots = overdrawn(world.policy, ledger, now)
    if not pots:
        return
    todo = not_covered(pots, store.open_bursts(), store.requests(), world.policy, now)
    for burst, request in todo.items():
        if store.request(burst, request):
            log.warning(
                "burst.overdrawn", burst_id=burst, asked=request.kind.value, cause=request.why
            )


def cancel_asked(world: World, sight: Sight) -> None:
    """End the jobs that shall be cancelled, as ``scancel`` does; the steps see it like any other
    end. Again at each tick until the job is over: a controller may be away, or forget."""
    for burst in world.store.open_bursts():
        if sight.asked(burst, RequestKind.CANCEL) is None:
            continue
        with structlog.contextvars.bound_contextvars(burst_id=burst.id, job=str(burst.job)):
            try:
                world.queue.cancel(burst.identity)
            except Rejected as error:  # the job is not there any more
                log.warning("cancel.refused", cause=str(error))
            except PortError as error:
                sight.stuck.add(burst.id)
                log.warning("cancel.stuck", cause=str(error))
