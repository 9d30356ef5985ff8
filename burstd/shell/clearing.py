"""The end of what remains at targets behind its jobs' ends, and of what they keep."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from burstd.core.decide import acts
from burstd.core.lifecycle import advance
from burstd.domain import events as ev
from burstd.domain.burst import Burst
from burstd.domain.targets import TargetName
from burstd.ports.errors import PortError
from burstd.ports.store import StaleBurst
from burstd.shell.world import World

TIDIED_EVERY = timedelta(days=1)

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


@dataclass
class Tidier:
    """What targets keep for later bursts goes with age, also where no burst comes any more."""

    _tidied: dict[TargetName, datetime] = field(default_factory=dict)

    def tidy(self, world: World) -> None:
        """Once; to be called every minute or so. The first time is a day behind our start: then it
        is most likely nobody who only tries something."""
        now = world.clock.now()
        for name, site in world.sites.items():
            if now - self._tidied.setdefault(name, now) < TIDIED_EVERY:
                continue
            self._tidied[name] = now
            if not acts(world.policy) or world.store.ledger().suspect:
                continue
            try:
                if site.link is not None:
                    site.link.ensure_up()
                site.target.tidy()
            except PortError as error:  # tomorrow is soon enough
                log.warning("target.untidy", target=name, cause=str(error))


def _clear(burst: Burst, world: World) -> None:
    site = world.sites[burst.target]
    if site.link is not None:
        site.link.ensure_up()
    site.target.clean(burst.work_key, burst.identity.user)
    event = ev.Cleared()
    world.store.append(burst, event, advance(burst, event))
    log.info("remains.cleared", burst_id=burst.id, target=burst.target)
