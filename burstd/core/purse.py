"""How much of each budget is left while a plan is made. Pure; exact decimals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from burstd.domain.budgets import Budget, Charge
from burstd.domain.plan import Objection, Reason
from burstd.domain.targets import Money


@dataclass
class Pot:
    """One budget and what is taken from it: spent, and promised to what is open. ``foreign``: the
    currency of what was taken in another one; nobody knows what is left then."""

    budget: Budget
    taken: Decimal = Decimal(0)
    foreign: str = ""

    @property
    def left(self) -> Money:
        known = self.budget.amount - self.taken
        return Money(Decimal(0) if self.foreign else max(Decimal(0), known))

    @property
    def soft_mark(self) -> Decimal:
        return self.budget.amount * Decimal(str(self.budget.soft))


class Purse:
    """Every budget of the site at one moment."""

    def __init__(
        self, budgets: Sequence[Budget], charges: Iterable[Charge], now: datetime, currency: str
    ) -> None:
        self.pots = [Pot(budget) for budget in budgets]
        self._currency = currency
        begun = {pot.budget.period: pot.budget.period.began(now) for pot in self.pots}
        for charge in charges:
            for pot in self.pots:
                counts = charge.open or charge.at >= begun[pot.budget.period]
                if counts and pot.budget.covers(charge.account, charge.user):
                    pot.taken += charge.amount
                    if charge.amount and charge.currency not in {"", currency}:
                        pot.foreign = charge.currency

    def objection(self, account: str, user: str, worst: Money) -> Objection | None:
        """What the first budget without room for it says: none may be passed, and none that has
        reached its soft mark begins anything new."""
        for pot in self.pots:
            if not pot.budget.covers(account, user):
                continue
            numbers = self._numbers(pot)
            if worst > pot.left:
                return Reason.NO_BUDGET, {"worst_case": self._told(worst), **numbers}
            if pot.budget.soft < 1 and pot.taken >= pot.soft_mark:
                return Reason.SOFT_MARK, {**numbers, "soft": self._told(Money(pot.soft_mark))}
        return None

    def lacks(self, account: str, user: str, amount: Money) -> Mapping[str, str] | None:
        """Which budget has no room for it, in words; soft marks keep nothing from being paid that
        was begun. ``None``: all have."""
        for pot in self.pots:
            if pot.budget.covers(account, user) and amount > pot.left:
                return self._numbers(pot)
        return None

    def take(self, account: str, user: str, worst: Money) -> None:
        """Promise it."""
        for pot in self.pots:
            if pot.budget.covers(account, user):
                pot.taken += worst

    def _numbers(self, pot: Pot) -> dict[str, str]:
        return {
            "budget": pot.budget.name,
            "of": f"{self._told(pot.budget.amount)}/{pot.budget.period.value}",
            "left": self._told(pot.left),
            **({"spent_in": pot.foreign} if pot.foreign else {}),
        }

    def _told(self, amount: Money) -> str:
        return f"{amount} {self._currency}"
