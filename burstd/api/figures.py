"""From the desk to what dashboards see."""

from __future__ import annotations

from collections import Counter

from burstd.api.desk import Desk
from burstd.domain.jobs import JobKey, JobState
from burstd.obs.metrics import Figures, LinkFigures
from burstd.ports.errors import PortError


def figures(desk: Desk) -> Figures:
    """One scrape: the ledger, the last look at the queue, the links."""
    world = desk.world
    ledger, bursts = world.store.ledger(), world.store.bursts()
    spent: dict[str, float] = {}
    for burst in bursts:
        spent[burst.target] = spent.get(burst.target, 0.0) + float(burst.cost or 0)
    return Figures(
        cluster=world.cluster,
        currency=world.policy.currency,
        pending=_pending(desk),
        high=world.policy.watermarks.high,
        low=world.policy.watermarks.low,
        surging=bool(ledger.surging),
        policy_ok=not world.rules.trouble,
        bursts=Counter((b.target, b.stage.value) for b in bursts if not b.stage.final),
        ended=Counter((b.target, b.stage.value) for b in bursts if b.stage.final),
        spent=spent,
        budget=float(world.policy.budget),
        left=float(ledger.left(world.policy.budget)),
        staged=world.store.staged(),
        links=tuple(_links(desk)),
        unreadable=Counter(desk.memory.unreadable_total),
        queue_seen=desk.memory.queue.taken_at.timestamp() if desk.memory.queue else 0.0,
    )


def _pending(desk: Desk) -> dict[tuple[str, str, str, str], tuple[float, int]]:
    plan, queue = desk.memory.plan, desk.memory.queue
    if plan is None or queue is None:
        return {}
    stays: dict[JobKey, str] = {
        key: d.reason.name.lower() for d in plan.declined for key in d.elements
    }
    sums: dict[tuple[str, str, str, str], tuple[float, int]] = {}
    for job in queue.jobs:
        if job.state is not JobState.PENDING:
            continue
        eligible = "no" if stays.get(job.elements[0], "") not in _PRESSURE else "yes"
        key = (job.partition, job.account, job.reason, eligible)
        seconds, count = sums.get(key, (0.0, 0))
        many = len(job.elements)
        sums[key] = (seconds + job.core_hours * 3600 * many, count + many)
    return sums


#: Jobs that could leave and count as pressure, whether or not they leave now.
_PRESSURE = frozenset(
    {
        "",
        "below_watermark",
        "below_price",
        "damped",
        "paced",
        "too_many_open",
        "no_target_fits",
        "no_budget",
        "soft_mark",
    }
)


def _links(desk: Desk) -> list[LinkFigures]:
    found = []
    for name, site in desk.world.sites.items():
        if site.link is None:
            continue
        try:
            view = site.link.view()
        except PortError:
            found.append(LinkFigures(name, up=False, last_handshake=0, bytes_in=0, bytes_out=0))
            continue
        at = view.last_handshake.timestamp() if view.last_handshake else 0.0
        found.append(LinkFigures(name, view.up, at, view.bytes_in, view.bytes_out))
    return found
