"""Spans of time as people say them."""

from __future__ import annotations

from datetime import timedelta

_DAY = 24 * 60


def spoken(span: timedelta) -> str:
    """``45 s``, ``95 min``, ``2 h 05 min``, ``365 d 2 h``: to the second, minute or hour."""
    seconds = round(span.total_seconds())
    if abs(seconds) < 60:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    if minutes < 2 * _DAY:
        return f"{minutes // 60} h {minutes % 60:02} min"
    hours = round(minutes / 60)
    return f"{hours // 24} d {hours % 24} h"


def between(least: timedelta, most: timedelta) -> str:
    """``in 5 min to 2 h 05 min``; one of them where they are the same."""
    early, late = spoken(least), spoken(most)
    return f"in {early}" if early == late else f"in {early} to {late}"
