"""When the next attempt of a step that failed for a passing reason is due."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from burstd.domain.burst import Stage

LONGEST = timedelta(minutes=5)
#: Where a twin may run that its user has ended meanwhile: scancel must reach it within a minute.
SOONER: Mapping[Stage, timedelta] = dict.fromkeys(
    (Stage.PERMITTING, Stage.RUNNING, Stage.CANCELLING, Stage.RETURNING), timedelta(seconds=30)
)


def next_due(now: datetime, attempt: int, stage: Stage, asked: timedelta | None = None) -> datetime:
    """Double from 2 s up to the stage's longest; wait longer where the far side asked for it, five
    minutes at most."""
    backoff = min(SOONER.get(stage, LONGEST), timedelta(seconds=2 * 2 ** min(attempt, 10)))
    return now + min(LONGEST, max(backoff, asked or timedelta()))


def is_due(due_at: datetime | None, now: datetime) -> bool:
    """True also for a time further away than any that we give: the clock was set back since."""
    return due_at is None or not timedelta() < due_at - now <= LONGEST
