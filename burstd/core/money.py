"""What work may cost and what it did cost; exact decimals, rounded up to 0.0001."""

from __future__ import annotations

from datetime import timedelta
from decimal import ROUND_UP, Decimal

from burstd.domain.targets import Money

_STEP = Decimal("0.0001")


def core_hours(cores: int, time: timedelta) -> float:
    """CPUs times hours."""
    return cores * time.total_seconds() / 3600


def price(cores: int, time: timedelta, per_core_hour: Money) -> Money:
    """The price of ``cores`` for ``time``. With the time limit as ``time``: the worst case."""
    hours = Decimal(str(core_hours(cores, time)))
    return Money((hours * per_core_hour).quantize(_STEP, rounding=ROUND_UP))
