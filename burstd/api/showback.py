"""``burst cost``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from starlette.responses import JSONResponse

from burstd.api.desk import Desk
from burstd.api.peers import Peer
from burstd.core.showback import KEYS, report
from burstd.domain.budgets import Period


def showback(desk: Desk, query: Mapping[str, str], peer: Peer) -> Any:
    """The rows by ``by``, of bursts that began in [``since``, ``until``); an operator sees all."""
    by = tuple(filter(None, query.get("by", "account").split(",")))
    if unknown := [name for name in by if name not in KEYS]:
        said = f"cost can't be told by {unknown[0]!r}: only by {', '.join(KEYS)}"
        return JSONResponse({"error": said}, status_code=400)
    now = desk.world.clock.now()
    try:
        since = _day(query.get("since", "")) or Period.MONTH.began(now)
        until = _day(query.get("until", "")) or Period.DAY.began(now) + timedelta(days=1)
    except ValueError as error:
        said = f"not a day like 2026-11-01: {error}"
        return JSONResponse({"error": said}, status_code=400)
    currency = desk.world.policy.currency
    mine = (b for b in desk.world.store.bursts() if peer.may_see(b.identity.user))
    return {
        "by": list(by),
        "since": f"{since:%Y-%m-%d}",
        "until": f"{until:%Y-%m-%d}",
        "rows": [
            {
                **dict(zip(by, line.key, strict=True)),
                "bursts": line.bursts,
                "core_hours": round(line.core_hours, 4),
                "cost": str(line.cost),
                "open": str(line.reserved),
                "currency": line.currency,
            }
            for line in report(mine, by, since, until, currency)
        ],
    }


def _day(text: str) -> datetime | None:
    """Raises ``ValueError``."""
    return datetime.combine(date.fromisoformat(text), time(), UTC) if text else None
