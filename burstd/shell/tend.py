"""Links: up while a burst needs them, down when the surge and the last burst are over."""

from __future__ import annotations

import structlog

from burstd.ports.errors import PortError
from burstd.shell.world import World

log = structlog.get_logger()


def tend(world: World) -> None:
    """Bring down every link that no open burst needs. Steps bring them up."""
    ledger = world.store.ledger()
    needed = {burst.target for burst in world.store.open_bursts()}
    for name, site in world.sites.items():
        if site.link is None or name in needed or ledger.surging:
            continue
        try:
            if site.link.view().up:
                site.link.ensure_down()
                log.info("link.lowered", target=name)
        except PortError as error:
            log.warning("link.stuck", target=name, cause=str(error))
