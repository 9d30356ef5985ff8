"""What a burst comes to at its end: what it cost, what came home, what stays behind."""

from __future__ import annotations

from burstd.core.money import core_hours, egress, occupied, price
from burstd.domain import events as ev
from burstd.domain.burst import Burst, Remains
from burstd.domain.data import from_rows
from burstd.domain.jobs import JobSight
from burstd.domain.requests import RequestKind
from burstd.domain.targets import Money
from burstd.shell.world import World

MOST_BYTES = 2**53  #: of one job's results that anybody believes in


def remains_of(burst: Burst, world: World) -> Remains | None:
    """What its agent has left at the target, until somebody asks for it."""
    age = world.sites[burst.target].keeps
    if not age or not {"remains", "staged_out"} <= world.store.said(burst.id):
        return None
    files = from_rows(world.store.reports(burst.id, "remains")["remains"].body.get("files"))
    size = sum(file.size for file in files)
    return Remains(world.clock.now() + age, len(files), size) if files else None


def reckoned(burst: Burst, seen: JobSight, world: World) -> ev.Settled:
    """What it cost, also as a line on the job's accounting record."""
    elapsed = occupied(burst)
    hours = core_hours(burst.cores, elapsed)
    view = world.sites[burst.target].target.observe()
    output = _came_home(burst, world)
    cost = Money(price(burst.cores, burst.gpus, elapsed, view) + egress(output, view.egress))
    if seen.is_job(burst.identity):
        world.queue.annotate(
            burst.identity,
            f"burst=1 id={burst.id} where={burst.target} core_hours={hours:.4f} "
            f"cost={cost}{world.policy.currency}",
        )
    return ev.Settled(hours, cost, output)


def _came_home(burst: Burst, world: World) -> int:
    """Bytes of its results, by the word of the agent that landed them: it is the user's program,
    and no word of its spends more than was reserved, or an operator has approved."""
    if "staged_out" not in world.store.said(burst.id):
        return 0
    size = world.store.reports(burst.id, "staged_out")["staged_out"].body.get("bytes")
    if not isinstance(size, int) or not 0 <= size < MOST_BYTES:
        return burst.most_output or 0  # no size: what was put by for it is gone
    asked = world.store.requests().get(burst.id, frozenset())
    approved = any(one.kind is RequestKind.PAY for one in asked)
    return size if approved or burst.most_output is None else min(size, burst.most_output)
