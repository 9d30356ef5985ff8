"""From the desk to what dashboards see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from burstd.api.desk import Desk
from burstd.api.remains import is_unlanded
from burstd.core.decide import purse_of
from burstd.core.pressure import pressures
from burstd.domain.budgets import OF_THE_SITE
from burstd.domain.burst import Burst
from burstd.domain.jobs import JobState
from burstd.domain.licences import Pool
from burstd.domain.plan import PRESSING
from burstd.obs.metrics import Figures, LinkFigures, Mark, Waiting
from burstd.ports.errors import PortError


def figures(desk: Desk) -> Figures:
    """One scrape: the ledger, the last look at the queue, the links."""
    world = desk.world
    ledger, bursts = world.store.ledger(), world.store.bursts()
    spent: dict[str, float] = {}
    for burst in bursts:
        spent[burst.target] = spent.get(burst.target, 0.0) + float(burst.paid)
    return Figures(
        cluster=world.cluster,
        currency=world.policy.currency,
        pending=_pending(desk),
        marks=tuple(
            Mark(p.name, p.marks.high, p.marks.low, p.name in ledger.surging, p.gpus)
            for p in pressures(world.policy)
        ),
        frozen=bool(ledger.frozen),
        decided=_decided(desk),
        licences=_licences(desk, ledger.booked),
        policy_ok=not world.rules.trouble,
        bursts=Counter((b.target, b.stage.value) for b in bursts if not b.stage.final),
        ended=Counter((b.target, b.stage.value) for b in bursts if b.stage.final),
        spent=spent,
        budgets={
            OF_THE_SITE if place == 0 else pot.budget.name: (
                float(pot.budget.amount),
                float(pot.left),
            )
            for place, pot in enumerate(purse_of(world.policy, ledger, world.clock.now()).pots)
        },
        staged=world.store.staged(),
        links=tuple(_links(desk)),
        unreadable=Counter(desk.memory.unreadable_total),
        keys=_keys(desk),
        remains=_remains(desk, lambda burst: burst.remains.size if burst.remains else 0),
        unlanded=_remains(desk, lambda burst: int(is_unlanded(burst) and not burst.fetches)),
        queue_seen=desk.memory.queue.taken_at.timestamp() if desk.memory.queue else 0.0,
    )


def _pending(desk: Desk) -> dict[tuple[str, str, str, str], Waiting]:
    plan, queue = desk.memory.plan, desk.memory.queue
    if plan is None or queue is None:
        return {}
    stays = {key: d.reason for d in plan.declined for key in d.elements}
    sums: dict[tuple[str, str, str, str], Waiting] = {}
    for job in queue.jobs:
        if job.state is not JobState.PENDING:
            continue
        reason = stays.get(job.elements[0])
        eligible = "yes" if reason is None or reason in PRESSING else "no"
        key = (job.partition, job.account, job.reason, eligible)
        was, many = sums.get(key, Waiting()), len(job.elements)
        facts = desk.memory.scripts.get(job.identity)
        gpus = facts.shape.gpus if facts is not None and facts.shape is not None else 0
        seconds = job.time_limit.total_seconds() * many if job.time_limit else 0.0
        sums[key] = Waiting(
            was.core_seconds + job.cpus * seconds, was.gpu_seconds + gpus * seconds, was.jobs + many
        )
    return sums


def _decided(desk: Desk) -> Counter[str]:
    """Jobs by what the last decision says of them."""
    plan = desk.memory.plan
    found: Counter[str] = Counter()
    if plan is not None:
        found["leaves"] = len(plan.placements)
        for decline in plan.declined:
            found[decline.reason.name.lower()] += len(decline.elements)
    return found


def _licences(desk: Desk, booked: Mapping[str, int]) -> dict[tuple[str, str], int]:
    """Of the pools that could be seen."""
    pools = desk.memory.snapshot.licences if desk.memory.snapshot else {}
    found: dict[tuple[str, str], int] = {}
    for name, pool in pools.items():
        if isinstance(pool, Pool):
            found |= {(name, "total"): pool.total, (name, "used"): pool.used}
            found |= {(name, "kept"): pool.kept, (name, "reserved"): booked.get(name, 0)}
    return found


def _keys(desk: Desk) -> Counter[tuple[str, str]]:
    """Also none of a bucket's, so that an alarm sees it."""
    found = Counter({(name, s): 0 for name in desk.world.passages for s in ("living", "destroyed")})
    for key in desk.world.store.seal_keys():
        if key.emptied_at is None:
            found[key.bucket, "destroyed" if key.wrapped is None else "living"] += 1
    return found


def _remains(desk: Desk, of: Callable[[Burst], int]) -> Counter[str]:
    """By target; also none, so that an alarm sees it."""
    found = Counter[str]({name: 0 for name, site in desk.world.sites.items() if site.keeps})
    for burst in desk.world.store.remaining():
        found[burst.target] += of(burst)
    return found


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
