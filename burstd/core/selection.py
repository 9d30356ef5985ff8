"""Which of the waiting jobs leave. Every strategy gives each job in the line a worth; who is worth
more than the price of the moment leaves. Pure.

The threshold decides *when*; *which* job goes matters more. Worths are hours: of waiting, for what
a job of this site costs on average (``threshold``: that the whole cluster would need for what
waits), so that one range of prices serves them all, on small sites and large ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from burstd.core.backfill import starts
from burstd.core.room import Outlook, Room, Waiter

#: (the line in its order, the cluster, the price) -> what each is worth; above the price: it leaves
Strategy = Callable[[Sequence[Waiter], Outlook, float], list[float]]


def threshold(line: Sequence[Waiter], outlook: Outlook, _price: float) -> list[float]:
    """From the head, until what still waits is below the mark: the core-hours from here on."""
    worth, behind = [0.0] * len(line), 0.0
    for place in range(len(line) - 1, -1, -1):
        behind += line[place].core_hours * line[place].tasks
        worth[place] = behind / outlook.cores
    return worth


def waiting(line: Sequence[Waiter], outlook: Outlook, _price: float) -> list[float]:
    """A large job may be let wait longer than a small one (Starburst, USENIX ATC 2024)."""
    return [job.waited / 3600 * outlook.mean / max(job.core_hours, 1e-9) for job in line]


def marginal(line: Sequence[Waiter], outlook: Outlook, price: float) -> list[float]:
    """The hours of waiting that each would be spared, and would spare those behind it, for what it
    costs. Who leaves is not in the way of those behind: so in the order of the line. A job waits
    until its turn has come, or until it overtakes those before it, whichever is sooner."""
    weights = [_weight(job, outlook) for job in line]
    behind = sum(weight * job.tasks for job, weight in zip(line, weights, strict=True))
    room = Room(outlook)
    worth = []
    for job, weight, soonest in zip(line, weights, starts(line, outlook), strict=True):
        behind -= weight * job.tasks
        at = min(soonest, room.when(job.cores))
        hours = max(job.core_hours, 1e-9)
        spared = (at - outlook.delay) / 3600
        saved = spared * weight + hours / outlook.cores * behind if spared > 0 else 0.0
        value = saved * outlook.mean / hours
        worth.append(value)
        if value <= price:
            room.fill(job)
    return worth


def _weight(job: Waiter, outlook: Outlook) -> float:
    if not outlook.theta:
        return 1.0
    return float((job.core_hours / outlook.mean) ** outlook.theta)


STRATEGIES: Mapping[str, Strategy] = {
    "threshold": threshold,
    "waiting": waiting,
    "marginal": marginal,
}
