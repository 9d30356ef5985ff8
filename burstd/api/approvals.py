"""Results that are larger than what was put by for them wait for an operator. A yes is to the size
that the agent has told of by then, and no yes passes a budget."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from starlette.responses import Response

from burstd.api.answers import too_late
from burstd.api.bodies import refusal
from burstd.api.desk import Desk
from burstd.api.remains import PATIENCE
from burstd.core.decide import purse_of
from burstd.core.money import bill
from burstd.domain import events as ev
from burstd.domain.burst import Burst, Stage
from burstd.domain.data import MOST_COUNTED
from burstd.domain.targets import Money
from burstd.ports.store import StaleBurst
from burstd.shell.tick import move


@dataclass(frozen=True)
class Wish:
    """What waits of one burst: so many bytes, which take ``more`` than is put by for it."""

    burst: Burst
    size: int
    more: Money


def oversized(desk: Desk, burst: Burst) -> Wish | None:
    """By the word of its agent, which is a user's program; ``None``: nothing of it waits."""
    paid = burst.most_output
    if burst.stage is not Stage.STAGING_OUT or paid is None:
        return None
    reports = desk.world.store.reports(burst.id, "oversized")
    size = reports["oversized"].body.get("bytes") if reports else None
    if not isinstance(size, int) or not paid < size < MOST_COUNTED:
        return None
    # What its run has not used of what was put by for it pays for results as well.
    cost = bill(burst, size, desk.world.sites[burst.target].target.observe())
    return Wish(burst, size, Money(max(Decimal(0), cost - burst.reserved)))


def words(desk: Desk, wish: Wish) -> dict[str, Any]:
    """For people. ``lacks``: why it can't be approved now; empty: it can."""
    return {
        "bytes": wish.size,
        "most_bytes": wish.burst.most_output,
        "more": str(wish.more),
        "currency": desk.world.policy.currency,
        "lacks": _lacks(desk, wish),
    }


def grant(desk: Desk, burst: Burst, by: str, why: str) -> tuple[Burst, dict[str, Any]] | Response:
    """Put by what they cost, and let them come; or say why not."""
    if not desk.world.paying.acquire(timeout=PATIENCE):
        return refusal(503, "burstd is deciding: try again")
    try:
        wish = oversized(desk, burst)
        if wish is None:
            where = f"burst {burst.id} of job {burst.job} is {burst.stage.value}"
            return too_late(f"{where}: nothing of it waits for an operator")
        if lacks := _lacks(desk, wish):
            return refusal(409, lacks)
        said = words(desk, wish)
        event = ev.Granted(by, why, wish.size, Money(burst.reserved + wish.more))
        return move(burst, event, desk.world), said
    except StaleBurst:
        return too_late(f"burst {burst.id} has just moved: look again")
    finally:
        desk.world.paying.release()


def _lacks(desk: Desk, wish: Wish) -> str:
    """Which budget has no room for it, and what can be done; empty: all have."""
    world, burst = desk.world, wish.burst
    purse = purse_of(world.policy, world.store.ledger(), world.clock.now())
    lacks = purse.lacks(burst.account, burst.identity.user, wish.more)
    if lacks is None:
        return ""
    name = lacks["budget"]
    setting = name if name == "policy.budget" else f"policy.budgets.{name}.amount"
    return (
        f"{wish.size / 1e9:.3f} GB of results of job {burst.job} cost {wish.more} "
        f"{world.policy.currency} more than is put by for it, and {name} ({lacks['of']}) has "
        f"{lacks['left']} left: raise {setting}, or wait until it has more. They stay at "
        f"{burst.target} until then"
    )
