"""The price that a job must be worth to leave, steered so that a budget lasts. Pure: it knows no
clock, only the moments that it is told (seconds since the budget's beginning).

A token bucket: the right to spend accrues evenly, and what quiet weeks leave over pays for a storm.
The fuller the bucket, the lower the price, exponentially between two ends (the online knapsack's
threshold: Zhou, Chakrabarty and Lukose, WINE 2008). At the low end a job is left to wait, however
much may be spent. The cap is the caller's: what may cost more than is left never leaves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

LOW, HIGH = 5.0, 500.0  #: worths (selection.py) between which the price moves
PART = 0.2  #: of the budget: the bucket's size


@dataclass
class Steering:
    """For ``budget`` core-hours in ``seconds``. The bucket begins half full: an early storm is paid
    for, and where it is half full at the end the budget was spent, neither more nor less."""

    budget: float
    seconds: float
    part: float = PART
    _most: float = 0.0  #: that was ever in it, of the budget: so a storm finds the whole range

    def price(self, now: float, spent: float) -> float:
        """At this moment, with so many core-hours bought, or on their way to be."""
        if not self.budget:
            return math.inf
        tokens = self.part / 2 + now / self.seconds - spent / self.budget
        self._most = max(self._most, self.part, tokens)
        empty = 1 - max(0.0, tokens / self._most)
        return float(LOW * (HIGH / LOW) ** empty)
