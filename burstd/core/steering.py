"""The price that a job must be worth to leave, steered so that a budget lasts. Pure: it knows no
clock, only the moments that it is told (seconds since the budget's beginning).

A token bucket: the right to spend accrues evenly, and what quiet weeks leave over pays for a storm.
The fuller the bucket, the lower the price, exponentially between two ends (the online knapsack's
threshold: Zhou, Chakrabarty and Lukose, WINE 2008). At the low end a job is left to wait, however
much may be spent. Full is what it ever was: so a storm after quiet weeks, which have filled it far
beyond its size, finds the whole range of prices, and its best hours are bought, not its first ones.
A job must be worth the price that it leaves behind: one that would empty the bucket is measured by
what others will then have to be worth.
The cap is the caller's: what may cost more than is left never leaves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

LOW, HIGH = 5.0, 500.0  #: worths (selection.py) between which the price moves
PART = 0.4  #: of the budget: the bucket's size


@dataclass(frozen=True)
class Tariff:
    """Prices at one moment. ``tokens`` are in the bucket, ``full`` when it was fullest, both as
    parts of ``budget``."""

    budget: float
    tokens: float
    full: float

    def price(self, cost: float = 0.0) -> float:
        """Of a job that will cost so many core-hours."""
        if not self.budget:
            return math.inf
        empty = 1 - max(0.0, (self.tokens - cost / self.budget) / self.full)
        return float(LOW * (HIGH / LOW) ** empty)

    def behind(self, cost: float) -> Tariff:
        """The prices once a job that costs so much has left."""
        return replace(self, tokens=self.tokens - cost / self.budget) if self.budget else self


@dataclass(frozen=True)
class Steering:
    """For ``budget`` core-hours in ``seconds``. The bucket begins half full: an early storm is paid
    for, and where it is half full at the end the budget was spent, neither more nor less."""

    budget: float
    seconds: float
    part: float = PART

    def tariff(
        self, now: float, spent: float, outlays: Iterable[tuple[float, float]] = ()
    ) -> Tariff:
        """At this moment, with so many core-hours bought, or on their way to be. ``outlays``:
        (moment, core-hours) of these, in order, as far as they are known one by one."""
        if not self.budget:
            return Tariff(0.0, 0.0, self.part)
        tokens = self._tokens(now, spent)
        return Tariff(self.budget, tokens, max(self.part, tokens, self._fullest(outlays)))

    def _tokens(self, at: float, spent: float) -> float:
        """What is in the bucket, of the budget."""
        return self.part / 2 + at / self.seconds - spent / self.budget

    def _fullest(self, outlays: Iterable[tuple[float, float]]) -> float:
        """It fills until something is bought."""
        found = before = 0.0
        for at, amount in outlays:
            found = max(found, self._tokens(at, before))
            before += amount
        return found
