"""What work may cost and what it did cost; exact decimals, rounded up to 0.0001."""

from __future__ import annotations

from datetime import timedelta
from decimal import ROUND_UP, Decimal

from burstd.domain.burst import Burst
from burstd.domain.jobs import Shape
from burstd.domain.targets import Capabilities, Money, TargetView

_STEP = Decimal("0.0001")


def core_hours(cores: int, time: timedelta) -> float:
    """CPUs times hours."""
    return cores * time.total_seconds() / 3600


def price(cores: int, gpus: int, time: timedelta, view: TargetView) -> Money:
    """The price of these for ``time``."""
    hours, gpu_hours = (Decimal(str(core_hours(count, time))) for count in (cores, gpus))
    paid = hours * view.price + gpu_hours * view.gpu_price
    return Money(paid.quantize(_STEP, rounding=ROUND_UP))


def egress(size: int, per_gb: Money) -> Money:
    """The price of ``size`` bytes on their way home; a GB is 10^9 of them."""
    return Money((Decimal(size) / 10**9 * per_gb).quantize(_STEP, rounding=ROUND_UP))


def taken(cpus: int, shape: Shape | None, can: Capabilities) -> int:
    """Cores that work takes at a target: of an exclusive job whole nodes, where their size is
    known."""
    if shape is None or not shape.exclusive or can.node_cores is None:
        return cpus
    return max(cpus, shape.nodes * can.node_cores)


def worst_case(cores: int, gpus: int, limit: timedelta, view: TargetView, output: int = 0) -> Money:
    """The most that work with this time limit, and ``output`` bytes of results, can cost."""
    paid = price(cores, gpus, limit + view.overhead, view)
    return Money(paid + egress(output, view.egress))


def bill(burst: Burst, output: int, view: TargetView) -> Money:
    """What its run, and ``output`` bytes of its results, cost."""
    paid = price(burst.cores, burst.gpus, occupied(burst, view.overhead), view)
    return Money(paid + egress(output, view.egress))


def occupied(burst: Burst, overhead: timedelta) -> timedelta:
    """How long its work had its cores: what the target says, and no longer than this machine has
    known of it, nor than its time limit and the target's ``overhead``. A clock that was set there
    has made no time."""
    told = burst.outcome.elapsed if burst.outcome else timedelta()
    if burst.record is not None and burst.record.time_limit is not None:
        told = min(told, burst.record.time_limit + overhead)
    if burst.remote is None or burst.over is None:
        return told
    first, last = burst.remote.since, burst.over.since
    if first.machine != last.machine:
        return told
    return min(told, timedelta(seconds=last.seconds - first.seconds))
