"""The end of what remains at targets behind its jobs' ends."""

from __future__ import annotations

import structlog

from burstd.core.lifecycle import advance
from burstd.domain import events as ev
from burstd.domain.burst import Burst
from burstd.ports.errors import PortError
from burstd.ports.store import StaleBurst
from burstd.shell.world import World

log = structlog.get_logger()


def clear(world: World) -> None:
    """Remove what nobody has asked for in its time. A target that is away is asked again."""
    now = world.clock.now()
    over = [burst for burst in world.store.remaining() if not burst.offers(now)]
    if not over or world.store.ledger().suspect:  # who may be an older self removes nothing
        return
    for burst in over:
        if burst.target not in world.sites:
            continue
        try:
            _clear(burst, world)
        except StaleBurst:
            continue  # somebody has just begun to fetch
        except PortError as error:
            log.warning("remains.stuck", burst_id=burst.id, cause=str(error))


def _clear(burst: Burst, world: World) -> None:
    site = world.sites[burst.target]
    if site.link is not None:
        site.link.ensure_up()
    site.target.clean(burst.work_key, burst.identity.user)
    event = ev.Cleared()
    world.store.append(burst, event, advance(burst, event))
    log.info("remains.cleared", burst_id=burst.id, target=burst.target)
