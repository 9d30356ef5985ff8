"""When jobs may leave at all: windows by APScheduler's cron, and blackout days."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from apscheduler.triggers.cron import CronTrigger

from burstd.domain.policy import BurstPolicy, Window


def closed(policy: BurstPolicy, now: datetime) -> str:
    """Why no job may leave now, and from when on they may; empty: they may."""
    opens = _opens(policy, now)
    if opens == now:
        return ""
    last = _blackout(policy, now)
    if last is None:
        return f"closed until {opens:%Y-%m-%dT%H:%MZ}" if opens else "closed for ever"
    then = f", then closed until {opens:%Y-%m-%dT%H:%MZ}" if opens else ", then closed for ever"
    return f"blackout until the end of {last}" + (then if opens != _behind(last) else "")


def _opens(policy: BurstPolicy, now: datetime) -> datetime | None:
    """The first moment from now on at which jobs may leave: windows may open on days on which none
    does, and behind such days they may be shut. ``None``: there is none."""
    windows = [window for window in policy.windows if window.length]
    moment: datetime | None = now
    while moment is not None:
        if (last := _blackout(policy, moment)) is not None:
            moment = _behind(last)
        elif not policy.windows or any(_is_open(window, moment) for window in windows):
            break
        else:
            starts = (_trigger(one.start).get_next_fire_time(None, moment) for one in windows)
            moment = min((start for start in starts if start is not None), default=None)
    return moment


def _blackout(policy: BurstPolicy, moment: datetime) -> date | None:
    """The last of these days without a break on which no job leaves."""
    day, found = moment.astimezone(UTC).date(), None
    for first, last in sorted(policy.blackouts):
        if first <= day <= last:
            found, behind = last, _behind(last)
            day = behind.date() if behind else last
    return found


def _behind(day: date) -> datetime | None:
    """``None``: no day comes after it."""
    if day == date.max:
        return None
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def _is_open(window: Window, now: datetime) -> bool:
    """It began less than its length ago."""
    # Behind a moment that lies a whole length ago: that one's window has just closed.
    since = now - window.length + timedelta.resolution
    began = _trigger(window.start).get_next_fire_time(None, since)
    return began is not None and began <= now


@lru_cache(maxsize=100)
def _trigger(start: str) -> CronTrigger:
    return CronTrigger.from_crontab(start, UTC)
