"""Money that may be spent: by whom, in which period, and what has been."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from burstd.domain.targets import Money


class Period(Enum):
    """Calendar periods in UTC; a week begins on Monday. A burst counts in those it began in, as
    long as it is open in the present one too."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def began(self, now: datetime) -> datetime:
        """The beginning of the present one."""
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        if self is Period.DAY:
            return midnight
        if self is Period.WEEK:
            return midnight - timedelta(days=midnight.weekday())
        return midnight.replace(day=1)

    def length(self, now: datetime) -> timedelta:
        """Of the present one."""
        began = self.began(now)
        return self.began(began + _LONGER[self]) - began


#: Into the next one from the beginning of any.
_LONGER = {
    Period.DAY: timedelta(days=1),
    Period.WEEK: timedelta(days=7),
    Period.MONTH: timedelta(days=31),
}


#: The site's own budget on dashboards.
OF_THE_SITE = "month"


@dataclass(frozen=True)
class Term:
    """The time that the site's budget is for."""

    began: datetime
    length: timedelta

    @classmethod
    def month(cls, now: datetime) -> Term:
        """The present one."""
        return cls(Period.MONTH.began(now), Period.MONTH.length(now))


@dataclass(frozen=True)
class Budget:
    """A cap that is never passed, worst cases of open bursts included.

    Empty ``accounts``/``users``: everybody's together. From ``soft`` of the amount on no new burst
    begins.
    """

    name: str
    amount: Money
    period: Period = Period.MONTH
    accounts: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    soft: float = 1.0

    def covers(self, account: str, user: str) -> bool:
        """Does this one's money come from it?"""
        return (not self.accounts or account in self.accounts) and (
            not self.users or user in self.users
        )


@dataclass(frozen=True, slots=True)
class Charge:
    """What one burst has cost, or may cost at most as long as it is ``open``."""

    at: datetime  #: when it began
    account: str
    user: str
    amount: Money
    open: bool
    currency: str = ""  #: empty: not known
