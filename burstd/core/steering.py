"""The price that a job must be worth to leave, steered so that a budget is used up evenly. Pure:
it knows no clock, only the moments that it is told (seconds since the budget's beginning).

An open-loop price spends what the load happens to ask for; here two things make it. What would
have been bought in the last weeks at each price (every job's highest worth, and its core-hours)
says at which price the budget would have been spent; what was spent too much or too little so far
moves that price up or down. The cap is the caller's: what may cost more than is left never leaves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

WEEK = 7 * 86400.0
DAY = 86400.0


@dataclass(slots=True)
class _Peak:
    worth: float
    core_hours: float
    seen: float


@dataclass
class Steering:
    """For ``budget`` core-hours in ``seconds``. ``window``: how far back it looks; ``patience``:
    the time in which an excess of one budget's share would raise the price by the factor e."""

    budget: float
    seconds: float
    window: float = 4 * WEEK
    patience: float = 2 * WEEK
    every: float = 6 * 3600.0
    base: float = math.inf
    _next: float = 0.0
    _peaks: dict[int, _Peak] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Core-hours a second."""
        return self.budget / self.seconds

    def price(self, now: float, spent: float) -> float:
        """At this moment, with so many core-hours bought, or on their way to be."""
        if not self.budget:
            return math.inf
        if now >= self._next:
            self._next = now + self.every
            self._look_back(now)
        excess = (spent - self.rate * now) / (self.rate * self.patience)
        return self.base * math.exp(max(-8.0, min(8.0, excess)))

    def note(self, number: int, worth: float, core_hours: float, now: float) -> None:
        """What a job was worth at some moment of its waiting: the highest counts."""
        peak = self._peaks.get(number)
        if peak is None or worth > peak.worth:
            self._peaks[number] = _Peak(worth, core_hours, now)

    def _look_back(self, now: float) -> None:
        self._peaks = {n: p for n, p in self._peaks.items() if p.seen >= now - self.window}
        wanted = self.rate * min(self.window, max(now, DAY))
        bought, price = 0.0, math.inf
        for peak in sorted(self._peaks.values(), key=lambda peak: -peak.worth):
            bought += peak.core_hours
            price = peak.worth
            if bought > wanted:
                break
        else:
            price /= 2  # all of it together was not enough
        self.base = max(price, 1e-6)
