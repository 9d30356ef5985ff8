"""When the next attempt of a step that failed for a passing reason is due."""

from __future__ import annotations

from datetime import datetime, timedelta

LONGEST = timedelta(minutes=5)


def next_due(now: datetime, attempt: int, asked: timedelta | None = None) -> datetime:
    """Double from 2 s up to five minutes; wait longer where the far side asked for it."""
    backoff = min(LONGEST, timedelta(seconds=2 * 2 ** min(attempt, 10)))
    return now + max(backoff, asked or timedelta())
