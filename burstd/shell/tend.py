"""Links: up while a burst needs them, down when the surge and the last burst are over."""

from __future__ import annotations

from datetime import timedelta

import structlog

from burstd.core.decide import acts
from burstd.domain.targets import TargetName
from burstd.ports.errors import PortError
from burstd.shell.world import World

#: Who fetches what remains of a job says so every half minute.
STILL_THERE = timedelta(minutes=2)

log = structlog.get_logger()


def raise_links(world: World) -> None:
    """Bring up the link of every target that may hold something of an open burst.

    A link lost meanwhile (burst-netd restarted, machine rebooted) comes back here.
    """
    for name in {b.target for b in world.store.open_bursts() if b.claim is not None}:
        link = world.sites[name].link
        if link is None:
            continue
        try:
            link.ensure_up()
        except PortError as error:
            log.warning("link.stuck", target=name, cause=str(error))


def _visited(world: World) -> set[TargetName]:
    now = world.clock.now()
    return {name for name, heard in world.visited.items() if abs(now - heard) < STILL_THERE}


def lower_links(world: World) -> None:
    """Bring down every link that no open burst needs."""
    surging = acts(world.policy) and bool(world.store.ledger().surging)
    open_targets = {burst.target for burst in world.store.open_bursts()} | _visited(world)
    needed = {id(site.link) for name, site in world.sites.items() if name in open_targets}
    for name, site in world.sites.items():
        if site.link is None or id(site.link) in needed or surging:
            continue
        try:
            if site.link.view().up:
                site.link.ensure_down()
                log.info("link.lowered", target=name)
        except PortError as error:
            log.warning("link.stuck", target=name, cause=str(error))
