"""When jobs may leave at all: windows by APScheduler's cron, and blackout days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from apscheduler.triggers.cron import CronTrigger

from burstd.domain.policy import BurstPolicy, Window


def closed(policy: BurstPolicy, now: datetime) -> str:
    """Why no job may leave now, and from when on they may; empty: they may."""
    today = now.astimezone(UTC).date()
    for first, last in policy.blackouts:
        if first <= today <= last:
            return f"blackout until the end of {last}"
    if not policy.windows or any(_is_open(window, now) for window in policy.windows):
        return ""
    coming = [_trigger(window.start).get_next_fire_time(None, now) for window in policy.windows]
    opens = min((moment for moment in coming if moment is not None), default=None)
    return f"closed until {opens:%Y-%m-%dT%H:%MZ}" if opens else "closed for ever"


def _is_open(window: Window, now: datetime) -> bool:
    """It began less than its length ago."""
    # Behind a moment that lies a whole length ago: that one's window has just closed.
    since = now - window.length + timedelta.resolution
    began = _trigger(window.start).get_next_fire_time(None, since)
    return began is not None and began <= now


@lru_cache(maxsize=100)
def _trigger(start: str) -> CronTrigger:
    return CronTrigger.from_crontab(start, UTC)
