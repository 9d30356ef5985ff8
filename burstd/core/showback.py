"""What bursts have cost, by whom or what. Pure; exact decimals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from burstd.domain.burst import ZERO, Burst

#: What a cost can be told by.
KEYS: Mapping[str, Callable[[Burst], str]] = {
    "account": lambda burst: burst.account,
    "user": lambda burst: burst.identity.user,
    "application": lambda burst: burst.application,
    "target": lambda burst: burst.target,
    "month": lambda burst: burst.created_at.strftime("%Y-%m"),
}


@dataclass
class Line:
    """One row of the report. ``reserved``: what those that are open may cost yet, at most."""

    key: tuple[str, ...]
    currency: str  #: of its amounts
    bursts: int = 0
    core_hours: float = 0.0
    cost: Decimal = ZERO
    reserved: Decimal = ZERO


def report(
    bursts: Iterable[Burst], by: tuple[str, ...], since: datetime, until: datetime, currency: str
) -> list[Line]:
    """The bursts that began in [``since``, ``until``), and what was fetched behind the end of any
    then; the dearest first. ``by``: of ``KEYS``. Amounts in several currencies are never summed;
    ``currency``: that of bursts that an older burstd has not written it down of."""
    found: dict[tuple[str, ...], Line] = {}

    def line_of(burst: Burst, at: datetime) -> Line:
        key = tuple(KEYS[name](replace(burst, created_at=at)) for name in by)
        money = burst.currency or currency
        return found.setdefault((*key, money), Line(key, money))

    for burst in bursts:
        for fetch in burst.fetches:
            if since <= fetch.at < until:
                line_of(burst, fetch.at).cost += fetch.cost
        if not burst.target or not since <= burst.created_at < until:
            continue
        line = line_of(burst, burst.created_at)
        line.bursts += 1
        if burst.stage.final:
            line.core_hours += burst.core_hours or 0.0
            line.cost += burst.cost or ZERO
        else:
            line.reserved += burst.reserved
    return sorted(
        found.values(), key=lambda line: (line.currency, -line.cost, -line.reserved, line.key)
    )
